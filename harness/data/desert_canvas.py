"""What the desert is drawn with and on: noise that looks the same at every size, and a canvas of colour, label, depth.

Shapes: H, W pixels of the whole picture; h, w pixels of one thing; 3 red, green, blue (0 to 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.desert_world import Rgb

Floats = npt.NDArray[np.floating[Any]]
"""float32 while it runs; numpy's types promise less for a product with a Python number."""
NOISE_SIZE = 256
_NOISE_SEED = 20240
NUM_LEVELS = 6


def make_noise(coarsest: int, slope: float, generator: np.random.Generator) -> Floats:
    """Return tileable noise [NOISE_SIZE, NOISE_SIZE] between 0 and 1, mean about 0.5.

    Random grids of cells 1, 2, 4, ... `coarsest` texels wide, each weighted by its cell to the power of `slope`,
    summed: value noise (Lewis 1989).
    """
    total = np.zeros((NOISE_SIZE, NOISE_SIZE))
    for cell in (1 << power for power in range(coarsest.bit_length())):
        grid = generator.random((NOISE_SIZE // cell, NOISE_SIZE // cell))
        total += _stretched(_stretched(grid, cell).T, cell).T * cell**slope
    # A sum of uniform numbers crowds in the middle: quantiles, and not its extremes, spread it over 0 to 1.
    low, high = np.quantile(total, (0.01, 0.99))
    return np.asarray(np.clip((total - low) / (high - low), 0.0, 1.0), np.float32)


def _stretched(grid: npt.NDArray[np.float64], cell: int) -> npt.NDArray[np.float64]:
    """Interpolate the rows of a periodic grid to `cell` times as many."""
    share = (np.arange(cell) / cell)[None, :, None]
    # The cubic has no slope at either end: with straight lines the edges of cells would be seen.
    share = share * share * (3.0 - 2.0 * share)
    mixed = grid[:, None, :] * (1.0 - share) + np.roll(grid, -1, axis=0)[:, None, :] * share
    return mixed.reshape(-1, grid.shape[1])


@lru_cache(maxsize=1)
def soil_noise() -> Floats:
    """Return smooth noise with broad patches, for ground, clouds and ridges."""
    return make_noise(32, 0.75, np.random.default_rng(_NOISE_SEED))


@lru_cache(maxsize=1)
def leaf_levels() -> tuple[Floats, ...]:
    """Return fine noise at full size, half size, and so on: level k for pixels 2**k texels wide."""
    levels = [make_noise(16, 0.4, np.random.default_rng(_NOISE_SEED + 2))]
    while len(levels) < NUM_LEVELS:
        fine = levels[-1]
        levels.append((fine[::2, ::2] + fine[1::2, ::2] + fine[::2, 1::2] + fine[1::2, 1::2]) * 0.25)
    return tuple(levels)


@lru_cache(maxsize=1)
def chance_table() -> Floats:
    """Return 4096 uniform numbers in [0, 1)."""
    return np.random.default_rng(_NOISE_SEED + 1).random(4096, np.float32)


def sample_noise(x: Floats, y: Floats | float) -> Floats:
    """Return soil noise at (x, y) in texels, interpolated; x and y broadcast against each other."""
    texture = soil_noise().ravel()
    # The noise repeats and its side is a power of two: a mask of bits takes the remainder, of negative places too.
    mask = NOISE_SIZE - 1
    x0, y0 = np.floor(x), np.floor(np.asarray(y, np.float32))
    right, down = x - x0, y - y0
    left_column = x0.astype(np.int32) & mask
    right_column = (left_column + 1) & mask
    row = (y0.astype(np.int32) & mask) * NOISE_SIZE
    next_row = (row + NOISE_SIZE) & (NOISE_SIZE * NOISE_SIZE - 1)
    above, below = texture.take(row + left_column), texture.take(next_row + left_column)
    above += (texture.take(row + right_column) - above) * right
    below += (texture.take(next_row + right_column) - below) * right
    mixture: Floats = above + (below - above) * down
    return mixture


def noise_at(x_hw: Floats, y_h1: Floats) -> Floats:
    """Return leaf noise at coordinates in texels, not interpolated."""
    mask = NOISE_SIZE - 1
    return np.asarray(leaf_levels()[0][y_h1.astype(np.int32) & mask, x_hw.astype(np.int32) & mask])


def unit(values: Floats) -> Floats:
    """Return values, cut to the range from 0 to 1."""
    return np.minimum(np.maximum(values, 0.0), 1.0)


@lru_cache(maxsize=16)
def pixel_centres(number: int) -> Floats:
    """Return where pixels lie along one side of a picture: 0.5, 1.5, ... in pixels."""
    return np.arange(number, dtype=np.float32) + 0.5


@dataclass(frozen=True)
class Patch:
    """The pixels of one thing on the canvas. u runs from -1 (left) to 1, v from 0 (ground) to 1 (top)."""

    rows: slice
    columns: slice
    u_1w: Floats
    v_h1: Floats
    width_px: float
    height_px: float

    def noise(self, texels: float, offset: tuple[float, float], stretch: float = 1.0) -> Floats:
        """Return leaf noise [h, w] fixed to the thing: `texels` from its ground to its top, `stretch` times across."""
        # A texel is never much smaller than a pixel: far things would glitter if pixels skipped texels.
        level = min(max(int(texels / self.height_px).bit_length() - 1, 0), NUM_LEVELS - 1)
        texture = leaf_levels()[level]
        scale, mask = 0.5**level, texture.shape[0] - 1
        across = texels * stretch * scale * 0.5 * self.width_px / self.height_px
        columns = (self.u_1w[0] * across + ((512.0 + offset[0] * NOISE_SIZE) * scale)).astype(np.int32)
        rows = (self.v_h1[:, 0] * (texels * scale) + (offset[1] * NOISE_SIZE * scale)).astype(np.int32)
        return np.asarray(texture[(rows & mask)[:, None], columns & mask])


@dataclass(frozen=True)
class Canvas:
    """The picture while it is painted. The record is frozen; its arrays are painted on."""

    rgb_3HW: Floats
    label_HW: npt.NDArray[np.uint16]
    """Raw ids."""
    depth_HW: Floats
    """Metres; 0 is the sky."""

    def patch(self, centre_px: float, base_px: float, width_px: float, height_px: float) -> Patch | None:
        """Return the pixels of a box that stands on `base_px`; None where none of its pixels is on the canvas."""
        height, width = self.label_HW.shape
        first, last = centre_px - width_px / 2, centre_px + width_px / 2
        if base_px < 0 or base_px - height_px >= height or last < 0 or first >= width:
            return None
        rows = slice(max(int(base_px - height_px), 0), min(int(base_px + 0.5), height))
        columns = slice(max(int(first), 0), min(int(last) + 1, width))
        u_1w = ((pixel_centres(width)[columns] - centre_px) * (2 / width_px))[None, :]
        v_h1 = ((base_px - pixel_centres(height)[rows]) * (1 / height_px))[:, None]
        return Patch(rows, columns, u_1w, v_h1, width_px, height_px)

    def paint(self, patch: Patch, colour_3hw: Floats, cover_hw: Floats, raw_id: int, z_m: float) -> None:
        """Blend a thing into the picture where it covers it (0 to 1). Label and depth change above one half."""
        region = self.rgb_3HW[:, patch.rows, patch.columns]
        region += (colour_3hw - region) * cover_hw
        solid = cover_hw > 0.5
        np.copyto(self.label_HW[patch.rows, patch.columns], np.uint16(raw_id), where=solid)
        np.copyto(self.depth_HW[patch.rows, patch.columns], z_m, where=solid)


def dots(patch: Patch, cells: tuple[float, float], chance: float, radius: float) -> tuple[Floats, Floats]:
    """Return 1 within dots [h, w], one jittered dot in each cell of a grid (across, up), and the cells' numbers."""
    table = chance_table()
    # Rows of cells lean, so that the grid is not seen.
    x = patch.u_1w * (cells[0] / 2) + 64.0
    y = patch.v_h1 * cells[1] + 64.0 + 0.3 * x
    column_w, row_h = np.floor(x), np.floor(y)
    # Odd factors scatter neighbouring cells over the table; flipped bits of the place give a cell two more numbers.
    cell = (row_h.astype(np.int32) * 1037 + column_w.astype(np.int32) * 2111 + int(chance * 4096)) & 4095
    number = table.take(cell)
    # A dot's middle keeps a quarter of a cell from the border, so that most of it lies in its own cell.
    right = x - column_w - 0.25 - 0.5 * table.take(cell ^ 1)
    up = y - row_h - 0.25 - 0.5 * table.take(cell ^ 2)
    size = radius * radius * (0.3 + 1.4 * number)
    return (right * right + up * up < size).astype(np.float32), number


def column(colour: Rgb) -> Floats:
    """Return a colour as [3, 1, 1], ready to meet [h, w]."""
    return np.array(colour, np.float32)[:, None, None]
