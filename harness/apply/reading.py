"""Reading a picture to predict on: any that training reads, turned upright, however large."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.data.images import read_image
from harness.data.source import Image

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

MOST_PIXELS = 2**30
"""A file that claims to hold more is taken for an attack; Pillow's own limit is a sixth of this."""
_ORIENTATION = 0x0112
_TURNS: Mapping[int, Callable[[Image], Image]] = {
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: image.swapaxes(0, 1)[:, ::-1],
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: image.swapaxes(0, 1)[::-1],
}
"""EXIF orientation (CIPA DC-008, tag 274) -> what makes the stored picture upright."""


def read_picture(path: Path) -> tuple[Image, bool]:
    """Return a picture [H, W, 3] as viewers show it, and whether its EXIF orientation had it turned or mirrored.

    Grey becomes three equal channels, transparency is dropped, of an animation the first picture is taken: as training
    reads pictures, which does not look at the EXIF orientation.

    Raises:
        InputError: the file cannot be read, or has more than 8 bits a channel.
    """
    with _large_allowed():
        image = read_image(path)
        stored, left = _orientations(path)
    turn = _TURNS.get(left)
    return image if turn is None else np.ascontiguousarray(turn(image)), stored in _TURNS


def _orientations(path: Path) -> tuple[int, int]:
    """Return a file's orientation, and what of it is left to do: Pillow turns TIFF by itself, and no other format."""
    import PIL.Image

    with PIL.Image.open(path) as picture:
        stored = left = _read_orientation(picture)
        if picture.format == "TIFF" and stored in _TURNS:
            picture.load()
            left = _read_orientation(picture)
        return stored, left


def _read_orientation(picture: Picture) -> int:
    try:
        return int(picture.getexif().get(_ORIENTATION, 1))
    except (ValueError, TypeError, OSError, SyntaxError, KeyError):  # EXIF of any camera: what is broken says nothing
        return 1


@contextmanager
def _large_allowed() -> Iterator[None]:
    import PIL.Image

    before = PIL.Image.MAX_IMAGE_PIXELS
    PIL.Image.MAX_IMAGE_PIXELS = MOST_PIXELS // 2  # Pillow warns from here, and refuses from twice as many
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
        try:
            yield
        finally:
            PIL.Image.MAX_IMAGE_PIXELS = before
