"""Class scores of one picture with bounded memory: in strips of rows, and from tiles where it is too large as a whole.

Whether a picture is cut into tiles is decided by its size and by what a forward pass occupies, never by the machine.
Tiles overlap.
A pixel's scores are the mean over the tiles that cover it, weighted by a window: 0 in the outer quarter of the overlap,
where a tile lacks the surroundings that the model looks at, rising to 1 over the next half of it. No window falls
off at the picture's own border. Where the model looks at most a quarter of the overlap beyond a pixel, and its strides
divide `GRID_PX`, the scores are those of the whole picture but for rounding (tests: 1e-4 of a logit).

Letters: C class, H, W, R rows of a strip or band, V view (one flip and scale of a picture).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from harness.apply.model import Model
from harness.data.source import Image
from harness.errors import InputError

WHOLE_BYTES = 512 * 2**20
"""Up to this size, logits are interpolated whole, as evaluation does: the same numbers to the last bit."""
STRIP_BYTES = 64 * 2**20
"""Scores of one strip."""
GRID_PX = 32
"""Tiles begin at multiples of this: the stride of the deepest layers of most networks."""
Span = tuple[int, int]
Scores = Callable[[Image], torch.Tensor]
"""A tile [H, W, 3] -> its scores_CHW."""
PROBE_PX = 256
SAFETY = 1.5
"""Libraries lay out tensors anew inside an operation, which nobody counts (tests/apply/test_predict_tiles.py)."""


class Strip(NamedTuple):
    """Scores of some rows of a picture."""

    top: int
    """Row of the picture that is the first of the strip."""
    scores_CRW: torch.Tensor
    """Logits, or probabilities where these are averages of several views."""


def strips_of(views: Sequence[torch.Tensor], size: tuple[int, int]) -> Iterator[Strip]:
    """Yield scores at a size [H, W] from the top down, given logits_CHW of each view at whatever size it has.

    One view gives its logits; several give the mean of their probabilities at full size.
    """
    height, width = size
    num_classes = views[0].shape[0]
    rows = max(1, STRIP_BYTES // (4 * num_classes * width))
    tops = range(0, height, rows)
    limit = WHOLE_BYTES // len(views)
    by_view = [
        _enlarged(logits_CHW, size, [(top, min(top + rows, height)) for top in tops], limit) for logits_CHW in views
    ]
    for top, *parts in zip(tops, *by_view, strict=True):
        yield Strip(top, parts[0] if len(parts) == 1 else mean_probability(parts))


def mean_probability(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the mean of the probabilities of logits of one shape, classes first."""
    total = torch.zeros_like(parts[0])
    for logits in parts:
        total += logits.softmax(dim=0)
    return total / len(parts)


def _enlarged(
    logits_CHW: torch.Tensor, size: tuple[int, int], bounds: Sequence[tuple[int, int]], limit: int
) -> Iterator[torch.Tensor]:
    """Yield the rows between some bounds of bilinearly interpolated logits (align_corners false), [C, R, W]."""
    if 4 * logits_CHW.shape[0] * size[0] * size[1] <= limit or tuple(logits_CHW.shape[1:]) == size:
        whole_CHW = logits_CHW
        if tuple(logits_CHW.shape[1:]) != size:
            whole_CHW = functional.interpolate(logits_CHW[None], size=size, mode="bilinear", align_corners=False)[0]
        for top, bottom in bounds:
            yield whole_CHW[:, top:bottom]
        return
    for top, bottom in bounds:
        yield interpolate_rows(logits_CHW, size, top, bottom)


