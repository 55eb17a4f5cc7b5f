"""Regions of an image by its label, and the confusion matrices counted in them. Letters: H, W; C class.

Scores of the band along label borders are what Cheng et al. 2021 (Boundary IoU) call Trimap IoU: the label alone says
where the band is. Their Boundary IoU also takes the band of the predicted borders.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.source import IGNORE, Label

REGIONS = ("border", "interior", "top", "middle", "bottom")
"""Border and interior add up to the image, and so do the three thirds."""
BAND = 0.005
"""Reach of the band along label borders, as a share of the image's diagonal. Cheng et al. 2021 (Boundary IoU) take 0.02
on pictures of objects and 0.005 on the large street scenes of Cityscapes; dense labels of scenes have so many borders
that 0.02 would cover most of the image."""

PIXELS_AT_ONCE = 64 * 1024
"""Pixels counted at a time: half a MiB of keys."""

Confusion = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def count_confusion(predicted: Label, label: Label, num_classes: int) -> Confusion:
    """Count pixels of (true, predicted), [C, C], of two arrays of one shape.

    One small key a pixel, and no copy without the ignored ones: these have keys above those of all classes. Some rows
    at a time, since numpy makes each key one of eight bytes: they stay in the core's cache.
    """
    rows = max(1, PIXELS_AT_ONCE * len(label) // max(label.size, 1))
    counted = np.zeros(num_classes * (IGNORE + 1), np.intp)
    for top in range(0, len(label), rows):
        keys = _make_keys(predicted[top : top + rows], label[top : top + rows], num_classes)
        counted += np.bincount(keys.ravel(), minlength=len(counted))
    return _to_confusion(counted, num_classes)


def count_regions(predicted_HW: Label, label_HW: Label, num_classes: int) -> dict[str, Confusion]:
    """Count pixels of (true, predicted) in each of `REGIONS`, [C, C] each; ignored pixels are in none.

    Each third is counted once, border and interior apart: a pixel's key has one bit more, for the band.
    """
    keys_HW = _make_keys(predicted_HW, label_HW, num_classes)
    keys_HW *= 2
    keys_HW += border_band(label_HW)
    apart = [
        np.bincount(keys_HW[rows].ravel(), minlength=2 * num_classes * num_classes)
        for rows in third_rows(label_HW.shape[0])
    ]
    interiors, borders = ([_to_confusion(counted[bit::2], num_classes) for counted in apart] for bit in (0, 1))
    whole = [sum(parts, np.zeros_like(parts[0])) for parts in (borders, interiors)]
    thirds = [interior + border for interior, border in zip(interiors, borders, strict=True)]
    return dict(zip(REGIONS, [*whole, *thirds], strict=True))


def _make_keys(predicted: Label, label: Label, num_classes: int) -> npt.NDArray[Any]:
    """Return label x C + predicted, of the smallest type that holds twice the key of an ignored pixel and 1 more."""
    small = np.min_scalar_type(2 * (IGNORE + 1) * num_classes)
    keys: npt.NDArray[Any] = np.multiply(label, num_classes, dtype=small)
    keys += predicted
    return keys


def _to_confusion(counted: npt.NDArray[np.intp], num_classes: int) -> Confusion:
    ends = num_classes * num_classes
    assert not counted[ends : IGNORE * num_classes].any(), "a label is neither a class nor ignored"
    return counted[:ends].reshape(num_classes, num_classes).astype(np.int64)


def band_reach(height: int, width: int) -> int:
    """Return the reach of the band (pixels) in an image of this size: `BAND` of its diagonal, at least 1."""
    return max(1, round(BAND * math.hypot(height, width)))


def border_band(label_HW: Label) -> Mask:
    """Return which pixels lie in the band along label borders, [H, W].

    The trimap along the true borders (Kohli, Ladicky and Torr 2009, Robust higher order potentials), on the label as a
    whole: a pixel is in it when a counted pixel of another class is at most `band_reach` rows and columns
    away, which is the square neighbourhood that Boundary IoU erodes with. Ignored pixels are in no band and make none;
    classes with a seam of ignored pixels between them have a border where the seam is narrow enough to reach across.
    The frame of the image is no border.
    """
    # Where the highest and the lowest class within reach differ there are two: two sliding windows, and no loop over
    # classes. Ignored pixels must be neither the highest nor the lowest.
    reach = band_reach(*label_HW.shape)
    # 1 more than the class, and 0 for ignored pixels, so that these are never highest.
    above_HW = label_HW + np.uint8(1)
    highest_HW, lowest_HW = _slide(above_HW, reach, np.maximum), _slide(label_HW, reach, np.minimum)
    lowest_HW += np.uint8(1)
    band: Mask = highest_HW != lowest_HW
    band &= label_HW != IGNORE
    return band


def _slide(values_HW: Label, reach: int, pick: np.ufunc) -> Label:
    """Return the greatest (or least) value within `reach` rows and columns, by doubling windows along each axis."""
    wide, window = np.pad(values_HW, reach, mode="edge"), 2 * reach + 1
    for axis in (0, 1):
        wide, seen = np.moveaxis(wide, axis, 0), 1
        while seen < window:
            step = min(seen, window - seen)
            wide, seen = pick(wide[:-step], wide[step:]), seen + step
        wide = np.moveaxis(wide, 0, axis)
    return wide


def third_rows(height: int) -> tuple[slice, slice, slice]:
    """Return the rows of the top, middle and bottom third: those whose middle lies in it, each row in one third.

    In road scenes the horizon lies in the middle third as a rule. Heights that 3 does not divide are cut symmetrically.
    """
    third = (6 * np.arange(height) + 3) // (2 * height) if height else np.zeros(0, int)
    first, second = (int(np.searchsorted(third, k)) for k in (1, 2))
    return slice(0, first), slice(first, second), slice(second, height)
