"""The desert painted: sky, ridges and a ground plane in perspective with shadows, and the things that stand on it.

Each thing is painted into its own box from formulas: the same shape at every size.

Shapes: h, w pixels of a thing's box; K spheres or planes of one thing. Within a box lengths are in heights of the
thing: a runs from the middle to the right, v from the ground up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from harness.data.desert_canvas import Canvas, Floats, Patch, column, dots, noise_at, pixel_centres, sample_noise, unit
from harness.data.desert_world import Kind, Rgb, Scene, Thing, mixed

LANDSCAPE, SKY = 7100, 10000
HAZE_M = 180.0
"""Distance at which half of a colour is haze."""
_RIDGES = ((2600.0, 0.15, 1.6), (1100.0, 0.085, 2.6), (380.0, 0.03, 4.0))
"""Distance in metres, height as a fraction of the picture's, and bumps across it; from far to near."""


def _paint_sky(canvas: Canvas, scene: Scene, x_W: Floats, y_H: Floats) -> None:
    rows = len(y_H)
    up_H1 = (1.0 - y_H / scene.horizon)[:, None]
    blend_H1 = (1.0 - up_H1) ** 2
    zenith, haze = column(scene.zenith), column(scene.haze)
    sky = canvas.rgb_3HW[:, :rows]
    sky[:] = zenith + (haze - zenith) * blend_H1
    side = x_W - 1.4 * scene.sun[0]
    glow = 0.22 / (1.0 + 2.5 * (side * side)[None, :] + 5.0 * (up_H1 - scene.sun[1]) ** 2)
    sky += column((1.0, 0.9, 0.7)) * glow
    if scene.clouds > 0.02:  # clouds lie in a plane overhead: they shrink and thicken towards the horizon
        distance = 1.0 / (up_H1 + 0.12)
        along = x_W[None, :] * distance * 26.0 + 256 * scene.chances[11]
        noise = sample_noise(along, distance * 22.0 + 256 * scene.chances[12])
        cover = np.clip((noise - (1.0 - scene.clouds)) * 2.4, 0.0, 0.85) * np.minimum(up_H1 * 5.0, 1.0)
        sky += (column(mixed((0.97, 0.97, 0.98), scene.haze, 0.3)) - sky) * cover
    canvas.label_HW[:rows] = SKY


def _paint_ridges(canvas: Canvas, scene: Scene, x_W: Floats, y_H: Floats) -> None:
    top_H1 = y_H[:, None]
    for order, (distance_m, tallest, bumps) in enumerate(_RIDGES):
        chance = scene.chances[13 + 4 * order : 17 + 4 * order]
        tall = tallest * (0.4 + 0.9 * chance[0])
        along = x_W * (bumps * 9.0) + (256.0 * chance[1])
        crest = sample_noise(along, 256.0 * chance[2]) + 0.22 * sample_noise(along * 6.0, 40.0)
        crest_W = scene.horizon - tall * np.clip(crest * 1.5 - 0.35, 0.05, None)
        # Nothing above the highest crest changes: most rows of most ridges are left alone.
        start = max(int(np.searchsorted(y_H, crest_W.min())) - 1, 0)
        share = distance_m / (distance_m + 6.0 * HAZE_M)
        blue = mixed(scene.haze, scene.zenith, 0.35)
        colour = mixed(mixed(scene.ridge, scene.soil, 0.45 * (order == 2)), blue, share)
        slopes = sample_noise(along * 3.0, top_H1[start:] * (150.0 * bumps)) - 0.5
        tone = 1.0 + slopes * (0.5 * (1.0 - share))
        rows = slice(start, len(y_H))
        cover = unit((top_H1[start:] - crest_W) * canvas.rgb_3HW.shape[1] + 0.5)
        region, mask = canvas.rgb_3HW[:, rows], cover > 0.5
        region += (column(colour) * tone - region) * cover
        np.copyto(canvas.label_HW[rows], np.uint16(LANDSCAPE), where=mask)
        np.copyto(canvas.depth_HW[rows], distance_m, where=mask)


