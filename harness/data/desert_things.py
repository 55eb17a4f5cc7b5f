"""The things that stand in the desert, each painted into its own box from formulas: the same shape at every size.

Shapes: h, w pixels of a thing's box; K spheres or planes of one thing. Within a box lengths are in heights of the
thing: a runs from the middle to the right, v from the ground up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from harness.data.desert_canvas import (
    NOISE_SIZE,
    Canvas,
    Floats,
    Patch,
    chance_table,
    column,
    leaf_levels,
    make_patch,
    mixed,
    paint,
    patch_noise,
    unit,
)
from harness.data.desert_ground import hazed, lit, paint_ground
from harness.data.desert_world import Kind, Rgb, Scene, Thing

Sphere = tuple[float, float, float]
"""Middle (a, v) and radius."""

STRAW = (0.80, 0.68, 0.40)
BARK = (0.36, 0.27, 0.20)
PETALS: tuple[Rgb, ...] = ((0.72, 0.32, 0.78), (0.98, 0.80, 0.15), (0.95, 0.93, 0.95), (0.90, 0.30, 0.30))
RAW_ID: Mapping[Kind, int] = {
    "tree": 100,
    "lush_bush": 200,
    "dry_grass": 300,
    "dry_bush": 500,
    "clutter": 550,
    "flowers": 600,
    "log": 700,
    "rock": 800,
}


def draw(scene: Scene, size: tuple[int, int]) -> Canvas:
    """Draw a scene at [H, W], things from far to near."""
    canvas = paint_ground(scene, size)
    for thing in scene.things:
        per_m = size[0] * scene.focal / thing.z_m
        base = size[0] * scene.horizon + per_m * scene.eye_m
        tall_px = thing.height_m * per_m
        if tall_px < 1.5:
            continue
        patch = make_patch(size, size[1] / 2 + per_m * thing.x_m, base, thing.width_m * per_m, tall_px)
        if patch is not None:
            _PAINTERS[thing.kind](canvas, scene, thing, patch)
    return canvas


def _a(thing: Thing, patch: Patch) -> Floats:
    return patch.u_1w * (thing.mirror * patch.width_px / patch.height_px / 2)


def _mark(thing: Thing) -> tuple[int, float]:
    return RAW_ID[thing.kind], thing.z_m


def _toned(scene: Scene, thing: Thing, colour: Rgb, tone_hw: Floats) -> Floats:
    """Return a colour under this light, [3, h, w], as seen through the air."""
    seen = hazed(scene, colour, thing.z_m)
    share = 1.0 - thing.z_m / (thing.z_m + 360.0)
    return column(seen) * (tone_hw * share + (1.0 - share))


def _spheres(
    scene: Scene, thing: Thing, patch: Patch, spheres: Sequence[Sphere], ragged_hw: Floats
) -> tuple[Floats, Floats]:
    """Return cover [h, w] and light [h, w] of several spheres, the nearest to the eye in front."""
    a_K1, v_K1, radius_K1 = np.array(spheres, np.float32).T[:, :, None, None]
    across = (_a(thing, patch) - a_K1) / radius_K1
    up = (patch.v_h1 - v_K1) / radius_K1
    bulge = ragged_hw - across * across - up * up
    front_hw = bulge.max(axis=0)
    light = lit(scene, across * thing.mirror, up, np.sqrt(np.maximum(bulge, 0.0)))
    light_hw = np.where(bulge >= front_hw, light, 0.0).max(axis=0)
    return unit(front_hw * max(patch.height_px / 7, 0.7) + 0.5), light_hw


def _ring(
    thing: Thing, number: int, middle: tuple[float, float], spread: tuple[float, float], radius: float
) -> list[Sphere]:
    """Return spheres scattered around a middle (a, v)."""
    chances = thing.chances
    return [
        (
            middle[0] + spread[0] * (2.0 * (k + chances[k]) / number - 1.0),
            middle[1] + spread[1] * (2.0 * chances[k + 8] - 1.0),
            radius * (0.75 + 0.5 * chances[k + 16]),
        )
        for k in range(number)
    ]


def _paint_bush(canvas: Canvas, scene: Scene, thing: Thing, patch: Patch) -> None:
    """Round green clumps."""
    half = thing.width_m / thing.height_m / 2
    leaves = patch_noise(patch, 90.0, (thing.chances[24], thing.chances[25]))
    radius = min(0.33, half * 0.42)
    spheres = _ring(thing, 7, (0.0, 0.4), (half - 1.3 * radius, 0.18), radius)
    cover, light = _spheres(scene, thing, patch, spheres, leaves * 0.8 + 0.45)
    fresh = mixed((0.30, 0.48, 0.17), (0.42, 0.56, 0.24), thing.chances[26])
    colour = mixed(STRAW, fresh, min(scene.greenness + 0.1, 1.0))
    paint(canvas, patch, _toned(scene, thing, colour, light * (leaves * 0.9 + 0.5)), cover, _mark(thing))


def _paint_dry_bush(canvas: Canvas, scene: Scene, thing: Thing, patch: Patch) -> None:
    """Brown twigs that fan out from the ground, with gaps between them."""
    half = thing.width_m / thing.height_m / 2
    a_1w, v_h1 = _a(thing, patch) / half, patch.v_h1
    reach = a_1w * a_1w * 1.15 + (v_h1 - 0.25) ** 2 * 1.7
    fan = a_1w / (v_h1 + 0.4) * 16.0
    twigs = _noise_at(fan + 256 * (1 + thing.chances[0]), v_h1 * 7.0 + 256 * thing.chances[1])
    tufts = patch_noise(patch, 80.0, (thing.chances[2], thing.chances[3]))
    density = 0.75 - reach + (twigs - 0.5) * 0.8
    density += (tufts - 0.5) * 0.5
    cover = unit(density * max(patch.height_px / 5, 1.0) + 0.5)
    light = lit(scene, a_1w * (0.6 * thing.mirror), v_h1 * 0.6 + 0.1, 0.5)
    colour = mixed((0.46, 0.36, 0.25), (0.60, 0.52, 0.40), thing.chances[4])
    tone = light * (twigs * 1.0 + tufts * 0.5 + 0.15)
    paint(canvas, patch, _toned(scene, thing, colour, tone), cover, _mark(thing))


def _noise_at(x_hw: Floats, y_h1: Floats) -> Floats:
    """Return noise at coordinates in texels, without interpolation."""
    mask = NOISE_SIZE - 1
    found: Floats = leaf_levels()[0][y_h1.astype(np.int32) & mask, x_hw.astype(np.int32) & mask]
    return found


def _paint_grass(canvas: Canvas, scene: Scene, thing: Thing, patch: Patch) -> None:
    """A tuft of straw-coloured blades: darker at the root, pale at the tips."""
    u_1w, v_h1 = patch.u_1w * thing.mirror, patch.v_h1
    lean = v_h1 * v_h1 * (0.8 * (thing.chances[0] - 0.5))
    fan = (u_1w - lean) / (0.5 + 0.5 * v_h1)
    blades = _noise_at(
        fan * (18.0 * thing.width_m / thing.height_m) + 256 * (1 + thing.chances[1]),
        v_h1 * 4.0 + 256 * thing.chances[2],
    )
    tip = (1.0 - fan * fan * 0.9) * (0.35 + 0.85 * blades)
    inside = np.minimum(tip - v_h1, 3.0 * v_h1 - 0.35 * u_1w * u_1w + 0.03)
    cover = unit(inside * (max(patch.height_px, 3.0) / 3) + 0.4)
    colour = mixed(STRAW, (0.62, 0.60, 0.32), 0.7 * scene.greenness * thing.chances[3])
    tone = (0.55 + 0.4 * v_h1) * (0.55 + 0.9 * blades)
    paint(canvas, patch, _toned(scene, thing, colour, tone * (0.9 + 0.3 * scene.sun[1])), cover, _mark(thing))


def _paint_tree(canvas: Canvas, scene: Scene, thing: Thing, patch: Patch) -> None:
    """A trunk and a crown of clumps."""
    half = thing.width_m / thing.height_m / 2
    bark = patch_noise(patch, 150.0, (thing.chances[25], thing.chances[24]))
    lean = (0.25 * (thing.chances[26] - 0.5)) * patch.v_h1
    middle = (_a(thing, patch) - lean) / (0.055 - 0.035 * patch.v_h1)
    cover = unit((1.0 - abs(middle)) * max(patch.height_px / 20, 1.0) + 0.5)
    cover = np.where(patch.v_h1 < 0.6, cover, 0.0)
    side = np.clip(middle, -1.0, 1.0)
    light = lit(scene, side * thing.mirror, 0.0, np.sqrt(1.0 - side * side))
    paint(canvas, patch, _toned(scene, thing, BARK, light * (bark + 0.5)), cover, _mark(thing))
    radius = min(0.19, half * 0.4)
    spheres = _ring(thing, 8, (0.1 * (thing.chances[26] - 0.5), 0.66), (half - 1.5 * radius, 0.13), radius)
    cover, light = _spheres(scene, thing, patch, spheres, bark * 1.1 + 0.3)
    leaf = mixed(
        STRAW, mixed((0.24, 0.34, 0.16), (0.33, 0.40, 0.20), thing.chances[27]), min(scene.greenness + 0.2, 1.0)
    )
    paint(canvas, patch, _toned(scene, thing, leaf, light * (bark * 0.9 + 0.45)), cover, _mark(thing))


def _paint_rock(canvas: Canvas, scene: Scene, thing: Thing, patch: Patch) -> None:
    """A boulder of flat faces (planes around a middle), some in the sun, some in shadow."""
    half = thing.width_m / thing.height_m / 2
    chances = np.array(thing.chances[:21], np.float32).reshape(3, 7)
    towards = np.array(_FACES, np.float32).T + (chances - 0.5) * 0.5
    towards /= np.sqrt((towards * towards).sum(axis=0))
    across, up, toward = towards[:, :, None, None]
    a_1w, v_h1 = _a(thing, patch) / half, patch.v_h1 * 1.6 - 0.6
    depth = (0.8 - across * a_1w - up * v_h1) / np.maximum(toward, 0.12)
    near_hw = depth.min(axis=0)
    cover = unit(near_hw * max(patch.height_px / 8, 0.7) + 0.3)
    light = lit(scene, across * thing.mirror, up, toward)
    light_hw = np.where(depth <= near_hw, light, 0.0).max(axis=0)
    grain = patch_noise(patch, 64.0, (thing.chances[22], thing.chances[23]))
    colour = mixed((0.54, 0.50, 0.47), mixed(scene.soil, (0.42, 0.38, 0.36), 0.5), thing.chances[24])
    paint(canvas, patch, _toned(scene, thing, colour, light_hw * (grain * 0.5 + 0.75)), cover, _mark(thing))


_FACES = (
    (-0.9, 0.2, 0.3),
    (0.9, 0.2, 0.3),
    (-0.5, 0.7, 0.4),
    (0.5, 0.7, 0.4),
    (0.0, 0.3, 0.9),
    (-0.3, -0.6, 0.7),
    (0.4, 0.2, 0.8),
)


def _paint_log(canvas: Canvas, scene: Scene, thing: Thing, patch: Patch) -> None:
    """A fallen trunk, a little tilted, with a pale cut at one end."""
    half = thing.width_m / thing.height_m / 2
    a_1w, v_h1 = _a(thing, patch), patch.v_h1
    slope = 0.16 * (thing.chances[0] - 0.3)
    across = (v_h1 - 0.5 - slope * a_1w / half) / 0.40
    inside = (1.0 - abs(across)) * max(patch.height_px / 3, 1.0)
    ends = (half * 0.94 - abs(a_1w)) * max(patch.height_px, 2.0)
    cover = unit(np.minimum(inside, ends) + 0.5)
    side = np.clip(across, -1.0, 1.0)
    light = lit(scene, 0.0, side, np.sqrt(1.0 - side * side))
    bark = patch_noise(patch, 24.0, (thing.chances[1], thing.chances[2]), 0.25)
    tone = light * (bark * 0.9 + 0.55)
    colour = _toned(scene, thing, mixed((0.33, 0.20, 0.12), (0.45, 0.30, 0.19), thing.chances[3]), tone)
    cut = (a_1w - half * 0.86) / 0.18
    face = unit((1.0 - cut * cut - across * across) * 3.0)
    colour += (column(hazed(scene, (0.78, 0.62, 0.42), thing.z_m)) - colour) * face
    paint(canvas, patch, colour, cover, _mark(thing))


def _dots(patch: Patch, cells: tuple[float, float], chance: float, radius: float) -> tuple[Floats, Floats]:
    """Return 1 within dots [h, w], one jittered dot in each cell of a grid (across, up), and the cells' numbers."""
    table = chance_table()
    x = patch.u_1w * (cells[0] / 2) + 64.0
    y = patch.v_h1 * cells[1] + 64.0 + 0.3 * x
    column_w, row_h = np.floor(x), np.floor(y)
    cell = (row_h.astype(np.int32) * 1037 + column_w.astype(np.int32) * 2111 + int(chance * 4096)) & 4095
    number = table.take(cell)
    right = x - column_w - 0.25 - 0.5 * table.take(cell ^ 1)
    up = y - row_h - 0.25 - 0.5 * table.take(cell ^ 2)
    size = radius * radius * (0.3 + 1.4 * number)
    return (right * right + up * up < size).astype(np.float32), number


