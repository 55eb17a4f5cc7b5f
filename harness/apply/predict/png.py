"""PNG files written some rows at a time (PNG specification, third edition), so that no copy of a picture is needed."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from harness.data.taxonomy import Colour
from harness.files import write_whole

Pixels = npt.NDArray[Any]
"""[H, W], or [H, W, 3] red green blue; uint8, or uint16 in one channel."""
ROWS_PX = 2**20
"""Pixels of the rows that are worked on at once."""
_GREY, _RGB, _INDEXED = 0, 2, 3
_NONE, _SUB, _UP = 0, 1, 2


def write_png(path: Path, size: tuple[int, int], strips: Iterable[Pixels], palette: Iterable[Colour] = ()) -> None:
    """Write a picture of a size [H, W], whole or not at all, from strips that have its rows from the top down."""
    write_whole(path, lambda file: _write(file, size, strips, palette))


def cut_rows(height: int, width: int, make: Callable[[slice], Pixels]) -> Iterator[Pixels]:
    """Yield what `make` returns for a few rows at a time, from the top down."""
    step = max(1, ROWS_PX // width)
    return (make(slice(top, min(height, top + step))) for top in range(0, height, step))


def _write(file: IO[bytes], size: tuple[int, int], strips: Iterable[Pixels], palette: Iterable[Colour]) -> None:
    packer, above, colours = zlib.compressobj(), None, bytes(part for colour in palette for part in colour)
    rows = 0
    for strip in strips:
        if above is None:
            kind = _RGB if strip.ndim == 3 else _INDEXED if colours else _GREY
            header = struct.pack(">IIBBBBB", size[1], size[0], 8 * strip.dtype.itemsize, kind, 0, 0, 0)
            file.write(b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header))
            file.write(_chunk(b"PLTE", colours) if colours else b"")
        # A strip may be a whole map: it is filtered in parts, since filtering makes four copies.
        for part in cut_rows(strip.shape[0], strip.shape[1], strip.__getitem__):
            packed, above = _filter(part, above, plain=bool(colours))
            file.write(_chunk(b"IDAT", body) if (body := packer.compress(packed)) else b"")
            rows += len(part)
    assert rows == size[0]
    file.write(_chunk(b"IDAT", packer.flush()) + _chunk(b"IEND", b""))


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _filter(strip: Pixels, above: Pixels | None, *, plain: bool) -> tuple[bytes, Pixels]:
    """Return rows as the format wants them, and the last one, for the next call.

    Each row stands as the one of three that has the smallest sum of steps: itself, its difference from the pixel to
    the left, or from the row above. `plain` leaves rows as they are: indices have no steps.
    """
    bytes_RB = strip.astype(strip.dtype.newbyteorder(">")).reshape(len(strip), -1).view(np.uint8)
    step = strip.dtype.itemsize * (strip.shape[2] if strip.ndim == 3 else 1)
    filtered = np.empty((len(bytes_RB), 1 + bytes_RB.shape[1]), np.uint8)
    filtered[:, 0], filtered[:, 1:] = _NONE, bytes_RB
    if not plain:
        # The rule that the PNG specification recommends ("Filter selection"): small steps repeat, and compress well.
        least_R = _steps(bytes_RB)
        left_RB = bytes_RB.copy()
        left_RB[:, step:] -= bytes_RB[:, :-step]
        over_RB = bytes_RB.copy()
        over_RB[1:] -= bytes_RB[:-1]
        over_RB[0] -= 0 if above is None else above
        for kind, other_RB in ((_SUB, left_RB), (_UP, over_RB)):
            steps_R = _steps(other_RB)
            better_R = steps_R < least_R
            filtered[better_R, 0], filtered[better_R, 1:] = kind, other_RB[better_R]
            least_R = np.minimum(least_R, steps_R)
    return filtered.tobytes(), bytes_RB[-1]


def _steps(bytes_RB: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Return the sum of each row's values, read as steps from -128 to 127."""
    steps_R: npt.NDArray[np.int64] = np.minimum(bytes_RB, -bytes_RB).sum(axis=1, dtype=np.int64)
    return steps_R
