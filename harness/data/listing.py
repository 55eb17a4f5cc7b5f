"""Finding pictures and their label files in folders."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

from harness.data.pairs import Pair
from harness.errors import InputError

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
LABEL_ENDINGS = (".png", ".bmp", ".tif", ".tiff")
"""Formats that keep ids exactly as they were written."""
_SHOWN = 3


def list_pairs(images: Path, labels: Path, *, suffix: str = "", group_of: Callable[[str], str] = str) -> list[Pair]:
    """Return the pairs of two folders in the order of their names: label file = image's name + `suffix`, any ending.

    Other files (`Thumbs.db`, hidden ones) are passed over. `group_of` maps an image's name to its group.

    Raises:
        InputError: a folder is missing or empty, two files share a name, or an image or a label stands alone.
    """
    pictures = _by_name(images, IMAGE_ENDINGS)
    masks = _by_name(labels, LABEL_ENDINGS)
    if not pictures:
        raise InputError(f"{images}: no images there; known endings: {', '.join(IMAGE_ENDINGS)}")
    alone = [pictures[name].name for name in pictures if name + suffix not in masks]
    unused = [masks[name].name for name in masks if name not in {picture + suffix for picture in pictures}]
    if alone or unused:
        rule = f"an image NAME.png needs a label NAME{suffix}.png"
        missing = [f"{len(alone)} images in {images} without a label ({_some(alone)})"] if alone else []
        extra = [f"{len(unused)} labels in {labels} without an image ({_some(unused)})"] if unused else []
        raise InputError(f"{'; '.join(missing + extra)}; {rule}")
    return [Pair(name, group_of(name), pictures[name], masks[name + suffix]) for name in sorted(pictures)]


def _by_name(folder: Path, endings: tuple[str, ...]) -> dict[str, Path]:
    """Return name without ending -> file. Composed and decomposed umlauts (macOS) are one name."""
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in endings and not path.name.startswith("."):
            name = unicodedata.normalize("NFC", path.stem)
            if name in found:
                raise InputError(f"{folder}: '{found[name].name}' and '{path.name}' share a name; keep one of them")
            found[name] = path
    return found


def _some(names: list[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:_SHOWN])
    return f"{shown}, ..." if len(names) > _SHOWN else shown
