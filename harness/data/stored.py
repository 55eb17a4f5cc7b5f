"""What a picture file stores, read from its header before anything is decoded; the door to Pillow's reading.

Limits of size, formats and refusals are said here once, for data sets, `init` and `predict` alike. Which way up a
picture is says its EXIF orientation (CIPA DC-008, tag 274).
"""

from __future__ import annotations

import logging
import re
import struct
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

UPRIGHT = 1
_TEXT_CHUNKS = (b"eXIf", b"iTXt", b"tEXt", b"zTXt")
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

    # Pillow knows what stands before the pixels of a PNG. Decoding every PNG for what may stand behind them would make
    # looking at a data set as slow as reading it, so the chunks are looked through first.
    try:
        if picture.format == "PNG" and "exif" not in picture.info and _says_more_behind_pixels(path):
            picture.load()
        stated = int(PIL.Image.Image.getexif(picture).get(274, UPRIGHT))  # PNG's own one decodes every picture
    except Exception:  # noqa: BLE001 - EXIF of any camera and program: what is broken says nothing
        return UPRIGHT
    return stated if stated in _TURNS else UPRIGHT


def _says_more_behind_pixels(path: Path) -> bool:
    """Tell whether a PNG has EXIF data or text behind its first pixels, by walking over its chunks."""
    # Each chunk is its length, its kind, its content and four bytes of checksum; contents are skipped.
    behind = False
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if behind and kind in _TEXT_CHUNKS:
                return True
            behind = behind or kind == b"IDAT"
            file.seek(length + 4, 1)
    return False


