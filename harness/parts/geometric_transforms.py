"""Geometric transforms as data: what each does to a sample, and from where each pixel of the result comes.

Letters: C channel, H, W. A position is (x, y) in pixels, and the centre of the first pixel is (0.5, 0.5). Label and
depth follow by nearest neighbour. A pixel that is made up is 255 (ignored) in the label, unknown in the depth, and in
the image grey: near zero once normalised, as convolutions pad.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from harness.parts.sample import Sample

GREY = 127
Shape: TypeAlias = "tuple[int, int]"
"""Height and width."""
Affine = npt.NDArray[np.float64]
"""[2, 3]: a position (x, y, 1) after a transform -> the position before it."""


class Transform(Protocol):
    """A transform that only moves pixels."""

    def apply(self, sample: Sample) -> Sample:
        """Return the sample after it."""

    def shape(self, have: Shape) -> Shape:
        """Return the size after it."""

    def origin(self, have: Shape) -> Affine:
        """Return where positions after it come from, in a sample of the size `have`."""


@dataclass(frozen=True)
class Geometric:
    """An augmentation that only moves pixels: a transform is drawn for each sample, or none."""

    draw: Callable[[Shape, np.random.Generator], Transform | None]

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Draw a transform for a sample, and return the sample after it."""
        height, width = sample.label_HW.shape
        transform = self.draw((height, width), rng)
        return sample if transform is None else transform.apply(sample)


@dataclass(frozen=True)
class HorizontalFlip:
    """Left and right exchanged."""

    def apply(self, sample: Sample) -> Sample:
        """Return the sample after it."""
        return sample.moved(lambda image_CHW: image_CHW.flip(-1), lambda map_1HW, fill: map_1HW.flip(-1))

    def shape(self, have: Shape) -> Shape:
        """Return the size after it: the same."""
        return have

    def origin(self, have: Shape) -> Affine:
        """Return where positions after it come from."""
        return np.array([[-1.0, 0.0, have[1]], [0.0, 1.0, 0.0]])


@dataclass(frozen=True)
class Rotation:
    """A turn about the centre, counter-clockwise; what comes into view is made up."""

    degrees: float

    def apply(self, sample: Sample) -> Sample:
        """Return the sample after it; the image is interpolated."""
        from torchvision.transforms import InterpolationMode
        from torchvision.transforms.v2 import functional

        return sample.moved(
            lambda image_CHW: functional.rotate(image_CHW, self.degrees, InterpolationMode.BILINEAR, fill=[GREY]),
            lambda map_1HW, fill: functional.rotate(map_1HW, self.degrees, InterpolationMode.NEAREST, fill=[fill]),
        )

    def shape(self, have: Shape) -> Shape:
        """Return the size after it: the same."""
        return have

    def origin(self, have: Shape) -> Affine:
        """Return where positions after it come from: y points down, so the angle's sign is that of a clock."""
        sine, cosine = math.sin(math.radians(self.degrees)), math.cos(math.radians(self.degrees))
        x, y = have[1] / 2, have[0] / 2
        return np.array([[cosine, -sine, x - cosine * x + sine * y], [sine, cosine, y - sine * x - cosine * y]])


@dataclass(frozen=True)
class CropWindow:
    """A part of a sample, of a given size; it may reach over the border, and what lies beyond is made up."""

    top: int
    left: int
    size: Shape

    def apply(self, sample: Sample) -> Sample:
        """Return the sample after it."""
        from torch.nn import functional

        starts, have = (self.top, self.left), sample.label_HW.shape
        before = [max(0, -start) for start in starts]
        after = [max(0, start + want - side) for start, want, side in zip(starts, self.size, have, strict=True)]
        border = (before[1], after[1], before[0], after[0])
        top, left = (max(0, start) for start in starts)
        window = (..., slice(top, top + self.size[0]), slice(left, left + self.size[1]))
        return sample.moved(
            lambda image_CHW: functional.pad(image_CHW, border, value=GREY)[window],
            lambda map_1HW, fill: functional.pad(map_1HW, border, value=fill)[window],
        )

    def shape(self, have: Shape) -> Shape:
        """Return the size after it."""
        return self.size

    def origin(self, have: Shape) -> Affine:
        """Return where positions after it come from."""
        return np.array([[1.0, 0.0, self.left], [0.0, 1.0, self.top]])


@dataclass(frozen=True)
class Resize:
    """Another size for the whole."""

    size: Shape

    def apply(self, sample: Sample) -> Sample:
        """Return the sample after it; the image is interpolated, without aliasing."""
        from torchvision.transforms import InterpolationMode
        from torchvision.transforms.v2 import functional

        size = list(self.size)
        return sample.moved(
            lambda image_CHW: functional.resize(image_CHW, size, InterpolationMode.BILINEAR, antialias=True),
            lambda map_1HW, fill: functional.resize(map_1HW, size, InterpolationMode.NEAREST_EXACT),
        )

    def shape(self, have: Shape) -> Shape:
        """Return the size after it."""
        return self.size

    def origin(self, have: Shape) -> Affine:
        """Return where positions after it come from."""
        return np.array([[have[1] / self.size[1], 0.0, 0.0], [0.0, have[0] / self.size[0], 0.0]])
