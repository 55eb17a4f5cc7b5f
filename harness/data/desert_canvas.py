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
    low, high = np.quantile(total, (0.01, 0.99))
    noise: Floats = np.clip((total - low) / (high - low), 0.0, 1.0).astype(np.float32)
    return noise


def _stretched(grid: npt.NDArray[np.float64], cell: int) -> npt.NDArray[np.float64]:
    """Interpolate the rows of a periodic grid to `cell` times as many."""
    share = (np.arange(cell) / cell)[None, :, None]
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


def unit(values: Floats) -> Floats:
    """Return values, cut to the range from 0 to 1."""
    return np.minimum(np.maximum(values, 0.0), 1.0)


@dataclass(frozen=True)
class Canvas:
    """The picture while it is painted. The record is frozen; its arrays are painted on."""

    rgb_3HW: Floats
    label_HW: npt.NDArray[np.uint16]
    """Raw ids."""
    depth_HW: Floats
    """Metres; 0 is the sky."""


@dataclass(frozen=True)
class Patch:
    """The pixels of one thing on the canvas. u runs from -1 (left) to 1, v from 0 (ground) to 1 (top)."""

    rows: slice
    columns: slice
    u_1w: Floats
    v_h1: Floats
    width_px: float
    height_px: float


@lru_cache(maxsize=16)
def pixel_centres(number: int) -> Floats:
    """Return where pixels lie along one side of a picture: 0.5, 1.5, ... in pixels."""
    return np.arange(number, dtype=np.float32) + 0.5


def make_patch(
    shape: tuple[int, int], centre_px: float, base_px: float, width_px: float, height_px: float
) -> Patch | None:
    """Return the pixels of a box that stands on `base_px`, or None where none of its pixels is on a canvas [H, W]."""
    first, last = centre_px - width_px / 2, centre_px + width_px / 2
    if base_px < 0 or base_px - height_px >= shape[0] or last < 0 or first >= shape[1]:
        return None
    top, bottom = max(int(base_px - height_px), 0), min(int(base_px + 0.5), shape[0])
    left, right = max(int(first), 0), min(int(last) + 1, shape[1])
    x_w, y_h = pixel_centres(shape[1])[left:right], pixel_centres(shape[0])[top:bottom]
    return Patch(
        rows=slice(top, bottom),
        columns=slice(left, right),
        u_1w=((x_w - centre_px) * (2 / width_px))[None, :],
        v_h1=((base_px - y_h) * (1 / height_px))[:, None],
        width_px=width_px,
        height_px=height_px,
    )


def patch_noise(patch: Patch, texels: float, offset: tuple[float, float], stretch: float = 1.0) -> Floats:
    """Return noise [h, w] fixed to a thing: `texels` from its ground to its top at any size, `stretch` times across."""
    per_px = texels / patch.height_px
    level = min(max(int(per_px).bit_length() - 1, 0), NUM_LEVELS - 1)
    texture = leaf_levels()[level]
    scale, mask = 0.5**level, texture.shape[0] - 1
    across = texels * stretch * scale * 0.5 * patch.width_px / patch.height_px
    columns = (patch.u_1w[0] * across + ((512.0 + offset[0] * NOISE_SIZE) * scale)).astype(np.int32)
    rows = (patch.v_h1[:, 0] * (texels * scale) + (offset[1] * NOISE_SIZE * scale)).astype(np.int32)
    cut: Floats = texture[(rows & mask)[:, None], columns & mask]
    return cut


def paint(canvas: Canvas, patch: Patch, colour_3hw: Floats, cover_hw: Floats, mark: tuple[int, float]) -> None:
    """Blend a thing into the picture where it covers it (0 to 1); label and depth (`mark`) change above one half."""
    region = canvas.rgb_3HW[:, patch.rows, patch.columns]
    region += (colour_3hw - region) * cover_hw
    solid = cover_hw > 0.5
    np.copyto(canvas.label_HW[patch.rows, patch.columns], np.uint16(mark[0]), where=solid)
    np.copyto(canvas.depth_HW[patch.rows, patch.columns], (mark[1]), where=solid)


def column(colour: Rgb) -> Floats:
    """Return a colour as [3, 1, 1], ready to meet [h, w]."""
    return np.array(colour, np.float32)[:, None, None]


def mixed(first: Rgb, second: Rgb, share: float) -> Rgb:
    """Return the colour between two; share 0 is the first."""
    red, green, blue = (one * (1.0 - share) + other * share for one, other in zip(first, second, strict=True))
    return red, green, blue