MOST_PIXELS = 2**28
"""16384x16384. What `predict` makes of such a picture stays below 4 GB of memory."""
LONGEST_SIDE_PX = 2**17
_MODELS = {"1": "grey", "L": "grey", "LA": "grey", "La": "grey", "P": "palette", "PA": "palette"}
"""Pillow's mode -> colour model; RGB where it stands neither here nor for itself."""
_PHOTOMETRIC = {0: "grey", 1: "grey", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr", 8: "LAB", 9: "LAB", 10: "LAB"}
"""TIFF 6.0 -> colour model."""
_REDUCED = 1
"""Bit of a TIFF page's NewSubfileType: a smaller copy of another page."""
_PILLOW = re.compile(r"PIL\.")


@dataclass(frozen=True)
class Stored:
    """What a file stores."""

    format: str
    size: tuple[int, int]
    """Height and width, upright."""
    model: str
    """Of colours: grey, RGB, palette, CMYK, YCbCr, LAB, or what TIFF's number for it is."""
    bits: int
    """Of one band."""
    bands: int
    """Those of the colours, alpha, and all others."""
    number: str = "unsigned"
    """How values are written: unsigned, signed, float."""
    alpha: bool = False
    """Whether a band, or an entry of the header, says how opaque pixels are."""
    hidden: int = 0
    """Bands that Pillow leaves out without a word."""
    pages: int = 1
    """Pages, slices or frames. Smaller copies of a page, and the second picture in a phone's JPEG, are none."""
    inverted: bool = False
    """Whether 0 stands for white (TIFF)."""
    orientation: int = UPRIGHT
    """By EXIF, 1 to 8."""

    def why_not_read(self) -> str:
        """Return why neither picture nor label can be had from a file without loss, and what would help; else empty."""
        height, width = self.size
        if height * width > MOST_PIXELS or max(height, width) > LONGEST_SIDE_PX:
            return _too_large(f"{height:,}x{width:,} pixels (height x width)")
        if self.pages > 1:
            kind = "pages" if self.format == "TIFF" else "frames"
            return f"it holds {self.pages} {kind}, of which one would be read: write each to a file of its own"
        if self.number == "signed" and self.bits <= 8:
            return "its values have a sign, which would be lost: write them as 8-bit values without one"
        return ""

    def why_no_picture(self) -> str:
        """Return why a file cannot be read as a picture without loss, and what would help; else empty."""
        if why := self.why_not_read():
            return why
        if self.model not in ("grey", "RGB", "palette"):
            return f"its colours are {self.model}, which have no one meaning on a screen: convert it to sRGB"
        if self.bits > 8 or self.number in ("float", "complex"):
            values = f"{self.bits} bits, {self.number}" if self.number != "unsigned" else f"{self.bits} bits"
            return (
                f"a picture of more than 8 bits a channel ({values}), of which the finer steps would be lost: "
                "scale all pictures alike to 8 bits"
            )
        if self.hidden:
            return f"it has {self.bands} bands, of which {self.hidden} would be lost: write red, green and blue alone"
        return ""

    def why_no_label(self) -> str:
        """Return why a file cannot be read as ids, although it holds no colours, and what would help; else empty."""
        if why := self.why_not_read():
            return why
        if self.number in ("float", "complex"):
            return f"its values are written as {self.number} numbers: write ids as 8-bit or 16-bit whole numbers"
        if self.hidden:
            return f"it has {self.bands} bands, of which {self.hidden} would be lost: write ids in one band"
        if self.inverted:
            return (
                "it says that 0 is white (TIFF's WhiteIsZero): some programs read such ids as stored, others upside "
                "down; save it as PNG"
            )
        return ""


@contextmanager
def opened(path: Path) -> Iterator[Picture]:
    """Open a picture file with Pillow; what goes wrong until it is closed is an InputError that names the file.

    Pillow is given no path: it would map the file, and mix up the rows of a TIFF that lies on its side.
    """
    import PIL.Image

    _silence_pillow()
    try:
        with path.open("rb") as file, PIL.Image.open(file, formats=tuple(FORMATS)) as picture:
            yield picture
    except PIL.UnidentifiedImageError:
        raise InputError(f"{path}: {_describe_unread(path)}") from None
    except PIL.Image.DecompressionBombError as error:
        pixels = re.search(r"\d+", str(error))
        raise InputError(f"{path}: {_too_large(f'{int(pixels[0]) if pixels else 0:,} pixels')}") from None
    except (OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, struct.error) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None


def _silence_pillow() -> None:
    """Turn off Pillow's own limit, warnings and log: they are for programmers, and `why_not_read` is for users."""
    import PIL.Image

    PIL.Image.MAX_IMAGE_PIXELS = 2**31  # refused from twice as many on, which no header but a wrong one states
    if not any(known[0] == "ignore" and known[3] == _PILLOW for known in warnings.filters):
        warnings.filterwarnings("ignore", module=_PILLOW.pattern)
        logging.getLogger("PIL").addHandler(logging.NullHandler())


def describe(picture: Picture, path: Path) -> Stored:
    """Return what an opened file stores. A PNG that states its orientation behind its pixels is decoded for it."""
    orientation = find_orientation(picture, path) if picture.width * picture.height <= MOST_PIXELS else UPRIGHT
    name = "JPEG" if picture.format == "MPO" else picture.format or ""  # a phone's JPEG with a second picture
    return FORMATS[name](picture, path, orientation)


def _describe_mode(picture: Picture, _: Path, orientation: int) -> Stored:
    """Return what a file stores of whose kind Pillow's mode tells all: 8 bits a band at most."""
    height, width = picture.height, picture.width
    is_phones = picture.format == "MPO"
    return Stored(
        format="JPEG" if is_phones else picture.format or "",
        size=(width, height) if swaps_sides(orientation) else (height, width),
        model=picture.mode if picture.mode in ("CMYK", "YCbCr", "LAB") else _model_of(picture.mode),
        bits=1 if picture.mode == "1" else 8,
        bands=len(picture.getbands()),
        alpha=picture.has_transparency_data,
        pages=1 if is_phones else getattr(picture, "n_frames", 1),
        orientation=orientation,
    )


def _model_of(mode: str) -> str:
    return "grey" if mode.startswith(("I", "F")) else _MODELS.get(mode, "RGB")


def _describe_png(picture: Picture, path: Path, orientation: int) -> Stored:
    with path.open("rb") as file:
        return replace(_describe_mode(picture, path, orientation), bits=file.read(25)[24])


def _describe_tiff(picture: Any, _: Path, orientation: int) -> Stored:
    """Return what a TIFF stores. Pillow swaps the sides of one that lies on its side before it is decoded."""
    told = _describe_tags(picture.tag_v2)
    # Pillow turns JPEG's YCbCr within a TIFF into RGB without loss of anything that could be kept.
    model = _model_of(picture.mode) if told.model == "YCbCr" and picture.mode == "RGB" else told.model
    return replace(
        told,
        size=told.size if told.size[0] * told.size[1] > MOST_PIXELS else (picture.height, picture.width),
        model=model,
        alpha=picture.has_transparency_data,
        hidden=max(0, told.bands - len(picture.getbands())),
        pages=_count_pages(picture),
        orientation=orientation,
    )


def _describe_tags(tags: Any) -> Stored:
    """Return what the tags of a TIFF's first page say; the size is that of a tile where one is larger than the page."""
    bits = tags.get(258, (1,))
    kinds = tags.get(339, (1,))
    photometric = tags.get(262, 0)
    sides = [(tags.get(257, 0), tags.get(256, 0)), (tags.get(323, 0), tags.get(322, 0))]
    return Stored(
        format="TIFF",
        size=max(sides, key=lambda size: size[0] * size[1]),
        model=_PHOTOMETRIC.get(photometric, f"photometric {photometric}"),
        bits=max(bits),
        bands=max(tags.get(277, 1), len(bits)),
        number={2: "signed", 3: "float"}.get(max(kinds), "unsigned" if max(kinds) in (1, 4) else "complex"),
        inverted=photometric == 0,
    )


def _count_pages(picture: Any) -> int:
    """Return the pages of a TIFF but for smaller copies of others, as cloud-optimised GeoTIFFs have them."""
    number = 0
    for place in range(picture.n_frames):
        picture.seek(place)
        number += not picture.tag_v2.get(254, 0) & _REDUCED
    picture.seek(0)
    return max(1, number)


FORMATS: Mapping[str, Callable[[Picture, Path, int], Stored]] = {
    "PNG": _describe_png,
    "JPEG": _describe_mode,
    "BMP": _describe_mode,
    "TIFF": _describe_tiff,
    "WEBP": _describe_mode,
    "GIF": _describe_mode,
}
"""What is read, whatever a file's name ends in -> what describes it. A format that may hold more than 8 bits needs a
function that says so: Pillow cuts them off without a word."""


def _too_large(size: str) -> str:
    return (
        f"{size} are too many: up to {MOST_PIXELS:,} pixels, and {LONGEST_SIDE_PX:,} a side, are read; make it "
        "smaller, or cut it into pieces"
    )


def _describe_unread(path: Path) -> str:
    """Return what is wrong with a file that Pillow does not open: a TIFF is described by its tags."""
    import PIL.TiffImagePlugin

    # A TIFF's tags say why (12 bits, five bands, ...) even where no part of Pillow can read its pixels.
    try:
        with path.open("rb") as file:
            head = file.read(8)
            if head.startswith((b"\x89PNG", b"\xff\xd8\xff", b"BM", b"RIFF", b"GIF8")):
                return "damaged, or of a kind that is not read (such as JPEG of 12 bits): save it anew, as PNG"
            if not head.startswith((b"II*\0", b"MM\0*")):
                return "not a picture in a format that is read; convert it to PNG, JPEG, BMP, TIFF, WebP or GIF"
            tags = PIL.TiffImagePlugin.ImageFileDirectory_v2(head)
            file.seek(tags.next)
            tags.load(file)
        told = _describe_tags(tags)
        if not told.size[0]:
            return "a damaged TIFF"
    except Exception:  # noqa: BLE001 - a damaged header of any kind
        return "a damaged TIFF"
    bands = f"{told.bands} {'band' if told.bands == 1 else 'bands'} of {told.bits} bits"
    what = f"a TIFF of {bands} ({told.number}, {told.model})"
    return f"{what}, which is not read: write 8 bits, in red, green and blue, or in grey"
