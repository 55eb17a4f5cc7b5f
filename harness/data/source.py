"""What a data set is to harness: splits of named images with labels, and a taxonomy that names the classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.taxonomy import IGNORE, Taxonomy

__all__ = ["IGNORE", "Depth", "Fault", "Image", "Label", "RawIds", "Source", "Split"]

Image = npt.NDArray[np.uint8]
"""[H, W, 3], red green blue."""
RawIds = npt.NDArray[Any]
"""[H, W], uint8 or uint16: ids as they stand in a label file."""
Label = npt.NDArray[np.uint8]
"""[H, W], class indices, 255 = ignored."""
Depth = npt.NDArray[np.float32]
"""[H, W], inverse distance: greater is nearer (disparity in pixels, or 1/m); NaN where it is unknown."""


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
    read_ids: Callable[[int], RawIds]
    """Index -> raw ids of the picture's size, before the taxonomy. Raises InputError where they cannot be read."""
    digest: str
    """Digest of the split's content, as `contract.json` states it."""
    read_depth: Callable[[int], Depth] | None = None
    """Index -> inverse distance; None where the data set has none."""
    recordings: tuple[str, ...] = ()
    """For each image, the drive, flight or city that it is from; empty where nobody knows. Images of one recording
    resemble each other even where their groups differ."""
    require_unchanged: Callable[[], None] = lambda: None
    """Raises InputError where the files are no longer those of the digest: whoever keeps what was read under a key that
    says so asks after reading."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with one file of a data set."""

    kind: str
    """What all faults of this kind have in common, such as `images without a label`."""
    split: str
    name: str
    """Name of the image that it concerns."""
    file: str
    """The file, relative to the data set's root."""
    told: str
    """The file and what is wrong with it, in words for the user."""
    unknown: Mapping[int, int] = field(default_factory=dict)
    """Raw ids without a class -> pixels."""


@dataclass(frozen=True)
class Source:
    """An opened data set. It has the splits `train` and `val`, and `test` where the data has a labelled one."""

    taxonomy: Taxonomy
    splits: Mapping[str, Split]
    root: str = ""
    """Where its files are; empty where it has none."""
    listed: tuple[Fault, ...] = ()
    """Images without a label and the like: what listing the files has shown."""
    check: Callable[[], tuple[Fault, ...]] = tuple
    """Reads every label and every picture's header, once for one content, and returns what training would stumble over:
    unknown ids, unreadable files, sizes that do not match."""
    notes: tuple[str, ...] = ()
    """What a reader of results on this data must know."""
