"""Masks whose ids were mixed: resized by a method that averages neighbours, or saved as JPEG on the way.

A class fills regions. An id that was made by averaging lies on a slope between two others; one that JPEG made is a
speck: hardly a pixel beside it has the same id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from harness.data.source import RawIds

FEWEST_MIXED = 3
"""Fewer ids on slopes are explained by a thin class, such as the border of a trimap."""
FEWEST_PEAKS = 2
"""What is mixed lies between two ids: on one alone, sparse labels (points, lidar) look the same."""
FEWEST_PIXELS = 2048
"""In fewer pixels, classes of real scenes are specks too."""
OUTNUMBERED = 1.5
"""Ids astray to one that fills regions, at least: of many classes, some are thin."""
RARER = 10
"""A mixed id has at most 1 / RARER of the pixels of an id that is none, on average: labels of pure noise are alike."""


@dataclass(frozen=True)
class Mixture:
    """How the ids of masks lie: raw id -> its pixels, and those of them on slopes or alone."""

    pixels: Mapping[int, int]
    astray: Mapping[int, int]

    @property
    def mixed(self) -> tuple[int, ...]:
        """Return the ids of which most pixels are astray, in rising order."""
        return tuple(raw for raw, number in self.pixels.items() if 2 * self.astray.get(raw, 0) > number)

    @property
    def is_likely(self) -> bool:
        """Tell whether ids were mixed: most of them are astray, and rare beside the few that are not."""
        mixed, total = self.mixed, sum(self.pixels.values())
        peaks = len(self.pixels) - len(mixed)
        if total < FEWEST_PIXELS or len(mixed) < FEWEST_MIXED or not FEWEST_PEAKS <= peaks <= len(mixed) / OUTNUMBERED:
            return False
        # Pixels per id: what averaging or JPEG makes is spread over many ids, each of which is rare.
        in_mixed = sum(self.pixels[raw] for raw in mixed)
        return (total - in_mixed) / peaks >= RARER * in_mixed / len(mixed)

    def describe(self) -> str:
        """Return what tells that ids were mixed, with its numbers, and what would work."""
        mixed = self.mixed
        share = 100 * sum(self.pixels[raw] for raw in mixed) / sum(self.pixels.values())
        peaks = sorted((raw for raw in self.pixels if raw not in mixed), key=lambda raw: -self.pixels[raw])
        shown = ", ".join(map(str, sorted(peaks[:6]))) + (", ..." if len(peaks) > 6 else "")
        return (
            f"ids {shown} fill regions, and {len(mixed)} others ({share:.1f} % of the "
            f"pixels) lie only at their edges. Make the masks anew, resized by nearest neighbour and saved as PNG"
        )


def measure_mixture(masks: Iterable[RawIds]) -> Mixture:
    """Return how the ids of masks [H, W] lie."""
    pixels, astray = np.zeros(1 << 16, np.int64), np.zeros(1 << 16, np.int64)
    for ids_HW in masks:
        pixels += np.bincount(ids_HW.ravel(), minlength=1 << 16)
        astray += np.bincount(ids_HW[_find_astray(ids_HW)], minlength=1 << 16)
    found = np.flatnonzero(pixels).tolist()
    return Mixture({raw: int(pixels[raw]) for raw in found}, {raw: int(astray[raw]) for raw in found})


def _find_astray(ids_HW: RawIds) -> npt.NDArray[np.bool_]:
    """Return the pixels [H, W] with a lower and a higher id among their eight neighbours, or with at most one equal."""
    # On a slope made by averaging, ids rise across a pixel: one neighbour is lower, another one higher. Where JPEG made
    # the id, it is noise: hardly a neighbour is equal. Inside a class all are, and at its border most.
    lower, higher = np.zeros(ids_HW.shape, bool), np.zeros(ids_HW.shape, bool)
    equal = np.zeros(ids_HW.shape, np.uint8)
    # The picture is compared with itself, moved by a pixel in each of eight directions, where the two overlap.
    for down, right in product((-1, 0, 1), repeat=2):
        if down or right:
            here = (_overlap(-down), _overlap(-right))
            mine, other = ids_HW[here], ids_HW[_overlap(down), _overlap(right)]
            lower[here] |= other < mine
            higher[here] |= other > mine
            equal[here] += other == mine
    return (lower & higher) | (equal <= 1)


def _overlap(step: int) -> slice:
    """Return the places along an axis that are left where it is moved by a step of -1, 0 or 1."""
    return slice(max(step, 0), min(step, 0) or None)
