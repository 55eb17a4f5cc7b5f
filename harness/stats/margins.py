"""Counts of a study's runs -> what IoU needs of them, summed within the groups that may be resampled.

Letters: K runs, G groups, C classes, M measures (`miou_dataset`, then the IoU of each class), R resamples.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from harness.errors import InputError
from harness.records import Counts
from harness.scores import divide_where, sum_pixels

Pixels = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
RunKey = tuple[str, int]
"""Variant and seed."""

HEADLINE = "miou_dataset"


@dataclass(frozen=True)
class Margins:
    """The margins of the confusion matrices of runs that were evaluated on the same pixels (all in pixels)."""

    runs: tuple[RunKey, ...]
    groups: tuple[str, ...]
    classes: tuple[str, ...]
    images: int
    """Images behind the groups."""
    hit_KGC: Pixels
    predicted_KGC: Pixels
    true_GC: Pixels
    """The truth is the same in all runs."""


def sum_margins(counts: Mapping[RunKey, Counts]) -> Margins:
    """Return the margins of the runs' counts, groups in the order in which the images first name them.

    Raises:
        InputError: no run, or two runs were not evaluated on the same pixels of the same images.
    """
    if not counts:
        raise InputError("no counts to compare: no run of the comparison has finished")
    first_key, first = next(iter(counts.items()))
    groups = tuple(dict.fromkeys(first.groups))
    group_of = {group: index for index, group in enumerate(groups)}
    group_N = np.array([group_of[group] for group in first.groups], np.int64)
    # Truth must be the same pixel for pixel, else a difference would hold that of the images. What counts can tell is
    # compared: images, groups, classes, and the true pixels of each class in each group.
    true_GC = sum_pixels(first, group_N, len(groups))[0]
    summed = []
    for key, run in counts.items():
        same = (run.images, run.groups, run.classes) == (first.images, first.groups, first.classes)
        if same:
            summed.append(sum_pixels(run, group_N, len(groups)))
        if not same or not np.array_equal(summed[-1][0], true_GC):
            raise InputError(
                f"{_label(key)} and {_label(first_key)} were not evaluated on the same pixels; "
                "compare runs whose images, groups, classes and ignored pixels agree"
            )
    return Margins(
        runs=tuple(counts),
        groups=groups,
        classes=first.classes,
        images=len(first.images),
        hit_KGC=np.stack([hit for _, _, hit in summed]),
        predicted_KGC=np.stack([predicted for _, predicted, _ in summed]),
        true_GC=true_GC,
    )


def keep_runs(margins: Margins, runs: Collection[RunKey]) -> Margins:
    """Return the margins of those of the runs that are among `runs`."""
    chosen_K = np.array([run in runs for run in margins.runs])
    return replace(
        margins,
        runs=tuple(run for run in margins.runs if run in runs),
        hit_KGC=margins.hit_KGC[chosen_K],
        predicted_KGC=margins.predicted_KGC[chosen_K],
    )


def class_scores(hit_XC: Values, predicted_XC: Values, true_XC: Values) -> Values:
    """Return [X, M]: the mean IoU over the classes with true pixels, then the IoU of each class (fractions).

    The same numbers as `harness.scores.miou_dataset` and `iou_class`; NaN for a class without true pixels. The
    classes that the mean runs over are chosen row by row. `X` is one axis of anything.
    """
    iou_XC = divide_where(true_XC, hit_XC, true_XC + predicted_XC - hit_XC)
    sum_X1 = np.where(true_XC > 0, iou_XC, 0.0).sum(axis=1, keepdims=True)
    number_X1 = (true_XC > 0).sum(axis=1, keepdims=True)
    return np.concatenate([divide_where(number_X1, sum_X1, number_X1), iou_XC], axis=1)


def score_runs(margins: Margins) -> Values:
    """Return the measures of each run on all groups, [K, M]."""
    true_C = margins.true_GC.sum(axis=0)
    present_C = true_C > 0
    sums = [margins.hit_KGC.sum(axis=1), margins.predicted_KGC.sum(axis=1), np.tile(true_C, (len(margins.runs), 1))]
    result_KM = np.full((len(margins.runs), 1 + len(margins.classes)), np.nan)
    result_KM[:, np.append(True, present_C)] = class_scores(*(np.compress(present_C, part, axis=1) for part in sums))
    return result_KM


def _label(key: RunKey) -> str:
    return f"{key[0]}/seed{key[1]}"
