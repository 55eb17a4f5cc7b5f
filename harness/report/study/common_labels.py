"""Results in different label sets, seen in the coarsest of them.

A map leads from each class of a finer label set to the coarser class that holds it. Confusions of merged classes add
up, and the merged prediction is the map of the finer prediction: merging counts and evaluating merged labels and
predictions are the same thing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.records import Counts, Examples, RunResult
from harness.report.study.record import CommonLabels, CommonVariant, SeedResult
from harness.report.study.seeds import make_difference, make_estimate, order_splits
from harness.report.study.variants import VariantRuns
from harness.stats.margins import HEADLINE

IGNORE = 255
VOID = "(ignored)"
"""Name of the class that stands for predictions of what the coarser label set ignores: they are wrong wherever it
counts a pixel, and in nobody's favour. It has no ground truth, so it is listed and never averaged."""


@dataclass(frozen=True)
class LabelSet:
    """The classes that results are in, and which raw ids make them."""

    name: str
    classes: tuple[str, ...]
    class_of: Mapping[int, int]
    """Raw id -> class index, or 255 for an id that is not counted."""


@dataclass(frozen=True)
class Common:
    """The label set that all variants can be judged in, and their runs judged in it."""

    label_set: LabelSet
    groups: tuple[VariantRuns, ...]


def find_common(groups: Sequence[VariantRuns]) -> Common | None:
    """Return the variants judged in the label set of one of them into which all others merge.

    None where all have one label set already, or no label set among theirs holds the others.
    """
    sets = {group.name: _label_set(group.first) for group in groups if group.first is not None}
    if len({_key(label_set) for label_set in sets.values()}) < 2:
        return None
    # The fewest classes first: if all merge into one of the sets, it is the coarsest.
    for coarse in sorted(sets.values(), key=lambda label_set: len(label_set.classes)):
        maps = {name: map_classes(label_set, coarse) for name, label_set in sets.items()}
        if all(target is not None for target in maps.values()):
            owner = next(g.first for g in groups if g.first and _key(_label_set(g.first)) == _key(coarse))
            return Common(coarse, tuple(_merge(g, maps.get(g.name), coarse, owner.colours) for g in groups))
    return None


def _label_set(result: RunResult) -> LabelSet:
    counts = next(iter(result.counts.values()))
    return LabelSet(result.contract["taxonomy"], counts.classes, dict(result.contract.get("class_of", ())))


def _key(label_set: LabelSet) -> Any:
    return label_set.classes, tuple(sorted(label_set.class_of.items()))


def _merge(
    group: VariantRuns, target_of: Sequence[int] | None, coarse: LabelSet, colours: tuple[tuple[int, int, int], ...]
) -> VariantRuns:
    if target_of is None:
        return group
    contract = {"taxonomy": coarse.name, "classes": list(coarse.classes), "class_of": sorted(coarse.class_of.items())}
    merged = {
        seed: replace(
            result,
            counts=_merge_all(result.counts, target_of, coarse),
            last_counts=_merge_all(result.last_counts, target_of, coarse),
            start_counts=_merge_all(result.start_counts, target_of, coarse),
            regions={split: _merge_all(regions, target_of, coarse) for split, regions in result.regions.items()},
            predictions=result.predictions if _label_set(result) == coarse else None,  # pictures are not merged
            contract={**result.contract, **contract},
            examples=result.examples and _merge_examples(result.examples, target_of),
            colours=colours,
        )
        for seed, result in group.results.items()
    }
    return replace(group, results=merged)


def _merge_examples(examples: Examples, target_of: Sequence[int]) -> Examples:
    """Return examples whose labels and predictions are classes of the coarser set; what it ignores is 255."""
    table = np.full(256, IGNORE, np.uint8)
    table[: len(target_of)] = target_of
    return replace(
        examples,
        labels=tuple(table[label] for label in examples.labels),
        predictions=tuple(table[predicted] for predicted in examples.predictions),
    )


def _merge_all(counts: Mapping[str, Counts], target_of: Sequence[int], coarse: LabelSet) -> dict[str, Counts]:
    return {name: merge_counts(item, target_of, coarse.classes) for name, item in counts.items()}


Seeds = Mapping[str, Sequence[SeedResult]]
"""Variant -> its runs."""


def summarise_common(common: Common, groups: Sequence[VariantRuns], own: Seeds, merged: Seeds) -> CommonLabels:
    """Return each variant's headline score in its own label set and in the common one, and what merging did to it."""
    variants = []
    for group in groups:
        if group.first is None:
            continue
        # The same runs twice: in their own label set, and merged. The difference is what merging alone does to the
        # number.
        here, there = own[group.name], merged[group.name]
        splits = order_splits(split for seed in here for split in seed.scores)
        variants.append(
            CommonVariant(
                name=group.name,
                taxonomy=group.first.contract["taxonomy"],
                classes=len(_label_set(group.first).classes),
                own={split: make_estimate(_scores(here, split)) for split in splits},
                common={split: make_estimate(_scores(there, split)) for split in splits},
                by_merging={split: make_difference(_scores(there, split), _scores(here, split)) for split in splits},
            )
        )
    return CommonLabels(taxonomy=common.label_set.name, classes=common.label_set.classes, variants=tuple(variants))


def _scores(seeds: Sequence[SeedResult], split: str) -> dict[int, float | None]:
    return {seed.seed: seed.scores.get(split, {}).get(HEADLINE) for seed in seeds}


def map_classes(fine: LabelSet, coarse: LabelSet) -> tuple[int, ...] | None:
    """Return, for each class of the finer set, the index of the coarser class that holds all its ids, or 255.

    None where there is no such map: a class of the first set has ids in several classes of the second one, or one that
    the second one does not know; or the first ignores pixels that the second one counts.
    """
    targets: list[set[int | None]] = [set() for _ in fine.classes]
    for raw, index in fine.class_of.items():
        target = coarse.class_of.get(raw)
        if index == IGNORE:
            if target not in (None, IGNORE):
                return None
        else:
            targets[index].add(target)
    single = [next(iter(found)) if len(found) == 1 else None for found in targets]
    known = [target for target in single if target is not None]
    return tuple(known) if len(known) == len(single) else None


def merge_counts(counts: Counts, target_of: Sequence[int], classes: Sequence[str]) -> Counts:
    """Return counts in the classes of a coarser label set; `target_of` is what `map_classes` returned.

    Pixels whose true class the coarser set ignores are dropped. Where predictions of ignored classes remain, they are
    the last class, `VOID`.
    """
    table = np.array(target_of, np.int64)
    void = len(classes)
    names = (*classes, VOID) if (table == IGNORE).any() else tuple(classes)
    table[table == IGNORE] = void
    # One number for image, true and predicted class: equal ones are pixels that merging has brought together.
    true_K, predicted_K = table[counts.true_K], table[counts.predicted_K]
    used_K = true_K != void
    keys_K = (counts.image_K[used_K].astype(np.int64) * len(names) + true_K[used_K]) * len(names) + predicted_K[used_K]
    unique, place_K = np.unique(keys_K, return_inverse=True)
    pixels = np.zeros(len(unique), np.int64)
    np.add.at(pixels, place_K, counts.pixels_K[used_K])
    image_true, predicted = np.divmod(unique, len(names))
    image, true = np.divmod(image_true, len(names))
    return Counts(
        image_K=image.astype(np.int32),
        true_K=true.astype(np.int16),
        predicted_K=predicted.astype(np.int16),
        pixels_K=pixels,
        images=counts.images,
        groups=counts.groups,
        classes=names,
    )
