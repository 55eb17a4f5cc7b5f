"""What each image adds to a difference of miou_dataset. Letters: N image, C class."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from harness.records import Counts

Values = npt.NDArray[np.float64]


class Margins(NamedTuple):
    """Pixels of one run by image and class."""

    hit_NC: Values
    """Intersections."""
    union_NC: Values
    true_C: Values


def measure_margins(counts: Counts) -> Margins:
    """Return intersections, unions and true pixels."""
    shape = len(counts.images), len(counts.classes)

    def summed(class_K: npt.NDArray[np.int16], pixels_K: npt.NDArray[np.int64]) -> Values:
        place_K = counts.image_K.astype(np.int64) * shape[1] + class_K
        sums = np.bincount(place_K, weights=pixels_K, minlength=shape[0] * shape[1])
        return sums.astype(np.float64).reshape(shape)

    true_NC, predicted_NC = summed(counts.true_K, counts.pixels_K), summed(counts.predicted_K, counts.pixels_K)
    right_K = counts.true_K == counts.predicted_K
    hit_NC = summed(counts.true_K, counts.pixels_K * right_K)
    return Margins(hit_NC, true_NC + predicted_NC - hit_NC, true_NC.sum(axis=0))


def contributions(here: Margins, against: Margins) -> Values:
    """Return each image's part in `here`'s miou_dataset minus `against`'s, [N]; the parts add up to the difference.

    For a class with intersection I and union U over all images, r = I / U, the difference d between two runs obeys
    d(I) = mean(r) d(U) + mean(U) d(r), with means over the two runs. So d(r) = (d(I) - mean(r) d(U)) / mean(U) exactly,
    and d(I) and d(U) are sums over images. The part of an image is that of its own d(I) and d(U), averaged over the
    classes in the ground truth: a pixel of a rare class weighs more, as it does in the score.
    """
    seen = np.flatnonzero(here.true_C)  # with merged labels one of the two may have a last class more, without truth
    hit_NC, hit0_NC, union_NC, union0_NC = (
        item[:, seen] for item in (here.hit_NC, against.hit_NC, here.union_NC, against.union_NC)
    )
    union_C, union0_C = union_NC.sum(axis=0), union0_NC.sum(axis=0)
    mean_iou_C = (hit_NC.sum(axis=0) / union_C + hit0_NC.sum(axis=0) / union0_C) / 2
    change_NC = hit_NC - hit0_NC - mean_iou_C * (union_NC - union0_NC)
    parts_N: Values = (change_NC / ((union_C + union0_C) / 2)).sum(axis=1) / max(len(seen), 1)
    return parts_N