def _paint_soil(canvas: Canvas, scene: Scene, x_W: Floats, y_H: Floats) -> None:
    first = canvas.rgb_3HW.shape[1] - len(y_H)
    # A pinhole camera over a plane sees it at z = focal * height / rows below the horizon; the nearest ridge ends it.
    below = np.maximum(y_H - scene.horizon, 1e-3)
    z_H1 = np.minimum((scene.focal * scene.eye_m) / below, _RIDGES[-1][0])[:, None]
    x_HW = x_W[None, :] * (z_H1 * (1.0 / scene.focal))
    offset = 256.0 * scene.chances[25], 256.0 * scene.chances[26]
    broad = sample_noise(x_HW * 1.6 + offset[0], z_H1 * 1.0 + offset[1]) - 0.5
    fine = sample_noise(x_HW * 24.0 + offset[1], z_H1 * 17.0 + offset[0]) - 0.5
    # Far away a pixel spans many texels of fine noise: it would flicker there, so broad patches take its place.
    fade_H1 = 9.0 / (9.0 + z_H1)
    tone = 0.88 + 0.25 * scene.sun[1] + broad * (0.45 - 0.25 * fade_H1) + fine * (0.55 * fade_H1)
    red = broad * 0.10
    haze_H1 = z_H1 / (z_H1 + 2.0 * HAZE_M)
    ground = canvas.rgb_3HW[:, first:]
    np.multiply(column(scene.soil), tone, out=ground)
    ground[0] += red
    ground[2] -= red
    ground += (column(mixed(scene.haze, scene.soil, 0.35)) - ground) * haze_H1
    canvas.depth_HW[first:] = z_H1


def _paint_shadow(canvas: Canvas, scene: Scene, thing: Thing) -> None:
    """Darken an ellipse on the ground, on the side away from the sun."""
    height, width = canvas.label_HW.shape
    if thing.height_m / thing.z_m * height * scene.focal < 4.0:
        return
    solid = _KINDS[thing.kind].shadow
    # A low sun would throw shadows over half the picture: they end at 1.3 heights.
    reach_m = thing.height_m * min(0.5 / scene.sun[1], 1.3) * solid
    z_m = thing.z_m + 0.3 * reach_m * scene.sun[2]
    x_m = thing.x_m - reach_m * scene.sun[0]
    per_m = height * scene.focal / z_m
    half_px = 0.5 * max((thing.width_m * 0.45 + reach_m * 0.5) * scene.eye_m / z_m * per_m, 0.8)
    centre = height * scene.horizon + per_m * scene.eye_m
    wide_px = (thing.width_m * 0.9 + 1.2 * reach_m * abs(scene.sun[0])) * per_m
    patch = canvas.patch(width / 2 + per_m * x_m, centre + half_px, wide_px, 2.0 * half_px)
    if patch is None or patch.rows.start < height * scene.horizon - 1:
        return
    across = 2.0 * patch.v_h1 - 1.0
    inside = np.clip((1.0 - patch.u_1w * patch.u_1w - across * across) * 2.0, 0.0, 0.5 * solid)
    canvas.rgb_3HW[:, patch.rows, patch.columns] *= 1.0 - inside


def lit(scene: Scene, across: Floats | float, up: Floats | float, toward: Floats | float) -> Floats:
    """Return the light on a surface with this unit normal: sky from all sides, and the sun (Lambert's cosine law)."""
    cosine = across * scene.sun[0] + up * scene.sun[1] + toward * scene.sun[2]
    return np.maximum(cosine, 0.0) * 0.75 + (0.40 + 0.12 * up)


def hazed(scene: Scene, colour: Rgb, z_m: float) -> Rgb:
    """Return a thing's colour as seen from this distance."""
    return mixed(colour, scene.haze, z_m / (z_m + 2.0 * HAZE_M))


STRAW = (0.80, 0.68, 0.40)
PETALS: tuple[Rgb, ...] = ((0.72, 0.32, 0.78), (0.98, 0.80, 0.15), (0.95, 0.93, 0.95), (0.90, 0.30, 0.30))


def draw(scene: Scene, size: tuple[int, int]) -> Canvas:
    """Draw a scene at [H, W], things from far to near."""
    height, width = size
    canvas = Canvas(
        rgb_3HW=np.empty((3, height, width), np.float32),
        label_HW=np.full(size, LANDSCAPE, np.uint16),
        depth_HW=np.zeros(size, np.float32),
    )
    x_W, y_H = (pixel_centres(width) - width / 2) / height, pixel_centres(height) / height
    first = int(np.searchsorted(y_H, scene.horizon))
    _paint_sky(canvas, scene, x_W, y_H[:first])
    _paint_ridges(canvas, scene, x_W, y_H[:first])
    _paint_soil(canvas, scene, x_W, y_H[first:])
    # Shadows come before all things: they lie on the ground, and darken nothing that stands on it.
    for thing in scene.things:
        _paint_shadow(canvas, scene, thing)
    for thing in scene.things:
        per_m = height * scene.focal / thing.z_m
        base = height * scene.horizon + per_m * scene.eye_m
        tall_px = thing.height_m * per_m
        if tall_px < 1.5:
            continue
        patch = canvas.patch(width / 2 + per_m * thing.x_m, base, thing.width_m * per_m, tall_px)
        if patch is not None:
            kind = _KINDS[thing.kind]
            for colour_3hw, cover_hw in kind.layers(scene, thing, patch):
                canvas.paint(patch, colour_3hw, cover_hw, kind.raw_id, thing.z_m)
    return canvas


