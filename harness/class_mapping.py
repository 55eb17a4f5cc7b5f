"""Merging classes: the map from a finer label set to a coarser one, and counts seen through it.

Confusions of merged classes add up, and the merged prediction is the map of the finer prediction: merging counts and
evaluating merged labels and predictions are the same thing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.records import Counts

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
    true_K, predicted_K = table[counts.true_K], table[counts.predicted_K]
    kept_K = true_K != void
    keys_K = (counts.image_K[kept_K].astype(np.int64) * len(names) + true_K[kept_K]) * len(names) + predicted_K[kept_K]
    unique, place_K = np.unique(keys_K, return_inverse=True)
    pixels = np.zeros(len(unique), np.int64)
    np.add.at(pixels, place_K, counts.pixels_K[kept_K])
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