def _outline(patch: Patch, ragged: Floats) -> Floats:
    """Return the cover of a flat patch with a ragged edge, [h, w]."""
    up = patch.v_h1 * 2.0 - 1.0
    inside = 0.7 - patch.u_1w * patch.u_1w - up * up + (ragged - 0.5) * 1.6
    return unit(inside * max(patch.height_px / 3, 1.0) + 0.5)


def _paint_flowers(canvas: Canvas, scene: Scene, thing: Thing, patch: Patch) -> None:
    """A low patch of leaves full of small blossoms of one colour."""
    leaves = patch_noise(patch, 24.0, (thing.chances[0], thing.chances[1]))
    leaf = _toned(scene, thing, (0.36, 0.46, 0.22), leaves * 0.8 + 0.4)
    aspect = thing.width_m / thing.height_m
    blossom, number = _dots(patch, (6.0 * aspect, 6.0), thing.chances[2], 0.42)
    petal = _toned(scene, thing, PETALS[int(thing.chances[3] * len(PETALS))], number * 0.3 + 0.8)
    leaf += (petal - leaf) * blossom
    paint(canvas, patch, leaf, _outline(patch, leaves), _mark(thing))


def _paint_clutter(canvas: Canvas, scene: Scene, thing: Thing, patch: Patch) -> None:
    """Debris on the ground: broken twigs, bark, pebbles."""
    ragged = patch_noise(patch, 22.0, (thing.chances[0], thing.chances[1]), 0.5)
    litter = _toned(scene, thing, mixed(scene.soil, (0.30, 0.24, 0.19), 0.5), ragged * 0.8 + 0.45)
    aspect = thing.width_m / thing.height_m
    piece, number = _dots(patch, (2.2 * aspect, 7.0), thing.chances[2], 0.36)
    wood = _toned(scene, thing, (0.50, 0.43, 0.36), number * 1.2 + 0.3)
    litter += (wood - litter) * piece
    paint(canvas, patch, litter, _outline(patch, ragged), _mark(thing))


_PAINTERS: Mapping[Kind, Callable[[Canvas, Scene, Thing, Patch], None]] = {
    "tree": _paint_tree,
    "lush_bush": _paint_bush,
    "dry_grass": _paint_grass,
    "dry_bush": _paint_dry_bush,
    "clutter": _paint_clutter,
    "flowers": _paint_flowers,
    "log": _paint_log,
    "rock": _paint_rock,
}
