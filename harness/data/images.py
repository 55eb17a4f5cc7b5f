"""Reading pictures and label files, and resizing them together. Pillow is imported when the first file is read."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.data.source import Depth, Image, Label, RawIds
from harness.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

_ID_MODES = ("L", "P", "1", "I;16", "I;16B", "I")


class ColourMaskError(InputError):
    """A label file holds colours where ids should be."""


def read_image(path: Path) -> Image:
    """Return a picture as [H, W, 3] red green blue; grey pictures get three equal channels, transparency is dropped.

    Raises:
        InputError: the file cannot be read, or has more than 8 bits a channel.
    """
    with _opened(path) as picture:
        if picture.mode.startswith(("I", "F")):
            raise InputError(f"{path}: a picture of more than 8 bits a channel ({picture.mode}); convert it to 8 bits")
        return np.array(picture.convert("RGB"))


def read_ids(path: Path) -> RawIds:
    """Return a label file's ids [H, W]: grey values of 8 or 16 bits, or the indices (never the colours) of a palette.

    Raises:
        ColourMaskError: the file holds colours.
        InputError: the file cannot be read, or holds ids above 65535.
    """
    with _opened(path) as picture:
        if picture.mode not in _ID_MODES:
            raise ColourMaskError(
                f"{path}: a colour picture ({picture.mode}), but labels are ids in one channel: write each pixel's "
                f"class id into an 8-bit, 16-bit or palette PNG"
            )
        ids_HW = np.array(picture)
        if picture.mode == "L":
            ids_HW //= _grey_step(path)
    if ids_HW.dtype == np.int32 and (ids_HW.min() < 0 or ids_HW.max() > 65535):
        raise InputError(f"{path}: label ids from {ids_HW.min()} to {ids_HW.max()}; they must be from 0 to 65535")
    return ids_HW.astype(np.uint8 if ids_HW.dtype.itemsize == 1 else np.uint16)


def _grey_step(path: Path) -> int:
    """Return the factor by which Pillow spreads the grey values of a PNG with 2 or 4 bits a pixel over 0 to 255."""
    with path.open("rb") as file:
        head = file.read(25)
    return {2: 85, 4: 17}.get(head[24], 1) if head.startswith(b"\x89PNG") else 1


def read_disparity(path: Path) -> Depth:
    """Return a 16-bit disparity picture in pixels, [H, W]: (value - 1) / 256; NaN where the value is 0.

    The format of Cityscapes (Cordts et al., CVPR 2016; README of cityscapesScripts).

    Raises:
        InputError: the file cannot be read, or is no picture of 16 bits.
    """
    with _opened(path) as picture:
        if not picture.mode.startswith("I"):
            raise InputError(f"{path}: disparity is a 16-bit picture, this one is {picture.mode}")
        value_HW = np.array(picture).astype(np.float32)
    return np.where(value_HW > 0, (value_HW - 1) / 256, np.float32(np.nan)).astype(np.float32)


def check_image(path: Path) -> tuple[int, int]:
    """Return the height and width of a picture that can be read: a PNG by its checksums, others are decoded.

    Raises:
        InputError: the file is no picture, is cut short or damaged.
    """
    with _opened(path) as picture:
        if picture.format == "PNG":
            picture.verify()
        else:
            picture.load()
        return picture.height, picture.width


@contextmanager
def _opened(path: Path) -> Iterator[Picture]:
    import PIL.Image

    try:
        with PIL.Image.open(path) as picture:
            yield picture
    except PIL.UnidentifiedImageError:
        raise InputError(f"{path}: not a picture in a format that Pillow reads") from None
    except (OSError, SyntaxError, ValueError, struct.error, PIL.Image.DecompressionBombError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None


def resize_pair(image: Image, label: Label, size: tuple[int, int]) -> tuple[Image, Label]:
    """Return image and label at [H, W]: the image bilinear with antialiasing, the label by nearest neighbour."""
    import PIL.Image

    if label.shape != size:
        label = np.array(PIL.Image.fromarray(label).resize((size[1], size[0]), PIL.Image.Resampling.NEAREST))
    return resize_image(image, size), label


def resize_image(image: Image, size: tuple[int, int]) -> Image:
    """Return a picture at [H, W], bilinear with antialiasing; the picture itself where it has that size."""
    import PIL.Image

    if image.shape[:2] == size:
        return image
    return np.array(PIL.Image.fromarray(image).resize((size[1], size[0]), PIL.Image.Resampling.BILINEAR))
