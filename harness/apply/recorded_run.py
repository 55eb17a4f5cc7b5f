"""What a run's own folder says about it: enough to build its model again where its data are not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import harness.data
import harness.parts  # noqa: F401 - enters the parts into the catalog
from harness.data.taxonomy import Taxonomy, distinct_colours
from harness.errors import InputError
from harness.records import RunConfig, RunResult
from harness.spec.plugins import import_plugin
from harness.spec.resolve import resolve
from harness.strict_yaml.located import Node, parse_yaml, read_file


def read_config(path: Path) -> RunConfig:
    """Return the config of a run from its `config.yaml`, checked against the catalog; imports its plugins.

    Raises:
        InputError: the file is gone or changed, or a part or setting that it names is no longer known.
    """
    root = parse_yaml(read_file(path), lambda line, column: f"{path}:{line}:{column}")
    sections = dict(root.mapping())
    seed, plugins = sections.pop("seed").plain(), tuple(sections.pop("plugins").plain())
    for name in plugins:
        import_plugin(name)
    tree = Node(sections, root.where, root.key_where, root.path)
    return replace(resolve(tree, plugins), seed=seed)


def read_taxonomy(result: RunResult) -> Taxonomy:
    """Return the classes that a finished run was judged in, with their colours and raw ids.

    Raises:
        InputError: the run was not judged: it has no contract.
    """
    contract = result.contract
    if "classes" not in contract:
        raise InputError(f"run {result.run_id}: evaluation/contract.json is gone; harness run makes the run again")
    classes = tuple(contract["classes"])
    return Taxonomy(
        name=contract["taxonomy"],
        classes=classes,
        colours=result.colours or distinct_colours(len(classes)),
        class_of={raw: index for raw, index in contract.get("class_of", ())},
    )
