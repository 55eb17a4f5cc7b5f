"""The desert before it is drawn: what stands where, under which sun. A scene knows nothing of pixels.

Lengths are metres: x to the right, z away from the eye. Colours are red, green, blue, 0 to 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

GENERATOR_VERSION = 1
"""Raised when any pixel of any scene changes on purpose: it is part of the data's digest."""
NUM_CHANCES = 40
"""Random numbers that a thing brings along for its own shape."""
WIDEST = 1.1
"""Things stand as far to the sides as an image sees whose width is twice this many heights."""

SplitName = Literal["train", "val", "test"]
Kind = Literal["tree", "lush_bush", "dry_grass", "dry_bush", "clutter", "flowers", "log", "rock"]
Rgb = tuple[float, float, float]

_SPLIT_CODE: Mapping[str, int] = {"train": 0, "val": 1, "test": 2}


@dataclass(frozen=True)
class Growth:
    """How one kind of thing occurs: number in a scene, height, and width for that height."""

    number: tuple[int, int]
    height_m: tuple[float, float]
    aspect: tuple[float, float]
    """Width divided by height."""
    nearest_m: float = 3.5
    farthest_m: float = 70.0


@dataclass(frozen=True)
class Style:
    """What one desert looks like. Each pair is a range; a scene draws its own value within it."""

    zenith: tuple[Rgb, Rgb]
    haze: tuple[Rgb, Rgb]
    soil: tuple[Rgb, Rgb]
    ridge: tuple[Rgb, Rgb]
    clouds: tuple[float, float]
    """Share of the sky under cloud."""
    sun_height: tuple[float, float]
    """Sine of the sun's elevation."""
    greenness: tuple[float, float]
    """0: vegetation has dried to the colour of straw; 1: it is fresh."""
    growth: Mapping[Kind, Growth]


SAGE_DESERT = Style(
    zenith=((0.20, 0.40, 0.70), (0.34, 0.55, 0.84)),
    haze=((0.72, 0.78, 0.84), (0.90, 0.90, 0.88)),
    soil=((0.62, 0.49, 0.34), (0.80, 0.66, 0.48)),
    ridge=((0.36, 0.34, 0.36), (0.48, 0.43, 0.42)),
    clouds=(0.0, 0.45),
    sun_height=(0.35, 0.85),
    greenness=(0.75, 1.0),
    growth={
        "tree": Growth((1, 6), (3.0, 6.5), (0.55, 0.9), 9.0, 60.0),
        "lush_bush": Growth((4, 14), (0.7, 1.7), (1.1, 1.9), 5.0, 60.0),
        "dry_grass": Growth((16, 40), (0.35, 0.9), (1.2, 2.8), 3.2, 45.0),
        "dry_bush": Growth((4, 14), (0.6, 1.5), (1.1, 1.9), 4.5, 55.0),
        "clutter": Growth((3, 10), (0.18, 0.36), (5.0, 10.0), 3.0, 18.0),
        "flowers": Growth((0, 5), (0.18, 0.34), (2.5, 5.0), 3.4, 18.0),
        "log": Growth((0, 3), (0.22, 0.40), (4.0, 7.0), 4.0, 22.0),
        "rock": Growth((3, 13), (0.3, 1.6), (1.1, 1.9), 4.0, 50.0),
    },
)
RED_DESERT = Style(
    zenith=((0.42, 0.52, 0.66), (0.58, 0.62, 0.70)),
    haze=((0.88, 0.76, 0.64), (0.95, 0.85, 0.74)),
    soil=((0.60, 0.33, 0.21), (0.74, 0.44, 0.29)),
    ridge=((0.46, 0.30, 0.27), (0.58, 0.37, 0.31)),
    clouds=(0.2, 0.7),
    sun_height=(0.15, 0.5),
    greenness=(0.35, 0.7),
    growth={
        "tree": Growth((0, 3), (2.5, 5.0), (0.7, 1.1), 10.0, 60.0),
        "lush_bush": Growth((1, 7), (0.5, 1.2), (1.1, 1.8), 5.0),
        "dry_grass": Growth((7, 26), (0.3, 0.75), (1.2, 2.8), 3.2, 45.0),
        "dry_bush": Growth((6, 18), (0.4, 1.0), (1.1, 1.9), 4.5),
        "clutter": Growth((2, 8), (0.14, 0.30), (6.0, 11.0), 3.0, 22.0),
        "flowers": Growth((0, 4), (0.18, 0.34), (2.5, 5.0), 3.4, 18.0),
        "log": Growth((0, 2), (0.22, 0.40), (4.0, 7.0), 4.0, 22.0),
        "rock": Growth((10, 30), (0.3, 1.6), (1.0, 1.8), 3.8),
    },
)