Layer = tuple[Floats, Floats]
"""Colour [3, h, w], and how much of what lies behind it covers, [h, w]."""


def _a(thing: Thing, patch: Patch) -> Floats:
    return patch.u_1w * (thing.mirror * patch.width_px / patch.height_px / 2)


def _toned(scene: Scene, thing: Thing, colour: Rgb, tone_hw: Floats) -> Floats:
    """Return a colour under this light, [3, h, w], as seen through the air."""
    share = 1.0 - thing.z_m / (thing.z_m + 360.0)
    return column(hazed(scene, colour, thing.z_m)) * (tone_hw * share + (1.0 - share))


def _spheres(scene: Scene, thing: Thing, patch: Patch, spheres: Floats, ragged_hw: Floats) -> tuple[Floats, Floats]:
    """Return cover [h, w] and light [h, w] of spheres [3, K], the nearest to the eye in front."""
    a_K1, v_K1, radius_K1 = spheres[:, :, None, None]
    across = (_a(thing, patch) - a_K1) / radius_K1
    up = (patch.v_h1 - v_K1) / radius_K1
    # `bulge` is the square of the normal's part towards the eye. It is zero at the outline, which `ragged_hw` frays.
    bulge = ragged_hw - across * across - up * up
    front_hw = bulge.max(axis=0)
    light = lit(scene, across * thing.mirror, up, np.sqrt(np.maximum(bulge, 0.0)))
    light_hw = np.where(bulge >= front_hw, light, 0.0).max(axis=0)
    return unit(front_hw * max(patch.height_px / 7, 0.7) + 0.5), light_hw


def _ring(thing: Thing, number: int, middle: tuple[float, float], spread: tuple[float, float], radius: float) -> Floats:
    """Return spheres scattered around a middle (a, v): their middles a and v, and radii, [3, K]."""
    along_K, up_K, size_K = np.array(thing.chances[:24]).reshape(3, 8)[:, :number]
    a_K = middle[0] + spread[0] * (2.0 * (np.arange(number) + along_K) / number - 1.0)
    v_K = middle[1] + spread[1] * (2.0 * up_K - 1.0)
    return np.array((a_K, v_K, radius * (0.75 + 0.5 * size_K)), np.float32)


def _paint_bush(scene: Scene, thing: Thing, patch: Patch) -> Iterator[Layer]:
    """Round green clumps."""
    half = thing.aspect / 2
    leaves = patch.noise(90.0, (thing.chances[24], thing.chances[25]))
    radius = min(0.33, half * 0.42)
    spheres = _ring(thing, 7, (0.0, 0.4), (half - 1.3 * radius, 0.18), radius)
    cover, light = _spheres(scene, thing, patch, spheres, leaves * 0.8 + 0.45)
    fresh = mixed((0.30, 0.48, 0.17), (0.42, 0.56, 0.24), thing.chances[26])
    colour = mixed(STRAW, fresh, min(scene.greenness + 0.1, 1.0))
    yield _toned(scene, thing, colour, light * (leaves * 0.9 + 0.5)), cover


def _paint_dry_bush(scene: Scene, thing: Thing, patch: Patch) -> Iterator[Layer]:
    """Brown twigs that fan out from the ground, with gaps between them."""
    half = thing.aspect / 2
    a_1w, v_h1 = _a(thing, patch) / half, patch.v_h1
    reach = a_1w * a_1w * 1.15 + (v_h1 - 0.25) ** 2 * 1.7
    fan = a_1w / (v_h1 + 0.4) * 16.0
    twigs = noise_at(fan + 256 * (1 + thing.chances[0]), v_h1 * 7.0 + 256 * thing.chances[1])
    tufts = patch.noise(80.0, (thing.chances[2], thing.chances[3]))
    density = 0.75 - reach + (twigs - 0.5) * 0.8 + (tufts - 0.5) * 0.5
    cover = unit(density * max(patch.height_px / 5, 1.0) + 0.5)
    light = lit(scene, a_1w * (0.6 * thing.mirror), v_h1 * 0.6 + 0.1, 0.5)
    colour = mixed((0.46, 0.36, 0.25), (0.60, 0.52, 0.40), thing.chances[4])
    tone = light * (twigs * 1.0 + tufts * 0.5 + 0.15)
    yield _toned(scene, thing, colour, tone), cover


