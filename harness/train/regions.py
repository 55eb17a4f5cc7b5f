"""Regions of an image by its label, and the confusion matrices counted in them. Letters: H, W; C class."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from harness.data.source import IGNORE, Label

REGIONS = ("border", "interior", "top", "middle", "bottom")
"""Border and interior add up to the image, and so do the three thirds."""
BAND = 0.005
"""Reach of the band along label borders, as a share of the image's diagonal. Cheng et al. 2021 (Boundary IoU) take 0.02
on pictures of objects and 0.005 on the large street scenes of Cityscapes; dense labels of scenes have so many borders
that 0.02 would cover most of the image."""

Confusion = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def count_confusion(predicted: Label, label: Label, num_classes: int) -> Confusion:
    """Count pixels of (true, predicted), [C, C], of two arrays of one shape. Small keys make this fast."""
    keys = label.astype(np.uint16) * np.uint16(num_classes) + predicted
    counted = np.bincount(keys[label != IGNORE], minlength=num_classes * num_classes)
    return counted.reshape(num_classes, num_classes).astype(np.int64)


def count_regions(predicted_HW: Label, label_HW: Label, num_classes: int) -> dict[str, Confusion]:
    """Count pixels of (true, predicted) in each of `REGIONS`, [C, C] each; ignored pixels are in none.

    The thirds are counted one by one and add up to the whole, so that only the band costs more than the whole does.
    """
    thirds = {
        name: count_confusion(predicted_HW[rows], label_HW[rows], num_classes)
        for name, rows in zip(REGIONS[2:], third_rows(label_HW.shape[0]), strict=True)
    }
    inside_HW = border_band(label_HW)
    border = count_confusion(predicted_HW[inside_HW], label_HW[inside_HW], num_classes)
    whole: Confusion = np.sum(list(thirds.values()), axis=0)
    return {"border": border, "interior": whole - border, **thirds}


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
    reach = band_reach(*label_HW.shape)
    ignored_HW = label_HW == IGNORE
    highest_HW = _slide(np.where(ignored_HW, np.uint8(0), label_HW), reach, np.maximum)
    lowest_HW = _slide(label_HW, reach, np.minimum)
    band: Mask = (highest_HW != lowest_HW) & ~ignored_HW
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
