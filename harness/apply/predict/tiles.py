"""Pictures too large for memory, in tiles that overlap. Letters: C class, H, W, R rows of a band.

A pixel's scores are the mean over the tiles that cover it, weighted by a window: 0 in the outer quarter of the overlap,
where a tile lacks the surroundings that the model looks at, rising to 1 over the next half of it. No window falls
off at the picture's own border. Where the model looks at most a quarter of the overlap beyond a pixel, and its strides
divide `GRID_PX`, the scores are those of the whole picture but for rounding (tests: 1e-4 of a logit).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from harness.apply.predict.strips import Strip
from harness.data.source import Image
from harness.errors import InputError

GRID_PX = 32
"""Tiles begin at multiples of this: the stride of the deepest layers of most networks."""

Span = tuple[int, int]
Scores = Callable[[Image], torch.Tensor]
"""A tile [H, W, 3] -> its scores_CHW."""


class Tiling(NamedTuple):
    """The size of tiles, and how much neighbours share (pixels)."""

    height: int
    width: int
    overlap: int


def check_tiling(tiling: Tiling) -> None:
    """Refuse tiles of no use.

    Raises:
        InputError: sides or overlap do not fit the grid, or neighbours would share more than half of themselves.
    """
    sides = (tiling.height, tiling.width)
    if any(side % GRID_PX or side < 2 * GRID_PX for side in sides):
        raise InputError(
            f"tile {tiling.height} {tiling.width}: sides must be multiples of {GRID_PX} from {2 * GRID_PX}"
        )
    if tiling.overlap % GRID_PX or not 0 <= tiling.overlap <= min(sides) // 2:
        most = min(sides) // 2 // GRID_PX * GRID_PX
        raise InputError(f"overlap {tiling.overlap}: must be a multiple of {GRID_PX} from 0 to {most} for these tiles")


def spans(length: int, side: int, overlap: int) -> list[Span]:
    """Return where tiles begin and end along an axis: on the grid, evenly spread.

    The last one ends with the axis: it is up to `GRID_PX` - 1 pixels longer than `side`.
    """
    if length <= side:
        return [(0, length)]
    last = (length - side) // GRID_PX
    step = (side - overlap) // GRID_PX
    number = -(-last // step)
    starts = [last * k // number * GRID_PX for k in range(number + 1)] if number else [0]
    return [(start, start + side if start != starts[-1] else length) for start in starts]


def window(span: Span, length: int, overlap: int) -> npt.NDArray[np.float32]:
    """Return a tile's weight along an axis, one value a pixel of the span; see the head of this module."""
    start, end = span
    reach = overlap // 4
    pixel = np.arange(end - start, dtype=np.float32) + np.float32(0.5)
    weight = np.ones(end - start, np.float32)
    if start > 0:
        weight = np.minimum(weight, _ramp(pixel, reach, overlap))
    if end < length:
        weight = np.minimum(weight, _ramp(end - start - pixel, reach, overlap))
    return weight


def _ramp(inside: npt.NDArray[np.float32], reach: int, overlap: int) -> npt.NDArray[np.float32]:
    """Return the weight of pixels so far inside a tile's edge."""
    risen: npt.NDArray[np.float32] = np.clip((inside - reach) / np.float32(max(overlap / 2, 1e-6)), 0, 1)
    return risen


def tiled_strips(scores_of: Scores, image: Image, tiling: Tiling) -> Iterator[Strip]:
    """Yield a picture's scores from the top down, from those of its tiles. Holds a band of tiles at a time."""
    height, width = image.shape[:2]
    rows, columns = spans(height, tiling.height, tiling.overlap), spans(width, tiling.width, tiling.overlap)
    down_H, across_W = _total(rows, height, tiling.overlap), _total(columns, width, tiling.overlap)
    top, band_CRW = 0, None
    for place, row in enumerate(rows):
        band_CRW = _extended(band_CRW, row[1] - top)
        for column in columns:
            tile_CHW = scores_of(image[row[0] : row[1], column[0] : column[1]]).cpu()
            if band_CRW is None:
                band_CRW = torch.zeros((tile_CHW.shape[0], row[1] - top, width))
            share_HW = np.outer(
                window(row, height, tiling.overlap) / down_H[slice(*row)],
                window(column, width, tiling.overlap) / across_W[slice(*column)],
            )
            band_CRW[:, row[0] - top : row[1] - top, slice(*column)] += tile_CHW * torch.from_numpy(share_HW)
        assert band_CRW is not None
        done = rows[place + 1][0] if place + 1 < len(rows) else height
        yield Strip(top, band_CRW[:, : done - top])
        top, band_CRW = done, band_CRW[:, done - top :]


def _extended(band_CRW: torch.Tensor | None, rows: int) -> torch.Tensor | None:
    if band_CRW is None:
        return None
    longer_CRW = torch.zeros((band_CRW.shape[0], rows, band_CRW.shape[2]))
    longer_CRW[:, : band_CRW.shape[1]] = band_CRW
    return longer_CRW


def _total(tiles: list[Span], length: int, overlap: int) -> npt.NDArray[np.float32]:
    total = np.zeros(length, np.float32)
    for span in tiles:
        total[slice(*span)] += window(span, length, overlap)
    return total