def _paint_grass(scene: Scene, thing: Thing, patch: Patch) -> Iterator[Layer]:
    """A tuft of straw-coloured blades: darker at the root, pale at the tips."""
    u_1w, v_h1 = patch.u_1w * thing.mirror, patch.v_h1
    lean = v_h1 * v_h1 * (0.8 * (thing.chances[0] - 0.5))
    fan = (u_1w - lean) / (0.5 + 0.5 * v_h1)
    along = fan * (18.0 * thing.width_m / thing.height_m) + 256 * (1 + thing.chances[1])
    blades = noise_at(along, v_h1 * 4.0 + 256 * thing.chances[2])
    tip = (1.0 - fan * fan * 0.9) * (0.35 + 0.85 * blades)
    inside = np.minimum(tip - v_h1, 3.0 * v_h1 - 0.35 * u_1w * u_1w + 0.03)
    cover = unit(inside * (max(patch.height_px, 3.0) / 3) + 0.4)
    colour = mixed(STRAW, (0.62, 0.60, 0.32), 0.7 * scene.greenness * thing.chances[3])
    tone = (0.55 + 0.4 * v_h1) * (0.55 + 0.9 * blades)
    yield _toned(scene, thing, colour, tone * (0.9 + 0.3 * scene.sun[1])), cover


def _paint_tree(scene: Scene, thing: Thing, patch: Patch) -> Iterator[Layer]:
    """A trunk and a crown of clumps."""
    half = thing.aspect / 2
    bark = patch.noise(150.0, (thing.chances[25], thing.chances[24]))
    lean = (0.25 * (thing.chances[26] - 0.5)) * patch.v_h1
    middle = (_a(thing, patch) - lean) / (0.055 - 0.035 * patch.v_h1)
    cover = unit((1.0 - abs(middle)) * max(patch.height_px / 20, 1.0) + 0.5)
    cover = np.where(patch.v_h1 < 0.6, cover, 0.0)
    side = np.clip(middle, -1.0, 1.0)
    light = lit(scene, side * thing.mirror, 0.0, np.sqrt(1.0 - side * side))
    yield _toned(scene, thing, (0.36, 0.27, 0.20), light * (bark + 0.5)), cover
    radius = min(0.19, half * 0.4)
    spheres = _ring(thing, 8, (0.1 * (thing.chances[26] - 0.5), 0.66), (half - 1.5 * radius, 0.13), radius)
    cover, light = _spheres(scene, thing, patch, spheres, bark * 1.1 + 0.3)
    fresh = mixed((0.24, 0.34, 0.16), (0.33, 0.40, 0.20), thing.chances[27])
    leaf = mixed(STRAW, fresh, min(scene.greenness + 0.2, 1.0))
    yield _toned(scene, thing, leaf, light * (bark * 0.9 + 0.45)), cover


def _paint_rock(scene: Scene, thing: Thing, patch: Patch) -> Iterator[Layer]:
    """A boulder of flat faces (planes around a middle), some in the sun, some in shadow."""
    half = thing.aspect / 2
    chances = np.array(thing.chances[:21], np.float32).reshape(3, 7)
    towards = np.array(_FACES, np.float32).T + (chances - 0.5) * 0.5
    towards /= np.sqrt((towards * towards).sum(axis=0))
    across, up, toward = towards[:, :, None, None]
    a_1w, v_h1 = _a(thing, patch) / half, patch.v_h1 * 1.6 - 0.6
    # A line of sight meets each plane at a depth. Of a convex body the nearest is the face that is seen.
    depth = (0.8 - across * a_1w - up * v_h1) / np.maximum(toward, 0.12)
    near_hw = depth.min(axis=0)
    cover = unit(near_hw * max(patch.height_px / 8, 0.7) + 0.3)
    light = lit(scene, across * thing.mirror, up, toward)
    light_hw = np.where(depth <= near_hw, light, 0.0).max(axis=0)
    grain = patch.noise(64.0, (thing.chances[22], thing.chances[23]))
    colour = mixed((0.54, 0.50, 0.47), mixed(scene.soil, (0.42, 0.38, 0.36), 0.5), thing.chances[24])
    yield _toned(scene, thing, colour, light_hw * (grain * 0.5 + 0.75)), cover