def interpolate_rows(logits_CHW: torch.Tensor, size: tuple[int, int], top: int, bottom: int) -> torch.Tensor:
    """Return rows `top` to `bottom` of logits interpolated to a size [H, W], as `functional.interpolate` of the whole.

    Equal to it but for the last bits: it takes the two directions one after the other.
    """
    height = logits_CHW.shape[1]
    # As torch: rows are taken at their centres, and what would lie beyond the border is the border itself.
    row_R = torch.arange(top, bottom, dtype=torch.float32, device=logits_CHW.device)
    source_R = ((row_R + 0.5) * (height / size[0]) - 0.5).clamp(min=0)
    above_R = source_R.long().clamp(max=height - 1)
    below_R = (above_R + 1).clamp(max=height - 1)
    share_R1 = (source_R - above_R)[:, None]
    # Only the rows that are asked for are made wide: the full width of all rows is what there is no memory for.
    first, last = int(above_R[0]), int(below_R[-1]) + 1
    wide = functional.interpolate(
        logits_CHW[None, :, first:last], size=(last - first, size[1]), mode="bilinear", align_corners=False
    )[0]
    return wide[:, above_R - first] * (1 - share_R1) + wide[:, below_R - first] * share_R1


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
    # As many tiles as the step asks for, but spread: with whole steps the last tile would share much more than others.
    number = -(-last // step)
    starts = [last * k // number * GRID_PX for k in range(number + 1)] if number else [0]
    return [(start, start + side if start != starts[-1] else length) for start in starts]


def window(span: Span, length: int, overlap: int) -> npt.NDArray[np.float32]:
    """Return a tile's weight along an axis, one value a pixel of the span; see the head of this module."""
    start, end = span
    pixel = np.arange(end - start, dtype=np.float32) + np.float32(0.5)
    weight = np.ones(end - start, np.float32)
    if start > 0:
        weight = np.minimum(weight, _ramp(pixel, overlap))
    if end < length:
        weight = np.minimum(weight, _ramp(end - start - pixel, overlap))
    return weight


def _ramp(inside: npt.NDArray[np.float32], overlap: int) -> npt.NDArray[np.float32]:
    """Return the weight of pixels so far inside a tile's edge."""
    risen: npt.NDArray[np.float32] = np.clip((inside - overlap // 4) / np.float32(max(overlap / 2, 1e-6)), 0, 1)
    return risen


def tiled_strips(scores_of: Scores, image: Image, tiling: Tiling) -> Iterator[Strip]:
    """Yield a picture's scores from the top down, from those of its tiles. Holds a band of tiles at a time."""
    height, width = image.shape[:2]
    rows, columns = spans(height, tiling.height, tiling.overlap), spans(width, tiling.width, tiling.overlap)
    # Windows are divided by their sum, so that the weights of the tiles over a pixel add up to 1 wherever it lies.
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
        # Rows above the next row of tiles get no more scores: they are given away, so that memory holds one band.
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


class _Live(TorchDispatchMode):
    """Keeps account of the bytes of all tensors that are alive."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak: int = 0
        self._now = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._note(leaf.untyped_storage())
        return result

    def _note(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self._known.add(key)
        self._now += size
        self.peak = max(self.peak, self._now)
        weakref.finalize(storage, self._drop, key, size)

    def _drop(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._now -= size


def forward_bytes_per_pixel(model: Model) -> float:
    """Return the bytes that a forward pass occupies at most for a pixel of its input, weights apart."""
    with _Live() as live:
        model([np.zeros((PROBE_PX, PROBE_PX, 3), np.uint8)])
    return SAFETY * float(live.peak) / PROBE_PX**2


def choose_tiling(height: int, width: int, *, bytes_per_pixel: float, num_classes: int, limit: int) -> Tiling | None:
    """Return square tiles with which a picture's forward pass stays below a limit (bytes); None where it does whole.

    Neighbours share a quarter of a tile. What is kept of the picture's width beside the tile counts too.
    """
    if bytes_per_pixel * height * width <= limit:
        return None
    row_bytes = 2 * 4 * num_classes * width  # float32 of the band, which is made longer by copying
    side = 4 * GRID_PX
    while bytes_per_pixel * (side + 4 * GRID_PX) ** 2 + row_bytes * (side + 4 * GRID_PX) <= limit:
        side += 4 * GRID_PX
    return Tiling(side, side, side // 4)