@dataclass(frozen=True)
class Thing:
    """Something that stands or lies on the ground."""

    kind: Kind
    x_m: float
    z_m: float
    height_m: float
    width_m: float
    mirror: float
    """1 or -1: what is right and left of its shape."""
    chances: tuple[float, ...]
    """Uniform numbers in [0, 1) that decide its shape and colour."""

    @property
    def aspect(self) -> float:
        """Return its width in heights."""
        return self.width_m / self.height_m


@dataclass(frozen=True)
class Scene:
    """One view of a desert."""

    horizon: float
    """Height of the flat horizon from the image's top, as a fraction of its height."""
    focal: float
    """Focal length in image heights."""
    eye_m: float
    """Height of the eye over the ground."""
    zenith: Rgb
    haze: Rgb
    soil: Rgb
    ridge: Rgb
    clouds: float
    greenness: float
    sun: Rgb
    """Unit vector towards the sun: right, up, towards the eye."""
    chances: tuple[float, ...]
    """Uniform numbers in [0, 1) for ridges, clouds and the ground's texture."""
    things: tuple[Thing, ...]
    """From far to near."""


def make_scene(split: SplitName, index: int) -> Scene:
    """Return the scene of one image. `train` and `val` show one desert, `test` another one."""
    style = RED_DESERT if split == "test" else SAGE_DESERT
    generator = np.random.default_rng((GENERATOR_VERSION, _SPLIT_CODE[split], index))
    chances = generator.random(NUM_CHANCES).tolist()
    focal, eye_m = 0.95 + 0.25 * chances[0], 1.3 + 0.5 * chances[1]
    return Scene(
        horizon=0.36 + 0.17 * chances[2],
        focal=focal,
        eye_m=eye_m,
        zenith=_between(style.zenith, chances[3]),
        haze=_between(style.haze, chances[4]),
        soil=_between(style.soil, chances[5]),
        ridge=_between(style.ridge, chances[6]),
        clouds=_within(style.clouds, chances[7]),
        greenness=_within(style.greenness, chances[8]),
        sun=_sun(_within(style.sun_height, chances[9]), 2.0 * chances[10] - 1.0),
        chances=tuple(chances),
        things=_scatter(generator, style, focal),
    )


def _scatter(generator: np.random.Generator, style: Style, focal: float) -> tuple[Thing, ...]:
    """Place things: about evenly over the picture's ground, so that far ones are many."""
    things = []
    for kind, growth in style.growth.items():
        number = int(generator.integers(growth.number[0], growth.number[1] + 1))
        for row in generator.random((number, NUM_CHANCES)).tolist():
            # Rows of the picture's ground are even in 1 / z. A smaller power moves things away from the eye: even in
            # 1 / z, most would be the few large ones in front, which hide the others.
            near, far = growth.nearest_m**-0.6, growth.farthest_m**-0.6
            z_m = (far + (near - far) * row[0]) ** (-1 / 0.6)
            height_m = _within(growth.height_m, row[2] * row[2])
            things.append(
                Thing(
                    kind=kind,
                    x_m=(2.0 * row[1] - 1.0) * WIDEST * z_m / focal,
                    z_m=z_m,
                    height_m=height_m,
                    width_m=height_m * _within(growth.aspect, row[3]),
                    mirror=1.0 if row[4] < 0.5 else -1.0,
                    chances=tuple(row[5:]),
                )
            )
    return tuple(sorted(things, key=lambda thing: -thing.z_m))


def _sun(height: float, side: float) -> Rgb:
    """Return the direction to a sun of this sine of elevation, from the left (-1) to the right (1), never behind."""
    flat = (1.0 - height * height) ** 0.5
    return (flat * side, height, flat * (1.0 - side * side) ** 0.5)


def _within(limits: tuple[float, float], chance: float) -> float:
    return limits[0] + (limits[1] - limits[0]) * chance


def _between(colours: tuple[Rgb, Rgb], chance: float) -> Rgb:
    red, green, blue = (_within(limits, chance) for limits in zip(*colours, strict=True))
    return red, green, blue


def mixed(first: Rgb, second: Rgb, share: float) -> Rgb:
    """Return the colour between two; share 0 is the first."""
    red, green, blue = (one * (1.0 - share) + other * share for one, other in zip(first, second, strict=True))
    return red, green, blue
