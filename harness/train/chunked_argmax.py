"""Chunked argmax: logits -> the likeliest class of each pixel; full-size logits of all classes are never held.

Same labels, bit for bit, as bilinear interpolation and argmax of the whole. Letters: C class, H, W (of the labels),
h, w (of the logits).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from harness.data.source import Label

CHUNK_BYTES = 16 * 2**20
"""Interpolated logits held at a time, about: small against an image's, large against the rows made twice at a cut."""
PLANE_BYTES = 128 * 1024
"""Logits of one class in which the maximum is sought at a time, so that maximum and labels stay in the core's cache."""
TINY = 128
"""torch interpolates outputs of at most this height + width by another kernel, whose last bits differ."""
GROUP = 8
"""Classes interpolated together where rows cannot be cut: whole vectors of the kernel stay whole."""

Values = npt.NDArray[np.float32]


def label_pixels(logits_CHW: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    """Return the likeliest class of each pixel at a size [H, W], uint8, on the logits' device.

    float32 logits are interpolated (bilinear, corners not aligned), not labels. Of equal classes the first is taken,
    and a NaN is greater than all, as in `torch.argmax`. Beside the logits a CPU holds one chunk of about `CHUNK_BYTES`
    where h / H is a simple fraction with a power of two below the line (1024x512 to 2048x1024, say), and else `GROUP`
    classes at full size; a GPU holds everything. With the labels, and counting them, 34 classes at 2048x1024 so take at
    most 64 MiB more than logits and label do, or 96 MiB.
    """
    if logits_CHW.device.type != "cpu":
        return _resize(logits_CHW, size).argmax(dim=0).to(torch.uint8)
    height, width = size
    if tuple(logits_CHW.shape[1:]) == (height, width) or logits_CHW.shape[0] * height * width * 4 <= CHUNK_BYTES:
        chunks = iter([_resize(logits_CHW, size)])
    elif 3 * logits_CHW.shape[0] <= GROUP * _count_blocks(logits_CHW.shape[1], height):
        chunks = _cut_rows(logits_CHW, height, width)
    else:
        return torch.from_numpy(_label_by_groups(logits_CHW, height, width))
    label_HW, done = np.zeros((height, width), np.uint8), 0
    for chunk_CHW in chunks:
        done += _write_rows(chunk_CHW, label_HW[done:])
    return torch.from_numpy(label_HW)


def _resize(logits_CHW: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    if tuple(logits_CHW.shape[1:]) == tuple(size):
        return logits_CHW
    return functional.interpolate(logits_CHW[None], size=tuple(size), mode="bilinear", align_corners=False)[0]


def _count_blocks(rows_in: int, rows_out: int) -> int:
    """Return into how many blocks rows can be cut so that each, with its neighbours, is interpolated as in the whole.

    Blocks lie between the places where rows of input and output coincide. torch takes row y from
    scale (y + 1/2) - 1/2, in float32, with scale = rows_in / rows_out. Counted from a block's first row that gives the
    same weights, bit for bit, if nothing is ever rounded: the scale's denominator is a power of two, and its numerator
    times 2 y + 1 has at most 24 bits. Else the whole is one block.
    """
    blocks = math.gcd(rows_in, rows_out)
    above, below = rows_in // blocks, rows_out // blocks
    return blocks if below.bit_count() == 1 and above * (2 * rows_out + 1) < 2**24 else 1


def _cut_rows(logits_CHW: torch.Tensor, height: int, width: int) -> Iterator[torch.Tensor]:
    """Yield the interpolated logits in chunks of rows, top to bottom; each is overwritten by the next.

    A chunk is some blocks, made together with one more on either side, since weights reach over its border; at the ends
    with two on one side. All windows so are of one size and made in the same memory: freed and taken again for each,
    the allocator would keep up to four of them.
    """
    blocks = _count_blocks(logits_CHW.shape[1], height)
    # A block is the smallest number of rows that interpolation maps to whole rows; only between blocks can a picture be
    # cut without a change of any bit.
    rows_in, rows_out = logits_CHW.shape[1] // blocks, height // blocks
    row_bytes = 4 * logits_CHW.shape[0] * width
    enough = max(CHUNK_BYTES // row_bytes, TINY + 1 - width, 1)
    step = min(-(-enough // rows_out), blocks)
    size = min(step + 2, blocks)
    # Laid out as torch would interpolate them.
    channels_last = logits_CHW[None].is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    made_1CHW = torch.empty((1, len(logits_CHW), size * rows_out, width), dtype=logits_CHW.dtype, memory_format=layout)
    for start in range(0, blocks, step):
        end = min(start + step, blocks)
        # The window begins one block above the chunk and ends one below, as far as there are any, and is always of one
        # size.
        first = max(0, min(start - 1, blocks - size))
        window_1CHW = logits_CHW[None, :, first * rows_in : (first + size) * rows_in]
        torch.ops.aten.upsample_bilinear2d.out(window_1CHW, made_1CHW.shape[2:], False, out=made_1CHW)
        yield made_1CHW[0, :, (start - first) * rows_out : (end - first) * rows_out]


def _label_by_groups(logits_CHW: torch.Tensor, height: int, width: int) -> Label:
    best_HW = np.full((height, width), -np.inf, np.float32)
    label_HW = np.zeros((height, width), np.uint8)
    for first in range(0, logits_CHW.shape[0], GROUP):
        _update_best(best_HW, label_HW, _resize_group(logits_CHW, first, (height, width)).numpy(), first)
    if np.isnan(best_HW).any():
        return _resize(logits_CHW, (height, width)).argmax(dim=0).to(torch.uint8).numpy()
    return label_HW


def _resize_group(logits_CHW: torch.Tensor, start: int, size: tuple[int, int]) -> torch.Tensor:
    """Return up to `GROUP` classes from `start` on, interpolated.

    The memory format chooses torch's kernel. That for channels last needs more than three of them, and rounds otherwise
    in whole vectors of channels than in what is left over; so a short last group is read with four classes before it,
    which are then left out.
    """
    channels_last = logits_CHW[None].is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    end = min(start + GROUP, logits_CHW.shape[0])
    first = max(0, start - 4) if end - start < 4 else start
    group_CHW = logits_CHW[None, first:end].contiguous(memory_format=layout)[0]
    return _resize(group_CHW, size)[start - first :]


def _write_rows(logits_CHW: torch.Tensor, label_HW: Label) -> int:
    """Write the labels of some logits into the first rows of an array of zeros; return how many rows that were."""
    values_CHW = logits_CHW.numpy()
    rows = int(values_CHW.shape[1])
    best_HW = np.full(values_CHW.shape[1:], -np.inf, np.float32)
    _update_best(best_HW, label_HW[:rows], values_CHW, 0)
    if np.isnan(best_HW).any():
        label_HW[:rows] = logits_CHW.argmax(dim=0).to(torch.uint8).numpy()
    return rows


def _update_best(best_HW: Values, label_HW: Label, values_CHW: Values, first: int) -> None:
    """Raise the maximum so far to that with more classes, `first` and those after it, and keep which it was, in place.

    Several times faster than torch's argmax, which walks over classes pixel by pixel.
    """
    rows = max(1, PLANE_BYTES // (4 * best_HW.shape[1]))
    for top in range(0, len(best_HW), rows):
        best, label = best_HW[top : top + rows], label_HW[top : top + rows]
        values = values_CHW[:, top : top + rows]
        if values.strides[2] != values.itemsize:
            values = np.ascontiguousarray(values)
        for index, plane in enumerate(values, first):
            higher = (plane > best).view(np.uint8)
            np.maximum(best, plane, out=best)
            higher *= np.uint8(index)
            np.maximum(label, higher, out=label)
