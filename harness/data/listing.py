"""Finding pictures and their label files in folders."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.data.pairs import PICTURES, Format, Pair, make_source
from harness.data.source import Fault, Source
from harness.data.taxonomy import Taxonomy
from harness.errors import InputError, describe_missing

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
LABEL_ENDINGS = (".png", ".bmp", ".tif", ".tiff")
"""Formats that keep ids exactly as they were written."""
NO_LABEL = "images without a label"
NO_IMAGE = "labels without an image"


@dataclass(frozen=True)
class Listing:
    """Pairs in the order of their names, and what stands alone."""

    pairs: tuple[Pair, ...]
    alone: tuple[Fault, ...]


def list_pairs(
    root: Path,
    images: Path,
    labels: Path,
    *,
    suffix: str = "",
    split: str = "",
    group_of: Callable[[str], str] = str,
) -> Listing:
    """Return the pairs of two folders below `root`: label file = image's name + `suffix`, any ending.

    Other files (`Thumbs.db`, hidden ones) are passed over. `group_of` maps an image's name to its group. Both folders
    may be one: what ends with `suffix` there is a label, all else an image.

    Raises:
        InputError: a folder is missing or empty, or two files share a name.
    """
    together = images.resolve() == labels.resolve()
    if together and not suffix:
        raise InputError(f"{images}: images and masks lie in one folder; write mask_suffix, what a mask's name adds")
    pictures = list_names(images, IMAGE_ENDINGS, lambda name: not (together and name.endswith(suffix)))
    masks = list_labels(labels, suffix) if together else list_names(labels, LABEL_ENDINGS)
    if not pictures:
        raise InputError(f"{images}: no images there; known endings: {', '.join(IMAGE_ENDINGS)}")
    wanted = {name + suffix: name for name in pictures}
    below = labels.relative_to(root).as_posix()
    alone = [
        fault_alone(root, pictures[name], NO_LABEL, split, name, f"no {below}/{name}{suffix}.png")
        for name in pictures
        if name + suffix not in masks
    ]
    alone += [
        fault_alone(root, masks[name], NO_IMAGE, split, name, f"no image of that name in {images.relative_to(root)}")
        for name in masks
        if name not in wanted
    ]
    pairs = [
        Pair(name, group_of(name), pictures[name], masks[name + suffix])
        for name in sorted(pictures)
        if name + suffix in masks
    ]
    return Listing(tuple(pairs), tuple(alone))


def source_of(root: Path, taxonomy: Taxonomy, listings: Mapping[str, Listing], form: Format = PICTURES) -> Source:
    """Return the data set of listed splits; what stands alone in any of them is among its faults."""
    pairs = {split: listing.pairs for split, listing in listings.items()}
    return make_source(root, taxonomy, pairs, [fault for listing in listings.values() for fault in listing.alone], form)


def fault_alone(root: Path, path: Path, kind: str, split: str, name: str, missing: str) -> Fault:
    """Return the fault of a file that has no counterpart."""
    file = path.relative_to(root).as_posix()
    return Fault(kind, split, name, file, f"{file} (there is {missing})")


def list_labels(folder: Path, suffix: str) -> dict[str, Path]:
    """Return name without ending -> file, of the label files whose names end with `suffix`."""
    return list_names(folder, LABEL_ENDINGS, lambda name: name.endswith(suffix))


def list_names(
    folder: Path, endings: tuple[str, ...], keep: Callable[[str], bool] = lambda name: True
) -> dict[str, Path]:
    """Return name without ending -> file, of the files of some formats whose names are to be kept.

    Composed and other umlauts (macOS) are one.

    Raises:
        InputError: there is no such folder, or two files share a name.
    """
    if not folder.is_dir():
        raise InputError(describe_missing(folder))
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in endings and not path.name.startswith("."):
            name = unicodedata.normalize("NFC", path.stem)
            if not keep(name):
                continue
            if name in found:
                raise InputError(f"{folder}: '{found[name].name}' and '{path.name}' share a name; keep one of them")
            found[name] = path
    return found
