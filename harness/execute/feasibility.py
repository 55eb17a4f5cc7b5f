"""What a plan's runs would stumble over in the middle, as far as settings and files tell; nothing is built, no torch.

It looks at what will happen: the smallest batch that occurs, the sizes that augmentations leave, the labels of the
images that are judged.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from harness import registry
from harness.data.digests import remember
from harness.data.recognised import spread
from harness.data.source import IGNORE, Source, Split
from harness.data.subsets import divide_val
from harness.errors import InputError, name_some
from harness.execute.inputs import name_content, open_all
from harness.parts.geometric_transforms import CropWindow, Geometric, Shape
from harness.records import Plan, RunConfig
from harness.spec.conflicts import find_small_batch, smallest_batch

LOOKED_AT = 16
"""Training pictures whose size a plan looks at; before the first run all are."""
SHOWN = 5
"""Variants that a message names before it only counts."""
DRAWS = 8
"""Augmentations drawn of each."""
TOO_FEW = 0.5
"""Share of ignored padding in what is trained on, from which it is spoken of."""


def check_feasible(plan: Plan, *, whole: bool = False) -> None:
    """Check that no run will stop in the middle; with `whole`, by the size of every training picture.

    Raises:
        InputError: some would; the variants, why, and what would work.
    """
    labelled: set[str] = set()
    told = name_variants(
        (variant, problem)
        for variant, config, source in _kinds(plan)
        for problem in _find_problems(config, source, labelled, whole=whole)
    )
    if told:
        raise InputError("\n  ".join(["this cannot be trained and judged:", *told] if len(told) > 1 else told))


def note_padding(plan: Plan) -> Iterator[str]:
    """Yield that crops are larger than the pictures, where that leaves little to train on."""
    found = ((variant, _describe_padding(config, source.splits["train"])) for variant, config, source in _kinds(plan))
    yield from name_variants((variant, text) for variant, text in found if text)


def name_variants(found: Iterable[tuple[str, str]]) -> list[str]:
    """Return each text once, after the names of the variants that it was found for."""
    variants: dict[str, dict[str, None]] = {}
    for variant, text in found:
        variants.setdefault(text, {})[variant] = None
    return [f"{name_some(tuple(names), SHOWN)}: {text}" for text, names in variants.items()]


def _kinds(plan: Plan) -> Iterator[tuple[str, RunConfig, Source]]:
    """Yield each variant with each content that its runs see."""
    sources, configs = open_all(plan), dict[tuple[str, str], RunConfig]()
    for run in plan.runs:
        configs.setdefault((run.variant, name_content(run.config)), run.config)
    for (variant, content), config in configs.items():
        yield variant, config, sources[content][1]


def _find_problems(config: RunConfig, source: Source, labelled: set[str], *, whole: bool) -> Iterator[str]:
    """Yield what is wrong; `labelled` keeps the digests of splits in which a label was found."""
    train = source.splits["train"]
    min_batch = registry.find_part("model", config.model.name).min_batch
    if problem := find_small_batch(config, len(train.names), min_batch):
        yield problem
    for name, split in _judged(config, source).items():
        if split.digest not in labelled and not has_labels(split):
            use, images = "trained" if name == "train" else "judged", len(split.names)
            yield (
                f"no pixel of {name} has a class ({images} {'image' if images == 1 else 'images'}, every label is "
                f"ignored): nothing can be {use} on it; look at the ignored ids (data.ignore, or the taxonomy), or "
                "leave this split out"
            )
        else:
            labelled.add(split.digest)
    if problem := _find_mixed_sizes(config, train, whole=whole):
        yield problem


def _judged(config: RunConfig, source: Source) -> Mapping[str, Split]:
    """Return the splits that a run uses."""
    used = divide_val(source, config.evaluate)
    return {name: split for name, split in used.splits.items() if name != "train" or config.train.epochs}


def has_labels(split: Split) -> bool:
    """Tell whether any pixel of a split has a class; reads labels up to the first that has one.

    What cannot be read is not judged here: the check of files names it.
    """
    try:
        return any(bool((split.read_label(index) != IGNORE).any()) for index in range(len(split.names)))
    except InputError:
        return True


@dataclass(frozen=True)
class _BatchPicture:
    """A training picture as it enters a batch."""

    name: str
    size: Shape
    padding: float
    """Share of it that a crop larger than the picture has made up."""


def _find_mixed_sizes(config: RunConfig, train: Split, *, whole: bool) -> str | None:
    if not config.train.epochs or smallest_batch(len(train.names), config.train.batch_size) < 2:
        return None
    pictures = list(_draw_pictures(config, train, whole=whole))
    other = next((item for item in pictures if item.size != pictures[0].size), None)
    if other is None:
        return None
    first, second = (f"'{item.name}' is {item.size[0]}x{item.size[1]}" for item in (pictures[0], other))
    remedy = "end augment with crop" if any(step.name == "scale" for step in config.augment) else "set data.size"
    return (
        f"images of one batch differ in size where they are trained on: {first}, {second} (height x width): {remedy},"
        " or write train.batch_size: 1"
    )


def _describe_padding(config: RunConfig, train: Split) -> str:
    pictures = list(_draw_pictures(config, train, whole=False)) if config.train.epochs else []
    padding = sum(item.padding for item in pictures) / len(pictures) if pictures else 0.0
    if padding < TOO_FEW:
        return ""
    return f"augment.crop is larger than the pictures: {padding:.0%} of what is trained on is ignored padding"


def _draw_pictures(config: RunConfig, train: Split, *, whole: bool) -> Iterator[_BatchPicture]:
    """Yield training pictures as augmentations leave them, a few draws of each; none where a plugin's may resize."""
    parts = [registry.find_part("augment", step.name).function.__module__ for step in config.augment]
    if not all(module.startswith("harness.") for module in parts):
        return
    steps = [registry.build("augment", step) for step in config.augment]
    rng = np.random.default_rng(0)
    for name, size in _sizes(config, train, whole=whole):
        for _ in range(DRAWS if steps else 1):
            yield _follow(name, size, [step for step in steps if isinstance(step, Geometric)], rng)


def _follow(name: str, size: Shape, steps: Iterable[Geometric], rng: np.random.Generator) -> _BatchPicture:
    padding = 0.0
    for step in steps:
        transform = step.draw(size, rng)
        if isinstance(transform, CropWindow):
            # Of the window only this share is picture; what was padding before stays padding in the same share.
            filled = math.prod(map(min, transform.size, size)) / math.prod(transform.size)
            padding = 1 - (1 - padding) * filled
        size = size if transform is None else transform.shape(size)
    return _BatchPicture(name, size, padding)


def _sizes(config: RunConfig, train: Split, *, whole: bool) -> list[tuple[str, Shape]]:
    """Return the sizes at which training pictures are read, of a few of them or, with `whole`, of all."""
    if config.data.size != "native":
        return [(train.names[0], config.data.size)]
    places = range(len(train.names)) if whole else spread(range(len(train.names)), LOOKED_AT)
    try:
        key = f"{train.digest}-{len(places)}"
        found = remember("sizes", key, lambda: json.dumps([train.read_label(place).shape for place in places]))
    except InputError:  # the check of files names what cannot be read
        return []
    return [(train.names[place], (size[0], size[1])) for place, size in zip(places, json.loads(found), strict=True)]
