"""Augmentations. Letters: C channel, H, W.

A step draws from the generator it is given and from nothing else. One that only moves pixels is `Geometric`: it says
which transform it draws, so that several in a row can be made by one sampling.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, TypeAlias

import numpy as np
from pydantic import Field

from harness.errors import InputError
from harness.parts.geometric_transforms import CropWindow, Geometric, HorizontalFlip, Resize, Rotation, Shape, Transform
from harness.parts.sample import Sample
from harness.registry import part
from harness.settings import Fraction, Positive, Size

Augment: TypeAlias = "Callable[[Sample, np.random.Generator], Sample]"
"""A sample and a generator -> the sample with picture, label and depth changed together."""
HalfTurn = Annotated[float, Field(ge=0, le=0.5)]


@part("augment")
def flip(*, p: Fraction = 0.5) -> Augment:
    """Mirror left and right, with probability p."""

    def draw(have: Shape, rng: np.random.Generator) -> Transform | None:
        return HorizontalFlip() if rng.random() < p else None

    return Geometric(draw)


@part("augment")
def rotate(*, degrees: Annotated[float, Field(gt=0, le=180)], p: Fraction = 1.0) -> Augment:
    """Turn about the centre by up to `degrees` either way, with probability p; what comes into view is ignored."""

    def draw(have: Shape, rng: np.random.Generator) -> Transform | None:
        return Rotation(rng.uniform(-degrees, degrees)) if rng.random() < p else None

    return Geometric(draw)


@part("augment")
def crop(*, size: Size) -> Augment:
    """Cut out a random window of `size` (height, width); an image that is smaller is set into ignored pixels first."""

    def draw(have: Shape, rng: np.random.Generator) -> Transform:
        missing = [max(0, want - side) for side, want in zip(have, size, strict=True)]
        before = [int(rng.integers(lack + 1)) for lack in missing]
        room = [side + lack - want for side, lack, want in zip(have, missing, size, strict=True)]
        top, left = (int(rng.integers(free + 1)) - lack for free, lack in zip(room, before, strict=True))
        return CropWindow(top, left, (size[0], size[1]))

    return Geometric(draw)


@part("augment")
def scale(*, low: Positive = 0.5, high: Positive = 2.0) -> Augment:
    """Resize both sides by one factor between low and high; a crop after it makes images of one size again.

    Depth keeps its values: what is enlarged is not taken to be nearer.
    """
    if low > high:
        raise InputError(f"augment.scale: low is {low:g}, above high, {high:g}; exchange them")

    def draw(have: Shape, rng: np.random.Generator) -> Transform:
        factor = rng.uniform(low, high)
        height, width = (max(1, round(side * factor)) for side in have)
        return Resize((height, width))

    return Geometric(draw)


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
