"""What a plan's runs read from disk: the digests, which are part of their ids, and whether training can read it.

Which weights a plugin's model keeps still itself is found here too: what moves decides numbers, so it is part of an id.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from harness import registry
from harness.data import open_source, open_whole, varies_with_seed
from harness.data.digests import remember
from harness.data.faults import refuse
from harness.data.source import Source, Split
from harness.data.subsets import divide_val
from harness.environment import read_version
from harness.errors import InputError, describe_missing
from harness.fingerprint import canonical, digest, digest_file, fingerprint
from harness.judged import primary_split
from harness.records import OWN_FREEZE, Plan, Run, RunConfig
from harness.settings import DataChoice, ModelChoice
from harness.spec.lint_power import even_number
from harness.spec.plugins import digest_sources, read_sources
from harness.strict_yaml.located import Node

LIBRARIES = ("ablation-harness", "torch", "torchvision", "timm", "segmentation-models-pytorch", "peft", "transformers")
"""What a plugin's model may build on."""


def make_reader() -> Callable[[RunConfig], Mapping[str, str]]:
    """Return a function RunConfig -> digest of each thing it reads (`data`, weights files), which reads each once.

    A plugin's model that was built with frozen weights has an entry too.
    """
    seen: dict[str, tuple[str, int]] = {}
    models: dict[str, dict[str, str]] = {}

    def read_inputs(config: RunConfig) -> dict[str, str]:
        key = name_content(config)
        if key not in seen:
            source = open_source(config.data, config.seed)
            seen[key] = digest_source(source), len(source.taxonomy.classes)
        digest, num_classes = seen[key]
        model = canonical([config.model.name, config.model.settings, num_classes, config.data.inputs])
        if model not in models:
            files = _digest_files(config.model)
            frozen = find_frozen_weights(config, num_classes, files).names
            models[model] = {**files, **({OWN_FREEZE: fingerprint(list(frozen))} if frozen else {})}
        return {"data": digest, **models[model]}

    return read_inputs


def find_changed(run: Run) -> tuple[str, ...]:
    """Return which inputs of a run are not what its id stands for, as they are on this disk now."""
    now = make_reader()(run.config)
    return tuple(key for key in {**run.inputs, OWN_FREEZE: ""} if now.get(key) != run.inputs.get(key))


def _digest_files(model: ModelChoice) -> dict[str, str]:
    digests = {}
    for setting in registry.find_part("model", model.name).locations:
        path, key = model.own[setting], f"model.{setting}"
        try:
            if path not in ("none", "default"):
                digests[key] = digest_file(Path(path).expanduser())
        except OSError as error:
            is_missing = isinstance(error, FileNotFoundError)
            told = describe_missing(path, "file") if is_missing else f"{path}: {error.strerror}"
            raise InputError(f"{key}: {told}; give none, default, or the path of a state dict") from None
    return digests


@dataclass(frozen=True)
class FrozenWeights:
    """What was found by building a model once."""

    names: tuple[str, ...]
    """Parameters that the model keeps still and `model.freeze` would have let move."""
    total: int
    """Parameters in all."""


def find_frozen_weights(config: RunConfig, num_classes: int, inputs: Mapping[str, str]) -> FrozenWeights:
    """Build a plugin's model and see which weights it keeps still.

    The answer is remembered by the model's source, its settings and the libraries that it may build on.

    A model that harness ships keeps nothing still, and is not built; of one that cannot be built nothing is found.
    `inputs` are the digests of the files that it reads.
    """
    plugin = registry.find_part("model", config.model.name).plugin
    if plugin is None:
        return FrozenWeights((), 0)
    sources = read_sources([plugin, *config.plugins])
    told = {
        "model": [config.model.name, config.model.version, config.model.settings],
        "shape": [num_classes, config.data.inputs],
        "files": dict(inputs),
        "source": digest_sources(sources),
        "libraries": [read_version(name) for name in LIBRARIES],
    }
    try:
        if not sources:  # defined where no file says how, as in a notebook
            return _build(config, num_classes)
        key = digest(told)
        found = json.loads(remember("still", key, lambda: canonical(asdict(_build(config, num_classes)))))
    except Exception:  # noqa: BLE001 - a model that cannot be built: its run says why, and the others go on
        return FrozenWeights((), 0)
    return FrozenWeights(tuple(found["names"]), found["total"])


def _build(config: RunConfig, num_classes: int) -> FrozenWeights:
    from harness.models.network import kept_against
    from harness.train.batches import Preprocessing
    from harness.train.setup import build_network

    network, _ = build_network(config, num_classes, Preprocessing(config.data.inputs, (), ()).channels, None)
    names = sorted(kept_against(network, config.model.freeze))
    return FrozenWeights(tuple(names), len(list(network.module.parameters())))


