"""Which pictures are meant, what each one's results and its label are called, and where results must not go."""

from __future__ import annotations

import glob
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness.data.listing import IMAGE_ENDINGS, LABEL_ENDINGS
from harness.errors import InputError, describe_missing
from harness.settings import DataChoice

LabelName = Callable[[str], str]
"""Name of a picture -> name of its label, both without ending."""


def name_labels(data: DataChoice) -> LabelName:
    """Return how the data set that a run was trained on calls the label of a picture."""
    suffix = data.own.get("mask_suffix", "")
    if data.name == "cityscapes":
        return lambda name: name.replace("_leftImg8bit", "_gtFine_labelIds")
    return lambda name: f"{name}{suffix}"


def find_labels(files: Iterable[Path], label_name: LabelName) -> set[Path]:
    """Return those of some files that are the label of another one of them, in the same folder."""
    own = {path: path.with_suffix("") for path in files}
    labels = {path.with_name(label_name(path.name)) for path in own.values() if label_name(path.name) != path.name}
    return {path for path, bare in own.items() if bare in labels}


@dataclass(frozen=True)
class Picture:
    """A picture file."""

    path: Path
    """As given."""
    below: PurePosixPath
    """The file below the folder that was given (below the fixed part of a pattern); its bare name where it was itself
    given."""
    name: str
    """What its results are called: `below` without ending; other pictures' results are called otherwise."""


@dataclass(frozen=True)
class _Listed:
    path: Path
    below: PurePosixPath
    top: str
    """Name of the folder that it was found in."""


def find_pictures(texts: Sequence[str]) -> tuple[Picture, ...]:
    """Return the pictures that texts mean: files, folders (with all below them) and patterns such as `drive/**/*.png`.

    Each file once, in the order given; those of a folder or a pattern in the order of their names. Hidden files, and
    those of a folder that are no pictures by their ending, are passed over.

    Raises:
        InputError: a text means nothing.
    """
    listed: dict[Path, _Listed] = {}
    for text in texts:
        for item in _list(text):
            listed.setdefault(item.path.resolve(), item)
    names = _make_names(list(listed.values()))
    return tuple(Picture(item.path, item.below, name) for item, name in zip(listed.values(), names, strict=True))


def _list(text: str) -> list[_Listed]:
    place = Path(text).expanduser()
    if place.is_file():
        return [_Listed(place, PurePosixPath(place.name), place.absolute().parent.name)]
    if place.is_dir():
        top, found = place, [path for path in place.rglob("*") if path.suffix.lower() in IMAGE_ENDINGS]
    elif glob.has_magic(text):
        top = _fixed_part(place)
        found = [path for path in top.glob(str(place.relative_to(top))) if path.suffix.lower() in IMAGE_ENDINGS]
    else:
        missing = describe_missing(text, "file or folder")
        raise InputError(f"{missing}; give pictures, folders, or a pattern in quotes")
    below = {path: path.relative_to(top) for path in found if path.is_file()}
    visible = [path for path, part in below.items() if not any(word.startswith(".") for word in part.parts)]
    if not visible:
        raise InputError(f"{text}: no pictures there; known endings: {', '.join(IMAGE_ENDINGS)}")
    visible.sort(key=lambda path: (below[path].with_suffix("").parts, path.suffix))
    return [_Listed(path, PurePosixPath(below[path].as_posix()), top.resolve().name) for path in visible]


def _fixed_part(pattern: Path) -> Path:
    fixed = Path(pattern.anchor)
    for word in pattern.relative_to(pattern.anchor).parts[:-1]:
        if glob.has_magic(word):
            break
        fixed /= word
    return fixed


_NAMINGS: tuple[Callable[[_Listed], str], ...] = (
    lambda item: str(item.below.with_suffix("")),
    lambda item: f"{item.below.with_suffix('')}_{item.below.suffix[1:]}",
    lambda item: f"{item.top}/{item.below.with_suffix('')}_{item.below.suffix[1:]}",
)
"""From short to long: the first that tells a picture apart is taken."""


def _make_names(items: Sequence[_Listed]) -> list[str]:
    """Return names of which no two are one on any disk: `a` alone, `a_png` and `a_jpg` side by side, else numbered."""
    names = [_NAMINGS[0](item) for item in items]
    # Only names that collide grow longer, so that the others stay what a user expects.
    for naming in _NAMINGS[1:]:
        taken = Counter(map(_fold, names))
        names = [naming(item) if taken[_fold(name)] > 1 else name for item, name in zip(items, names, strict=True)]
    # What still collides is the same file name below folders of one name: a number tells them apart.
    used: set[str] = set()
    for place, name in enumerate(names):
        number, unique = 2, name
        while _fold(unique) in used:
            unique, number = f"{name}-{number}", number + 1
        names[place] = unique
        used.add(_fold(unique))
    return names


def _fold(name: str) -> str:
    """Return what names share that a disk of macOS or Windows takes for one."""
    return unicodedata.normalize("NFC", name).casefold()


def check_place(out: Path, texts: Sequence[str], pictures: Sequence[Picture], truth: Path | None) -> None:
    """Refuse to write among what is read.

    Raises:
        InputError: `out` lies in a given folder or in the folder of the truth, or a picture or the truth in `out`.
    """
    place = out.expanduser().resolve()
    folders = [Path(text).expanduser() for text in texts if Path(text).expanduser().is_dir()]
    for folder in [*folders, *([truth] if truth else [])]:
        if place.is_relative_to(folder.resolve()) or folder.resolve().is_relative_to(place):
            raise InputError(f"--out {out}: results would lie among what is read ({folder}); give another folder")
    for picture in pictures:
        if picture.path.resolve().is_relative_to(place):
            raise InputError(f"--out {out}: it holds what is read ({picture.path}); give another folder")
    if place.exists() and not place.is_dir():
        raise InputError(f"--out {out}: this is a file; give a folder")


def find_truth(truth: Path, pictures: Sequence[Picture], label_name: LabelName = str) -> dict[str, Path]:
    """Return a picture's name -> the label file at the same place below a folder.

    A label is called `label_name(picture)`, else like its picture; a picture is never the label of another.

    Raises:
        InputError: there is no such folder, it holds no label of any of the pictures, or two of one.
    """
    if not truth.is_dir():
        raise InputError(f"--truth {describe_missing(truth)}")
    found: dict[str, Path] = {}
    taken = {picture.path.resolve() for picture in pictures}
    for picture in pictures:
        stem, folder = picture.below.stem, truth / picture.below.parent
        names = dict.fromkeys((label_name(stem), stem))
        candidates = ([folder / f"{name}{ending}" for ending in LABEL_ENDINGS] for name in names)
        named = ([path for path in files if path.is_file() and path.resolve() not in taken] for files in candidates)
        files = next((files for files in named if files), [])
        if len(files) > 1:
            raise InputError(f"--truth {truth}: two labels of {picture.below}: {files[0].name} and {files[1].name}")
        if files:
            found[picture.name] = files[0]
    if not found:
        first = pictures[0].below.with_name(f"{label_name(pictures[0].below.stem)}.png")
        raise InputError(f"--truth {truth}: no label of any of the pictures; expected files such as {truth / first}")
    return found
