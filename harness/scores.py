"""Counts -> named scores. A score's name carries its reduction; all are fractions from 0 to 1.

Letters: N images, C classes. A confusion matrix has true classes as rows and predicted classes as columns.
A score that nothing defines (a class that never occurs, an empty split) is NaN: it is listed, never averaged.

Boundary IoU (Cheng et al. 2021) is not among them: it compares the contours of truth and prediction, and counts know
only where the truth has a border. The same scores of the region `border` (`harness.train.regions`) are the Trimap IoU
that Cheng et al. compare it with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.records import Counts

Confusion = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


def divide_where(present: npt.NDArray[Any], numerator: npt.NDArray[Any], denominator: npt.NDArray[Any]) -> Values:
    """Return the quotient, in the shape of the numerator; NaN where `present` is not above 0."""
    result = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=result, where=present > 0)
    return result


def iou_class(confusion_CC: Confusion) -> Values:
    """Return intersection over union of each class, [C]; NaN for a class absent from the ground truth.

    A class that occurs in the ground truth and is never predicted scores 0.
    """
    true_C, predicted_C, true_positives_C = _margins(confusion_CC)
    return divide_where(true_C, true_positives_C, true_C + predicted_C - true_positives_C)


def dice_class(confusion_CC: Confusion) -> Values:
    """Return 2 |A and B| / (|A| + |B|) of each class, [C]; NaN for a class absent from the ground truth (Dice 1945)."""
    true_C, predicted_C, true_positives_C = _margins(confusion_CC)
    return divide_where(true_C, 2 * true_positives_C, true_C + predicted_C)


def miou_dataset(confusion_CC: Confusion) -> float:
    """Return the mean of `iou_class` over the classes that occur in the ground truth."""
    return _mean(iou_class(confusion_CC))


def dice_dataset(confusion_CC: Confusion) -> float:
    """Return the mean of `dice_class` over the classes that occur in the ground truth."""
    return _mean(dice_class(confusion_CC))


def pixel_accuracy(confusion_CC: Confusion) -> float:
    """Return the share of pixels whose class is predicted right."""
    total = confusion_CC.sum()
    return float(np.trace(confusion_CC) / total) if total else float("nan")


def mean_class_accuracy(confusion_CC: Confusion) -> float:
    """Return the mean, over classes in the ground truth, of the share of a class's pixels that is predicted right."""
    true_C, _, true_positives_C = _margins(confusion_CC)
    return _mean(divide_where(true_C, true_positives_C, true_C))


def frequency_weighted_iou(confusion_CC: Confusion) -> float:
    """Return the mean of `iou_class` weighted by each class's share of true pixels (Long et al. 2015, section 5)."""
    true_C, _, _ = _margins(confusion_CC)
    total = true_C.sum()
    return float(np.nansum(iou_class(confusion_CC) * true_C) / total) if total else float("nan")


def miou_image(counts: Counts) -> float:
    """Return the mean over images of the mean IoU over classes present in the image's ground truth or prediction.

    An image whose pixels are all ignored is left out.
    """
    true_NC, predicted_NC, hit_NC = sum_pixels(counts, np.arange(len(counts.images)), len(counts.images))
    union_NC = true_NC + predicted_NC - hit_NC
    iou_NC = divide_where(union_NC, hit_NC, union_NC)
    seen_N = (union_NC > 0).any(axis=1)
    return _mean(np.array([_mean(iou_C) for iou_C in iou_NC[seen_N]]))


SCORES: Mapping[str, Callable[[Counts], float]] = {
    "miou_dataset": lambda counts: miou_dataset(counts.confusion_CC()),
    "miou_image": miou_image,
    "dice_dataset": lambda counts: dice_dataset(counts.confusion_CC()),
    "pixel_accuracy": lambda counts: pixel_accuracy(counts.confusion_CC()),
    "mean_class_accuracy": lambda counts: mean_class_accuracy(counts.confusion_CC()),
    "frequency_weighted_iou": lambda counts: frequency_weighted_iou(counts.confusion_CC()),
}
"""The scores reported for a split, by name."""


def all_scores(counts: Counts) -> dict[str, float]:
    """Return every score of `SCORES` by name."""
    return {name: score(counts) for name, score in SCORES.items()}


def sum_pixels(counts: Counts, unit_N: Confusion, units: int) -> tuple[Confusion, Confusion, Confusion]:
    """Return the true, the predicted and the rightly predicted pixels of each class in each of `units` units, [U, C].

    `unit_N` is the unit that each image belongs to: itself, or its group.
    """
    shape = units, len(counts.classes)
    unit_K = unit_N[counts.image_K]

    def summed(class_K: npt.NDArray[np.int16], pixels_K: Confusion) -> Confusion:
        # Several counts fall on one unit and class: all are added. In float64, which holds whole numbers up to 2^53;
        # np.add.at takes three times as long.
        sums = np.bincount(unit_K * shape[1] + class_K, weights=pixels_K, minlength=shape[0] * shape[1])
        return sums.astype(np.int64).reshape(shape)

    right_K = counts.true_K == counts.predicted_K
    return (
        summed(counts.true_K, counts.pixels_K),
        summed(counts.predicted_K, counts.pixels_K),
        summed(counts.true_K, counts.pixels_K * right_K),
    )


def score_groups(counts: Counts, name: str) -> dict[str, float]:
    """Return group -> a score of its images alone."""
    group_of_N = np.array(counts.groups)
    found = {}
    for group in dict.fromkeys(counts.groups):
        mine_K = (group_of_N == group)[counts.image_K]
        arrays = {field: getattr(counts, field)[mine_K] for field in ("image_K", "true_K", "predicted_K", "pixels_K")}
        found[group] = SCORES[name](replace(counts, **arrays))
    return found


def _margins(confusion_CC: Confusion) -> tuple[Confusion, Confusion, Confusion]:
    return confusion_CC.sum(axis=1), confusion_CC.sum(axis=0), np.diagonal(confusion_CC)


def _mean(values: Values) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
