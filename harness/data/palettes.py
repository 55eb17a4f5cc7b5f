"""Palettes of label files: whether one colour stands at different indices in different files.

Ids are indices. A program that makes a new palette for each picture it saves gives a class another index in each, and
nothing but the colours tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from harness.data.images import read_ids
from harness.data.source import RawIds
from harness.data.stored import opened
from harness.data.taxonomy import Colour
from harness.errors import InputError

Palette = tuple[Colour, ...]
"""Colour of each index; empty where a file has none."""


def read_palette(path: Path) -> Palette:
    """Return a label file's palette, from its header.

    Raises:
        InputError: the file cannot be read.
    """
    values: Sequence[int] = []
    with opened(path) as picture:
        if picture.mode == "P" and picture.palette is not None:
            kind, stored = picture.palette.getdata()
            values = stored if kind == "RGB" else picture.getpalette("RGB") or []  # the latter decodes the picture
    return tuple(zip(values[0::3], values[1::3], values[2::3], strict=True))


class KnownColours:
    """The colours that occur in the label files seen so far, each with the first file and index that it stood at."""

    def __init__(self) -> None:
        self._first: dict[Colour, tuple[int, str, Palette]] = {}

    def find_clash(self, file: str, palette: Palette, ids_HW: RawIds) -> str:
        """Return which colour of a file stands at another index in an earlier one, in words; empty for none.

        Indices that occur count. A palette with a colour at both indices tells nothing, and is no reason.
        """
        import PIL.Image

        # All colours are entered even after a clash, so that later files are compared with this one too.
        clash = ""
        pixels = PIL.Image.fromarray(ids_HW).histogram()
        for index in [index for index in range(len(palette)) if pixels[index]]:
            colour = palette[index]
            first, earlier, its_palette = self._first.setdefault(colour, (index, file, palette))
            if first != index and not (_has(palette, first, colour) or _has(its_palette, index, colour)):
                clash = clash or (
                    f"{file}: the colour {colour} has index {index}, and index {first} in {earlier}; ids are indices, "
                    "so that one of the two is learnt and judged as another class: save all masks with one palette, or "
                    "write the ids as grey values"
                )
        return clash


def _has(palette: Palette, index: int, colour: Colour) -> bool:
    return index < len(palette) and palette[index] == colour


def check_palettes(files: Iterable[Path]) -> None:
    """Refuse label files in which one colour stands at different indices. Decodes them where palettes differ at all.

    Files that cannot be read are passed over: who reads them tells.

    Raises:
        InputError: two files and the colour are named.
    """
    palettes: dict[Path, Palette] = {}
    for path in files:
        with suppress(InputError):
            palettes[path] = read_palette(path)
    # One palette for all files cannot clash with itself: then no file is decoded.
    with_palette = {path: palette for path, palette in palettes.items() if palette}
    if len(set(with_palette.values())) < 2:
        return
    known = KnownColours()
    for path, palette in with_palette.items():
        clash = ""
        with suppress(InputError):
            clash = known.find_clash(str(path), palette, read_ids(path))
        if clash:
            raise InputError(clash)
