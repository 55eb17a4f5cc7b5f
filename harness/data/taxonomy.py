"""Taxonomies: which raw label ids make which class, and each class's name and colour."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import InputError

IGNORE = 255
"""Label of a pixel that is not counted and moves no weight."""
Colour = tuple[int, int, int]
OKABE_ITO: tuple[Colour, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
    (0, 0, 0),
)
_UNKNOWN = 256
_AT_ONCE_PX = 2**20
_MOST_UNKNOWN = 12
"""Unknown ids that a message shows."""


@dataclass(frozen=True)
class Taxonomy:
    """A named set of classes, and the map from raw ids in label files to class indices."""

    name: str
    classes: tuple[str, ...]
    colours: tuple[Colour, ...]
    """Red, green, blue of each class, 0 to 255."""
    class_of: Mapping[int, int]
    """Raw id -> class index, or 255 for an id that is ignored on purpose. Other ids are unknown: an error."""
    parents: tuple[str, ...] = ()
    """The wider category of each class; empty where nobody names them."""
    warning: str = ""
    """What whoever compares scores under this taxonomy must know; empty where there is nothing to warn of."""

    @cached_property
    def class_map(self) -> npt.NDArray[np.int16]:
        """Class index of each 16-bit raw id, [65536]; 256 where the id is unknown."""
        table = np.full(1 << 16, _UNKNOWN, np.int16)
        for raw, index in self.class_of.items():
            table[raw] = index
        return table

    def raw_ids(self, index: int) -> tuple[int, ...]:
        """Return the raw ids of a class (255: the ignored ones), in rising order."""
        return tuple(sorted(raw for raw, of in self.class_of.items() if of == index))


def map_ids(raw_HW: npt.NDArray[Any], taxonomy: Taxonomy, where: str) -> npt.NDArray[np.uint8]:
    """Return class indices [H, W] of raw ids [H, W] (uint8 or uint16); 255 where the taxonomy ignores them.

    Raises:
        InputError: the taxonomy does not know an id; `where` names the image.
    """
    label_HW = np.empty(raw_HW.shape, np.uint8)
    step = max(1, _AT_ONCE_PX * len(raw_HW) // max(1, raw_HW.size))
    for top in range(0, len(raw_HW), step):  # numpy makes an index of eight bytes of each pixel
        mapped = taxonomy.class_map.take(raw_HW[top : top + step])
        if mapped.max(initial=0) == _UNKNOWN:
            raise InputError(f"{where}: {describe_unknown(unknown_ids(raw_HW, taxonomy), taxonomy)}")
        label_HW[top : top + step] = mapped
    return label_HW


def unknown_ids(raw_HW: npt.NDArray[Any], taxonomy: Taxonomy) -> dict[int, int]:
    """Return raw id -> pixels, for each id that the taxonomy does not know."""
    strange = raw_HW[taxonomy.class_map.take(raw_HW) == _UNKNOWN]
    ids, pixels = np.unique(strange, return_counts=True)
    return dict(zip(ids.tolist(), pixels.tolist(), strict=True))


def describe_unknown(pixels: Mapping[int, int], taxonomy: Taxonomy) -> str:
    """Return a message about ids that the taxonomy does not know: the most frequent with their pixels, and a cure."""
    shown = sorted(sorted(pixels.items(), key=lambda item: -item[1])[:_MOST_UNKNOWN])
    more = f" and {len(pixels) - len(shown)} others with fewer" if len(pixels) > len(shown) else ""
    found = ", ".join(f"{raw} ({count:,} px)" for raw, count in shown)
    return (
        f"label ids without a class: {found}{more}; known ids: {join_runs(sorted(taxonomy.class_of))}; "
        f"give them a class, or declare them ignored"
    )


def join_runs(ids: Sequence[int]) -> str:
    """Return rising ids with neighbours joined, as in `0-11, 20`."""
    runs: list[list[int]] = []
    for raw in ids:
        if runs and raw == runs[-1][-1] + 1:
            runs[-1].append(raw)
        else:
            runs.append([raw])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def distinct_colours(number: int) -> tuple[Colour, ...]:
    """Return colours that stay apart for colour-blind eyes as far as they go (Okabe and Ito), then hues spread out."""
    # Steps of the golden ratio keep hues far from all earlier ones, however many classes there are.
    more = (colorsys.hsv_to_rgb(k * 0.618034 % 1.0, 0.75, 0.55 + 0.4 * (k % 2)) for k in range(number))
    spread = [(round(255 * r), round(255 * g), round(255 * b)) for r, g, b in more]
    return (*OKABE_ITO, *spread)[:number]
