"""What a run's own folder says about it: enough to build its model again where its data are not.

Its plugins are found where they are now: the same as then, or a message with what would work.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.data.taxonomy import Taxonomy, distinct_colours
from harness.errors import InputError
from harness.records import RunConfig, RunResult
from harness.runs.credentials import mask_credentials
from harness.runs.folder import RunFolder
from harness.runs.provenance import read_copy
from harness.spec.plugins import PluginMissing, import_plugin, read_sources
from harness.spec.resolve import resolve
from harness.strict_yaml.located import parse_file


def read_config(path: Path) -> RunConfig:
    """Return the config of a run from its `config.yaml`, checked against the catalog; imports its plugins.

    Raises:
        InputError: the file is gone or changed, or a part or setting that it names is no longer known.
    """
    root = parse_file(path)
    sections = dict(root.mapping())
    seed, plugins = sections.pop("seed").plain(), tuple(sections.pop("plugins").plain())
    for name in plugins:
        import_plugin(name)
    return replace(resolve(root.holding(sections), plugins), seed=seed)


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


def import_recorded(folder: RunFolder, result: RunResult) -> str:
    """Import the plugins of a run, from where Python finds them now; return how their source differs from the run's.

    The kept copy is code of an earlier day: it is never imported unasked. Where it differs, a note on stderr says how
    to use it.

    Raises:
        InputError: one is not found, and where it was; it cannot be imported; the copy is damaged.
    """
    plugins = tuple(parse_file(folder.config).mapping()["plugins"].plain())
    facts = result.provenance.get("plugins", {})
    copy = read_copy(folder.plugins, facts)
    for name in plugins:
        try:
            import_plugin(name)
        except PluginMissing as error:
            raise InputError(
                f"run {result.run_id}: {error}. {_where(name, result.provenance)}; {_cure(folder, copy)}"
            ) from None
    if not copy:
        return ""
    here = read_sources(plugins)
    differing = sorted(name for name in here.keys() | copy.keys() if here.get(name) != copy.get(name))
    if not differing:
        return ""
    told = f"its plugins are not what they were when it was made: {', '.join(differing)} differ"
    print(f"note: run {result.run_id}: {told}; {_cure(folder, copy)}", file=sys.stderr)
    return told


def _where(name: str, provenance: Mapping[str, Any]) -> str:
    place = provenance.get("plugins", {}).get("modules", {}).get(name)
    git = provenance.get("git") or {}
    commit = f" (commit {git['commit'][:12]}{', with changes' if git.get('dirty') else ''})" if git else ""
    command = shlex.join(provenance.get("command", ()))
    return f"It was {place}{commit}" if place else f"The run was made by: {command}{commit}"


def _cure(folder: RunFolder, copy: Mapping[str, bytes]) -> str:
    if not copy:
        return "run the command in the folder that has it, or put that folder on PYTHONPATH"
    chosen = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    path = os.pathsep.join(dict.fromkeys([str(folder.plugins), *chosen]))
    program = "harness" if Path(sys.argv[0]).name in ("harness", "-c", "__main__.py") else sys.argv[0]
    return (
        f"the run keeps its source, which runs with this command once you have looked at it:\n"
        f"  PYTHONPATH={shlex.quote(path)} {shlex.join([program, *map(mask_credentials, sys.argv[1:])])}"
    )
