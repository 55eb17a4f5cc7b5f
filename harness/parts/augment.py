"""Augmentations. Letters: C channel, H, W.

A step draws from the generator it is given and from nothing else. Label and depth follow by nearest neighbour; a pixel
that a step makes up is 255 (ignored) in the label, unknown in the depth, and in the image grey: near zero once
normalised, as convolutions pad.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, TypeAlias

import numpy as np
from pydantic import Field

from harness.catalog import part
from harness.errors import InputError
from harness.parts.sample import Sample
from harness.settings import Fraction, Positive, Size

Augment: TypeAlias = "Callable[[Sample, np.random.Generator], Sample]"
"""A sample and a generator -> the sample with picture, label and depth changed together."""
Angle = Annotated[float, Field(gt=0, le=180)]
HalfTurn = Annotated[float, Field(ge=0, le=0.5)]
GREY = 127


@part("augment")
def flip(*, p: Fraction = 0.5) -> Augment:
    """Mirror left and right, with probability p."""

    def apply(sample: Sample, rng: np.random.Generator) -> Sample:
        if rng.random() >= p:
            return sample
        return sample.moved(lambda image_CHW: image_CHW.flip(-1), lambda map_1HW, fill: map_1HW.flip(-1))

    return apply


@part("augment")
def rotate(*, degrees: Angle, p: Fraction = 1.0) -> Augment:
    """Turn about the centre by up to `degrees` either way, with probability p; what comes into view is ignored."""

    def apply(sample: Sample, rng: np.random.Generator) -> Sample:
        from torchvision.transforms import InterpolationMode
        from torchvision.transforms.v2 import functional

        if rng.random() >= p:
            return sample
        angle = rng.uniform(-degrees, degrees)
        return sample.moved(
            lambda image_CHW: functional.rotate(image_CHW, angle, InterpolationMode.BILINEAR, fill=[GREY]),
            lambda map_1HW, fill: functional.rotate(map_1HW, angle, InterpolationMode.NEAREST, fill=[fill]),
        )

    return apply


@part("augment")
def crop(*, size: Size) -> Augment:
    """Cut out a random window of `size` (height, width); an image that is smaller is set into ignored pixels first."""

    def apply(sample: Sample, rng: np.random.Generator) -> Sample:
        from torch.nn import functional

        have = sample.label_HW.shape
        above_below, beside = (_border(side, want, rng) for side, want in zip(have, size, strict=True))
        padded = sample.moved(
            lambda image_CHW: functional.pad(image_CHW, (*beside, *above_below), value=GREY),
            lambda map_1HW, fill: functional.pad(map_1HW, (*beside, *above_below), value=fill),
        )
        have = padded.label_HW.shape
        top, left = (int(rng.integers(side - want + 1)) for side, want in zip(have, size, strict=True))
        window = (..., slice(top, top + size[0]), slice(left, left + size[1]))
        return padded.moved(lambda image_CHW: image_CHW[window], lambda map_1HW, fill: map_1HW[window])

    return apply


def _border(have: int, want: int, rng: np.random.Generator) -> tuple[int, int]:
    """Return how many pixels to add before and after, at a random place."""
    missing = max(0, want - have)
    before = int(rng.integers(missing + 1))
    return before, missing - before


@part("augment")
def scale(*, low: Positive = 0.5, high: Positive = 2.0) -> Augment:
    """Resize both sides by one factor between low and high; a crop after it makes images of one size again.

    Depth keeps its values: what is enlarged is not taken to be nearer.
    """
    if low > high:
        raise InputError(f"augment.scale: low is {low:g}, above high, {high:g}; exchange them")

    def apply(sample: Sample, rng: np.random.Generator) -> Sample:
        from torchvision.transforms import InterpolationMode
        from torchvision.transforms.v2 import functional

        factor = rng.uniform(low, high)
        size = [max(1, round(side * factor)) for side in sample.label_HW.shape]
        return sample.moved(
            lambda image_CHW: functional.resize(image_CHW, size, InterpolationMode.BILINEAR, antialias=True),
            lambda map_1HW, fill: functional.resize(map_1HW, size, InterpolationMode.NEAREST_EXACT),
        )

    return apply


@part("augment")
def colour(
    *, brightness: Fraction = 0.2, contrast: Fraction = 0.2, saturation: Fraction = 0.2, hue: HalfTurn = 0.0
) -> Augment:
    """Change brightness, contrast, saturation by factors from 1 - x to 1 + x, then hue by up to a share of its circle.

    Hue takes several times as long as the others together.
    """

    def apply(sample: Sample, rng: np.random.Generator) -> Sample:
        from torchvision.transforms.v2 import functional

        steps = (
            (functional.adjust_brightness, 1.0, brightness),
            (functional.adjust_contrast, 1.0, contrast),
            (functional.adjust_saturation, 1.0, saturation),
            (functional.adjust_hue, 0.0, hue),
        )
        image_CHW = sample.image_CHW
        for adjust, middle, reach in steps:
            if reach > 0:
                image_CHW = adjust(image_CHW, rng.uniform(middle - reach, middle + reach))
        return sample.with_image(image_CHW)

    return apply


@part("augment")
def blur(*, p: Fraction = 0.5, low: Positive = 0.1, high: Positive = 2.0) -> Augment:
    """Blur the image, with probability p, by a Gaussian whose deviation is between low and high (pixels)."""
    if low > high:
        raise InputError(f"augment.blur: low is {low:g}, above high, {high:g}; exchange them")

    def apply(sample: Sample, rng: np.random.Generator) -> Sample:
        from torchvision.transforms.v2 import functional

        if rng.random() >= p:
            return sample
        sigma_px = rng.uniform(low, high)
        # Three deviations hold 99.7 % of a Gaussian; the mirrored border must be shorter than the image.
        radius = min(math.ceil(3 * sigma_px), min(sample.label_HW.shape) - 1)
        blurred_CHW = functional.gaussian_blur(sample.image_CHW, 2 * [2 * radius + 1], 2 * [sigma_px])
        return sample.with_image(blurred_CHW)

    return apply