_FACES = (
    (-0.9, 0.2, 0.3),
    (0.9, 0.2, 0.3),
    (-0.5, 0.7, 0.4),
    (0.5, 0.7, 0.4),
    (0.0, 0.3, 0.9),
    (-0.3, -0.6, 0.7),
    (0.4, 0.2, 0.8),
)


def _paint_log(scene: Scene, thing: Thing, patch: Patch) -> Iterator[Layer]:
    """A fallen trunk, a little tilted, with a pale cut at one end."""
    half = thing.aspect / 2
    a_1w, v_h1 = _a(thing, patch), patch.v_h1
    slope = 0.16 * (thing.chances[0] - 0.3)
    across = (v_h1 - 0.5 - slope * a_1w / half) / 0.40
    inside = (1.0 - abs(across)) * max(patch.height_px / 3, 1.0)
    ends = (half * 0.94 - abs(a_1w)) * max(patch.height_px, 2.0)
    cover = unit(np.minimum(inside, ends) + 0.5)
    side = np.clip(across, -1.0, 1.0)
    light = lit(scene, 0.0, side, np.sqrt(1.0 - side * side))
    bark = patch.noise(24.0, (thing.chances[1], thing.chances[2]), 0.25)
    tone = light * (bark * 0.9 + 0.55)
    colour = _toned(scene, thing, mixed((0.33, 0.20, 0.12), (0.45, 0.30, 0.19), thing.chances[3]), tone)
    cut = (a_1w - half * 0.86) / 0.18
    face = unit((1.0 - cut * cut - across * across) * 3.0)
    colour += (column(hazed(scene, (0.78, 0.62, 0.42), thing.z_m)) - colour) * face
    yield colour, cover


def _outline(patch: Patch, ragged: Floats) -> Floats:
    """Return the cover of a flat patch with a ragged edge, [h, w]."""
    up = patch.v_h1 * 2.0 - 1.0
    inside = 0.7 - patch.u_1w * patch.u_1w - up * up + (ragged - 0.5) * 1.6
    return unit(inside * max(patch.height_px / 3, 1.0) + 0.5)


def _paint_flowers(scene: Scene, thing: Thing, patch: Patch) -> Iterator[Layer]:
    """A low patch of leaves full of small blossoms of one colour."""
    leaves = patch.noise(24.0, (thing.chances[0], thing.chances[1]))
    leaf = _toned(scene, thing, (0.36, 0.46, 0.22), leaves * 0.8 + 0.4)
    blossom, number = dots(patch, (6.0 * thing.aspect, 6.0), thing.chances[2], 0.42)
    petal = _toned(scene, thing, PETALS[int(thing.chances[3] * len(PETALS))], number * 0.3 + 0.8)
    leaf += (petal - leaf) * blossom
    yield leaf, _outline(patch, leaves)


def _paint_clutter(scene: Scene, thing: Thing, patch: Patch) -> Iterator[Layer]:
    """Debris on the ground: broken twigs, bark, pebbles."""
    ragged = patch.noise(22.0, (thing.chances[0], thing.chances[1]), 0.5)
    litter = _toned(scene, thing, mixed(scene.soil, (0.30, 0.24, 0.19), 0.5), ragged * 0.8 + 0.45)
    inside, number = dots(patch, (2.2 * thing.aspect, 7.0), thing.chances[2], 0.36)
    wood = _toned(scene, thing, (0.50, 0.43, 0.36), number * 1.2 + 0.3)
    litter += (wood - litter) * inside
    yield litter, _outline(patch, ragged)


class _Painted(NamedTuple):
    """How a kind of thing is painted."""

    layers: Callable[[Scene, Thing, Patch], Iterator[Layer]]
    raw_id: int
    shadow: float
    """How much light it holds back."""


_KINDS: Mapping[Kind, _Painted] = {
    "tree": _Painted(_paint_tree, 100, 1.0),
    "lush_bush": _Painted(_paint_bush, 200, 1.0),
    "dry_grass": _Painted(_paint_grass, 300, 0.6),
    "dry_bush": _Painted(_paint_dry_bush, 500, 0.8),
    "clutter": _Painted(_paint_clutter, 550, 0.4),
    "flowers": _Painted(_paint_flowers, 600, 0.4),
    "log": _Painted(_paint_log, 700, 1.0),
    "rock": _Painted(_paint_rock, 800, 1.0),
}
