"""What a data set is to harness: splits of named images with labels, and a taxonomy that names the classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.data.taxonomy import Taxonomy

IGNORE = 255
"""Label of a pixel that is not counted and moves no weight."""

Image = npt.NDArray[np.uint8]
"""[H, W, 3], red green blue."""
Label = npt.NDArray[np.uint8]
"""[H, W], class indices, 255 = ignored."""


@dataclass(frozen=True)
class Split:
    """The images of one split, in a fixed order. Images are decoded only when read, at their native size."""

    names: tuple[str, ...]
    """Unique names of the images, as in reports."""
    groups: tuple[str, ...]
    """For each image, the unit that may be resampled; the image's own name where images are independent."""
    read_image: Callable[[int], Image]
    """Index -> picture. Raises InputError that names the file where it cannot be read."""
    read_label: Callable[[int], Label]
    """Index -> label of the picture's size. Raises InputError for ids that the taxonomy does not know."""
    digest: str
    """Digest of the split's content, as `contract.json` states it."""
    read_depth: Callable[[int], npt.NDArray[np.float32]] | None = None
    """Index -> distance in metres [H, W], 0 where unknown; None where the data set has no depth."""


@dataclass(frozen=True)
class Source:
    """An opened data set. It has the splits `train` and `val`, and `test` where the data has a labelled one."""

    taxonomy: Taxonomy
    splits: Mapping[str, Split]
    problems: Callable[[], str | None]
    """Reads every label once and returns what training would stumble over (unknown ids, unreadable files, sizes that do
    not match), in words for the user; None when all is well."""
