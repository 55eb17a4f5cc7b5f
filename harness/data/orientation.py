"""Which way up a stored picture is by its EXIF orientation (CIPA DC-008, tag 274), and turning it upright."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

UPRIGHT = 1
_TAG = 0x0112
_SAYING = (b"eXIf", b"iTXt", b"tEXt", b"zTXt")
"""Chunks of a PNG that may hold EXIF or XMP data."""
Pixels = npt.NDArray[Any]
_TURNS: Mapping[int, Callable[[Pixels], Pixels]] = {
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: image.swapaxes(0, 1)[:, ::-1],
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: image.swapaxes(0, 1)[::-1],
}
"""Orientation -> what makes the stored picture upright."""


def turn(image: Pixels, orientation: int) -> Pixels:
    """Return a picture [H, W, ...] that is stored in an orientation as viewers show it."""
    how = _TURNS.get(orientation)
    return image if how is None else np.ascontiguousarray(how(image))


def swaps_sides(orientation: int) -> bool:
    """Tell whether height and width change places when a picture is turned upright."""
    return orientation >= 5


def find_orientation(picture: Picture, path: Path) -> int:
    """Return the orientation that a file states, 1 to 8; 1 where it states none, or none that makes sense.

    A PNG may say so behind its pixels: then, and only then, it is decoded to find out.
    """
    import PIL.Image

    try:
        if picture.format == "PNG" and "exif" not in picture.info and _says_more_behind_pixels(path):
            picture.load()
        stated = int(PIL.Image.Image.getexif(picture).get(_TAG, UPRIGHT))  # PNG's own one decodes every picture
    except Exception:  # noqa: BLE001 - EXIF of any camera and program: what is broken says nothing
        return UPRIGHT
    return stated if stated in _TURNS else UPRIGHT


def _says_more_behind_pixels(path: Path) -> bool:
    """Tell whether a PNG has EXIF data or text behind its first pixels, by walking over its chunks."""
    behind = False
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if behind and kind in _SAYING:
                return True
            behind = behind or kind == b"IDAT"
            file.seek(length + 4, 1)
    return False
