"""What an augmentation changes: a picture, and the maps that lie on it. Letters: C channel, H, W."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from harness.data.source import IGNORE

if TYPE_CHECKING:
    from torch import Tensor

UNKNOWN_DEPTH = math.nan


class Sample(NamedTuple):
    """One image as it goes through the augmentations."""

    image_CHW: Tensor
    """uint8, red green blue."""
    label_HW: Tensor
    """uint8, class indices; 255 is ignored."""
    depth_HW: Tensor | None = None
    """float32, inverse distance; NaN where it is unknown. None where the model does not see it."""

    def moved(self, image: Callable[[Tensor], Tensor], on_map: Callable[[Tensor, float], Tensor]) -> Sample:
        """Return the sample after a change of place: `image` for the picture, `on_map` for label and depth, [1, H, W].

        `on_map` takes nearest neighbours, and its second argument is what it writes into pixels that it makes up.
        """
        depth = self.depth_HW
        return Sample(
            image(self.image_CHW),
            on_map(self.label_HW[None], IGNORE)[0],
            None if depth is None else on_map(depth[None], UNKNOWN_DEPTH)[0],
        )

    def with_image(self, image_CHW: Tensor) -> Sample:
        """Return the sample with another picture of the same size."""
        return self._replace(image_CHW=image_CHW)
