"""Finding pictures and their label files in folders, and in lists of names that divide a data set.

Such a list, as `ImageSets/Segmentation/train.txt`, has an image a line.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

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
) -> Listing:
    """Return the pairs of two folders below `root`: label file = image's name + `suffix`, any ending.

    Other files (`Thumbs.db`, hidden ones) are passed over. Each image is a group of its own. Both folders may be one:
    what ends with `suffix` there is a label, all else an image.

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
    below = labels.relative_to(root).as_posix()
    missing = lambda n: f"no {below}/{n}{suffix}.png", lambda n: f"no image of that name in {images.relative_to(root)}"
    names, alone = match(root, split, (pictures, masks), missing, suffix)
    return Listing(tuple(Pair(n, n, pictures[n], masks[n + suffix]) for n in names), alone)


def match(
    root: Path,
    split: str,
    files: tuple[Mapping[str, Path], Mapping[str, Path]],
    missing: tuple[Callable[[str], str], Callable[[str], str]],
    suffix: str = "",
) -> tuple[list[str], tuple[Fault, ...]]:
    """Return the sorted names of images that have a label, and the faults of files without a counterpart.

    `files` are images and labels by name; a label's name is its image's with `suffix`. `missing` says in words what is
    missing to an image, and to a label, by the file's name.
    """
    images, labels = files
    wanted = {name + suffix for name in images}
    alone = [
        *((NO_LABEL, name, path, missing[0](name)) for name, path in images.items() if name + suffix not in labels),
        *((NO_IMAGE, name, path, missing[1](name)) for name, path in labels.items() if name not in wanted),
    ]
    faults = tuple(fault_alone(root, path, kind, split, name, told) for kind, name, path, told in alone)
    return sorted(name for name in images if name + suffix in labels), faults


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
        name = unicodedata.normalize("NFC", path.stem)
        if path.suffix.lower() in endings and not path.name.startswith(".") and keep(name):
            if name in found:
                raise InputError(f"{folder}: '{found[name].name}' and '{path.name}' share a name; keep one of them")
            found[name] = path
    return found


NOT_THERE = "listed images that are missing"


def read_list(path: Path) -> list[str]:
    """Return the lines of a list, without empty ones.

    Raises:
        InputError: there is no such file, or it is no text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(describe_missing(path, "list of names")) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a list of names: {error}") from None
    return [unicodedata.normalize("NFC", line.strip()) for line in text.splitlines() if line.strip()]


def find_listed(line: str, names: Container[str]) -> str | None:
    """Return the image that a line means: its name, alone or as a path with an ending; None where there is none."""
    first = line.split()[0]
    wanted = (line, first, PurePosixPath(first).name, PurePosixPath(first).stem)
    return next((name for name in wanted if name in names), None)


def restrict(listing: Listing, root: Path, path: Path, split: str) -> Listing:
    """Return the images of a listing that a list names. A line that names none becomes a fault.

    Raises:
        InputError: the list cannot be read, or names no image that is there.
    """
    pairs = {pair.name: pair for pair in listing.pairs}
    alone = {fault.name: replace(fault, split=split) for fault in listing.alone}
    lines = read_list(path)
    named = {line: find_listed(line, pairs.keys() | alone.keys()) for line in lines}
    # A list may name an image twice, by its name and as a path.
    names = dict.fromkeys(named.values())
    found = [pairs[name] for name in names if name in pairs]
    if not found:
        first = f", such as '{lines[0]}'" if lines else ""
        raise InputError(f"{path}: none of its {len(lines)} names{first} is that of an image with a mask in {root}")
    faults = [alone[name] for name in names if name in alone]
    missing = [line for line, name in named.items() if name is None]
    faults += [fault_alone(root, path, NOT_THERE, split, line, f"no image '{line}'") for line in missing]
    return Listing(tuple(sorted(found, key=lambda pair: pair.name)), tuple(faults))
