"""The desert without things: sky, ridges, and a ground plane in perspective with the shadows that fall on it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from harness.data.desert_canvas import Canvas, Floats, column, make_patch, mixed, pixel_centres, sample_noise, unit
from harness.data.desert_world import Kind, Rgb, Scene, Thing

LANDSCAPE, SKY = 7100, 10000
HAZE_M = 180.0
"""Distance at which half of a colour is haze."""
_RIDGES = ((2600.0, 0.15, 1.6), (1100.0, 0.085, 2.6), (380.0, 0.03, 4.0))
"""Distance in metres, height as a fraction of the picture's, and bumps across it; from far to near."""

_SHADOW: Mapping[Kind, float] = {
    "tree": 1.0,
    "lush_bush": 1.0,
    "dry_grass": 0.6,
    "dry_bush": 0.8,
    "clutter": 0.4,
    "flowers": 0.4,
    "log": 1.0,
    "rock": 1.0,
}
"""How much light a kind of thing holds back."""


def paint_ground(scene: Scene, size: tuple[int, int]) -> Canvas:
    """Return a canvas [H, W] with everything but the things."""
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
    for thing in scene.things:
        _paint_shadow(canvas, scene, thing)
    return canvas


def _paint_sky(canvas: Canvas, scene: Scene, x_W: Floats, y_H: Floats) -> None:
    rows = len(y_H)
    up_H1 = (1.0 - y_H / scene.horizon)[:, None]
    blend_H1 = (1.0 - up_H1) ** 2
    zenith, haze = column(scene.zenith), column(scene.haze)
    sky = canvas.rgb_3HW[:, :rows]
    sky[:] = zenith + (haze - zenith) * blend_H1
    side = x_W - (1.4 * scene.sun[0])
    glow = 0.22 / (1.0 + 2.5 * (side * side)[None, :] + 5.0 * (up_H1 - (scene.sun[1])) ** 2)
    sky += column((1.0, 0.9, 0.7)) * glow
    if scene.clouds > 0.02:  # clouds lie in a plane overhead: they shrink and thicken towards the horizon
        away = 1.0 / (up_H1 + 0.12)
        noise = sample_noise(
            x_W[None, :] * away * 26.0 + 256 * scene.chances[11], away * 22.0 + 256 * scene.chances[12]
        )
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
    below = np.maximum(y_H - scene.horizon, (1e-3))
    z_H1 = np.minimum((scene.focal * scene.eye_m) / below, (_RIDGES[-1][0]))[:, None]
    x_HW = x_W[None, :] * (z_H1 * (1.0 / scene.focal))
    offset = 256.0 * scene.chances[25], 256.0 * scene.chances[26]
    broad = sample_noise(x_HW * 1.6 + offset[0], z_H1 * 1.0 + offset[1]) - 0.5
    fine = sample_noise(x_HW * 24.0 + offset[1], z_H1 * 17.0 + offset[0]) - 0.5
    fade_H1 = 9.0 / (9.0 + z_H1)
    tone = 0.88 + 0.25 * scene.sun[1] + broad * (0.45 - 0.25 * fade_H1) + fine * (0.55 * fade_H1)
    red = broad * 0.10
    haze_H1 = z_H1 / (z_H1 + (2.0 * HAZE_M))
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
    solid = _SHADOW[thing.kind]
    reach_m = thing.height_m * min(0.5 / scene.sun[1], 1.3) * solid
    z_m = thing.z_m + 0.3 * reach_m * scene.sun[2]
    x_m = thing.x_m - reach_m * scene.sun[0]
    per_m = height * scene.focal / z_m
    half_px = 0.5 * max((thing.width_m * 0.45 + reach_m * 0.5) * scene.eye_m / z_m * per_m, 0.8)
    centre = height * scene.horizon + per_m * scene.eye_m
    wide_px = (thing.width_m * 0.9 + 1.2 * reach_m * abs(scene.sun[0])) * per_m
    patch = make_patch((height, width), width / 2 + per_m * x_m, centre + half_px, wide_px, 2.0 * half_px)
    if patch is None or patch.rows.start < height * scene.horizon - 1:
        return
    across = 2.0 * patch.v_h1 - 1.0
    inside = np.clip((1.0 - patch.u_1w * patch.u_1w - across * across) * 2.0, 0.0, 0.5 * solid)
    canvas.rgb_3HW[:, patch.rows, patch.columns] *= 1.0 - inside


def lit(scene: Scene, across: Floats | float, up: Floats | float, toward: Floats | float) -> Floats:
    """Return the light on a surface with this unit normal: sky from all sides, and the sun (Lambert's cosine law)."""
    cosine = across * (scene.sun[0]) + up * (scene.sun[1]) + toward * (scene.sun[2])
    return np.maximum(cosine, 0.0) * 0.75 + (0.40 + 0.12 * up)


def hazed(scene: Scene, colour: Rgb, z_m: float) -> Rgb:
    """Return a thing's colour as seen from this distance."""
    return mixed(colour, scene.haze, z_m / (z_m + 2.0 * HAZE_M))