def digest_source(source: Source) -> str:
    """Return one digest of a data set: its splits' content and the meaning of its labels."""
    taxonomy = source.taxonomy
    splits = {name: split.digest for name, split in source.splits.items()}
    return fingerprint([splits, taxonomy.name, taxonomy.classes, sorted(taxonomy.class_of.items())])


def check_data(plan: Plan) -> None:
    """Read every label that the plan's runs train and are judged on, once for one content.

    Raises:
        InputError: what training would stumble over, or would learn wrongly.
    """
    for choice in distinct(run.config.data for run in plan.runs):
        if choice.on_bad_image == "error":
            source = open_whole(choice)
            refuse(source, source.check())


def read_notes(plan: Plan) -> tuple[str, ...]:
    """Return what a reader of results on the plan's data must know.

    These are warnings of taxonomies, images left out, and weights that a model was built with frozen.
    """
    sources = [(choice.name, open_source(choice)) for choice in distinct(run.config.data for run in plan.runs)]
    notes = [f"data '{name}': {note}" for name, source in sources for note in source.notes]
    for run in {run.variant: run for run in plan.runs if OWN_FREEZE in run.inputs}.values():
        classes = len(open_source(run.config.data, run.config.seed).taxonomy.classes)
        frozen = find_frozen_weights(run.config, classes, _digest_files(run.config.model))
        notes.append(
            f"model '{run.config.model.name}': {len(frozen.names)} of {frozen.total} tensors stay as they are, because "
            "the model itself was built with them frozen"
        )
    return tuple(dict.fromkeys(notes))


def tell_judged_split(plan: Plan) -> str:
    """Return that verdicts will be given on test, where no one asked for that; empty where they will not."""
    splits = set.intersection(*(set(source.splits) for _, source in open_all(plan).values()))
    if plan.split is not None or primary_split(plan, splits) != "test":
        return ""
    return (
        "verdicts will be given on test, because val has a say in which weights are compared; compare.split: val asks"
        " for them on val all the same, evaluate.select_split: held_out chooses epochs on images apart"
    )


def count_groups(plan: Plan) -> dict[str, tuple[int, ...]]:
    """Return the images in each independent unit of each split that all runs are judged on.

    Units are recordings where these are known, else groups. Of several data, those whose units are worth least. With
    folds, those of all folds that any run validates on. What is held out of val to choose the epoch is not judged.
    """
    sources, judged = open_all(plan), dict[tuple[str, str], tuple[DataChoice, Source]]()
    for run in plan.runs:
        key = name_content(run.config), run.config.evaluate.select_split
        if key not in judged:
            data, source = sources[key[0]]
            judged[key] = data, divide_val(source, run.config.evaluate)
    opened = tuple(judged.values())
    shared = set.intersection(*(set(source.splits) for _, source in opened)) - {"train", "select"}
    return {name: min(_size_splits(opened, name), key=even_number) for name in sorted(shared)}


def _size_splits(opened: Sequence[tuple[DataChoice, Source]], name: str) -> list[tuple[int, ...]]:
    """Return the sizes of the units of a split, once for each content; folds of one data are put together."""
    contents: dict[str, dict[str, Split]] = {}
    for data, source in opened:
        split = source.splits[name]
        key = split.digest if data.folds is None else canonical([data.name, data.settings])
        contents.setdefault(key, {})[split.digest] = split
    return [
        tuple(size for part in parts.values() for size in Counter(part.recordings or part.groups).values())
        for parts in contents.values()
    ]


def check_split(plan: Plan, written: Node) -> None:
    """Check that all data of a plan have the split that `written`, the spec's `compare.split`, names.

    Raises:
        InputError: some data lack it.
    """
    lacking = [source for _, source in open_all(plan).values() if written.value not in source.splits]
    if lacking:
        there = " and ".join(name for name in lacking[0].splits if name != "train")
        raise written.error(
            f"{written.shown()} was given, and the data have no such split; labelled images to judge on are in {there}"
        )


def open_all(plan: Plan) -> dict[str, tuple[DataChoice, Source]]:
    """Open each content that the plan's runs see, once, with the settings by which it was opened; by `name_content`."""
    configs = {name_content(run.config): run.config for run in plan.runs}
    return {name: (config.data, open_source(config.data, config.seed)) for name, config in configs.items()}


def name_content(config: RunConfig) -> str:
    """Return a text that is the same for runs that see the same images."""
    seed = config.seed if varies_with_seed(config.data) else 0
    return canonical([config.data.name, config.data.settings, seed])


def distinct(choices: Iterable[DataChoice]) -> tuple[DataChoice, ...]:
    """Return choices without repetitions, in order."""
    return tuple({canonical([item.name, item.settings]): item for item in choices}.values())
