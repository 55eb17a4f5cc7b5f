"""The one reader of pictures and label files, and resizing them together. Pillow is imported when a file is read.

What a file stores is looked at before it is decoded (`harness.data.stored`): what would be lost without a word is
refused. Pictures and labels are turned upright, each by its own EXIF orientation.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.data.source import Depth, Image, Label, RawIds
from harness.data.stored import UPRIGHT, Stored, describe, find_orientation, opened, swaps_sides, turn
from harness.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Bands = npt.NDArray[Any]
"""[H, W, bands], in the type that the file stores."""
_ID_MODES = ("L", "P", "1", "I;16", "I;16B", "I", "F")
_MAPPED_MODES = ("L", "P", "RGBA", "I;16", "I;16B")
_AT_ONCE_PX = 2**22
"""Pixels that are taken over from Pillow at once, so that a large picture is not in memory three times."""


class ColourMaskError(InputError):
    """A label file holds colours where ids should be."""


def read_image(path: Path) -> Image:
    """Return a picture as [H, W, 3] red green blue, upright; grey pictures get three equal channels.

    Raises:
        InputError: the file cannot be read, or something in it would be lost.
    """
    return read_picture(path)[0]


def read_picture(path: Path) -> tuple[Image, bool]:
    """Return a picture as `read_image` does, and whether its EXIF orientation had it turned or mirrored."""
    bands, stored = read_bands(path)
    if bands.shape[2] == 1:
        bands = np.repeat(bands, 3, axis=2)
    return bands, stored.orientation != UPRIGHT


def read_bands(path: Path) -> tuple[Bands, Stored]:
    """Return a picture [H, W, bands] in the type that it is stored in, upright, and what the file stores.

    Today: uint8, with 1 band (grey) or 3 (red green blue; palettes are resolved). An alpha band that is the same
    everywhere is dropped.

    Raises:
        InputError: the file cannot be read, or something in it would be lost.
    """
    with opened(path) as picture:
        stored = _described(picture, path, Stored.why_no_picture)
        return _decode_upright(picture, path, stored.alpha, "L" if stored.model == "grey" else "RGB"), stored


def read_ids(path: Path) -> RawIds:
    """Return a label file's ids [H, W], upright: grey values of 8 or 16 bits, or the indices of a palette.

    The colours of a palette never count.

    Raises:
        ColourMaskError: the file holds colours.
        InputError: the file cannot be read, something in it would be lost, or it holds ids above 65535.
    """
    with opened(path) as picture:
        if picture.mode not in _ID_MODES:
            _described(picture, path, Stored.why_not_read)
            raise ColourMaskError(
                f"{path}: a colour picture ({picture.mode}), but labels are ids in one channel: write each pixel's "
                f"class id into an 8-bit, 16-bit or palette PNG"
            )
        stored = _described(picture, path, Stored.why_no_label)
        ids_HW = _decode_upright(picture, path, False, picture.mode)[..., 0]
    # Pillow spreads grey of 2 and 4 bits over 0 to 255, as pictures are shown; as ids they count from 0 again.
    ids_HW //= _grey_step(stored)
    if ids_HW.dtype == np.int32 and (ids_HW.min() < 0 or ids_HW.max() > 65535):
        raise InputError(f"{path}: label ids from {ids_HW.min()} to {ids_HW.max()}; they must be from 0 to 65535")
    return ids_HW.astype(np.uint8 if ids_HW.dtype.itemsize == 1 else np.uint16, copy=False)


def read_disparity(path: Path) -> Depth:
    """Return a 16-bit disparity picture in pixels, [H, W], upright: (value - 1) / 256; NaN where the value is 0.

    The format of Cityscapes (Cordts et al., CVPR 2016; README of cityscapesScripts).

    Raises:
        InputError: the file cannot be read, or is no picture of 16 bits.
    """
    with opened(path) as picture:
        if not picture.mode.startswith("I"):
            raise InputError(f"{path}: disparity is a 16-bit picture, this one is {picture.mode}")
        _described(picture, path, Stored.why_no_label)
        value_HW = _decode_upright(picture, path, False, picture.mode)[..., 0].astype(np.float32)
    return np.where(value_HW > 0, (value_HW - 1) / 256, np.float32(np.nan)).astype(np.float32)


def check_image(path: Path) -> tuple[int, int]:
    """Return the height and width of a picture that `read_image` reads, upright: a PNG by its checksums.

    Others are decoded, and so is a PNG with transparency: whether that is the same everywhere only its pixels tell.

    Raises:
        InputError: as `read_image`.
    """
    with opened(path) as picture:
        stored = _described(picture, path, Stored.why_no_picture)
        if stored.alpha:
            _decode(picture, path, alpha=True, mode="L")
        elif picture.format == "PNG" and getattr(picture, "tile", None):  # none: decoded already
            picture.verify()
        else:
            picture.load()
        return stored.size


def find_change(path: Path) -> str:
    """Return how the reading of a file differs from that of the first version of this reader; empty where it does not.

    It goes into the digest of the data, so that ids of runs change where their pixels do, and nowhere else. It concerns
    pictures and labels that are turned upright (the first version left that to Pillow, which turned TIFF alone, and
    mixed up the rows of some), and ids in TIFF of 2 or 4 bits.
    """
    try:
        with opened(path) as picture:
            stored = describe(picture, path)
            tiff = stored.format == "TIFF"
            turned = stored.orientation if not tiff or _was_mixed_up(picture, stored) else UPRIGHT
            step = _grey_step(stored) if tiff else 1
    except InputError:
        return ""
    return f"orientation {turned}, step {step}" if (turned, step) != (UPRIGHT, 1) else ""


def _was_mixed_up(picture: Any, stored: Stored) -> bool:
    """Tell whether Pillow, given a path, maps a TIFF that lies on its side as if it lay upright."""
    mapped = len(picture.tile) == 1 and picture.tile[0][0] == "raw" and picture.mode in _MAPPED_MODES
    return mapped and swaps_sides(stored.orientation) and stored.size[0] != stored.size[1]


def _described(picture: Picture, path: Path, why_not: Callable[[Stored], str]) -> Stored:
    """Return what a file stores; InputError where `why_not` knows a reason against reading it."""
    stored = describe(picture, path)
    if why := why_not(stored):
        raise InputError(f"{path}: {why}")
    return stored


def _grey_step(stored: Stored) -> int:
    """Return the factor by which Pillow spreads grey values of 2 or 4 bits over 0 to 255."""
    return {2: 85, 4: 17}.get(stored.bits, 1) if stored.model == "grey" else 1


def _decode_upright(picture: Picture, path: Path, alpha: bool, mode: str) -> Bands:
    bands = _decode(picture, path, alpha=alpha, mode=mode)
    return turn(bands, find_orientation(picture, path))  # Pillow turns TIFF, which then states none


def _decode(picture: Picture, path: Path, *, alpha: bool, mode: str) -> Bands:
    """Return the pixels [H, W, bands] in a mode of Pillow's, as they are stored, taken over some rows at a time.

    Raises:
        InputError: `alpha`, and it is not the same everywhere.
    """
    picture.load()
    height, width = picture.height, picture.width
    # Pillow's pixels, its copy in another mode and numpy's would be a large picture in memory three times.
    rows = max(1, _AT_ONCE_PX // width)
    taken: Bands | None = None
    opaque: set[Any] = set()
    for top in range(0, height, rows):
        strip = picture if rows >= height else picture.crop((0, top, width, min(height, top + rows)))
        if alpha:
            has_alpha, mode_with_alpha = strip.mode in ("RGBA", "LA"), "LA" if strip.mode == "La" else "RGBA"
            with_alpha = strip if has_alpha else strip.convert(mode_with_alpha)
            opaque |= set(with_alpha.getchannel("A").getextrema())
            if len(opaque) > 1:
                raise InputError(
                    f"{path}: its transparency (a fourth band, or one of two) is not the same everywhere and would be "
                    "lost: write it over a background, or leave that band out where it means nothing"
                )
        values = np.asarray(strip if strip.mode == mode else strip.convert(mode))
        values = values[..., None] if values.ndim == 2 else values
        if taken is None:
            dtype = np.uint8 if values.dtype == bool else values.dtype.newbyteorder("=")
            taken = np.empty((height, width, values.shape[2]), dtype)
        taken[top : top + rows] = values
    assert taken is not None
    return taken


def resize_pair(image: Image, label: Label, size: tuple[int, int]) -> tuple[Image, Label]:
    """Return image and label at [H, W]: the image bilinear with antialiasing, the label by nearest neighbour."""
    return resize_image(image, size), label if label.shape == size else resize_nearest(label, size)


def resize_image(image: Image, size: tuple[int, int]) -> Image:
    """Return a picture at [H, W], bilinear with antialiasing; the picture itself where it has that size."""
    import PIL.Image

    if image.shape[:2] == size:
        return image
    return np.array(PIL.Image.fromarray(image).resize((size[1], size[0]), PIL.Image.Resampling.BILINEAR))


def resize_nearest(values: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    """Return labels or depth at [H, W], by nearest neighbour: no value is made that was not there."""
    import PIL.Image

    return np.array(PIL.Image.fromarray(values).resize((size[1], size[0]), PIL.Image.Resampling.NEAREST))
