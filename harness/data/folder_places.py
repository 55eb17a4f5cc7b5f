"""Where the images and masks of a folder lie, and how they are divided: by folders, or by lists of names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.data.listing import IMAGE_ENDINGS, list_names
from harness.data.recognised import subfolders
from harness.data.split_lists import find_listed, read_list

IMAGE_FOLDERS = (
    "images",
    "image",
    "imgs",
    "img",
    "img_dir",
    "jpegimages",
    "rgb",
    "color_images",
    "pictures",
    "frames",
)
MASK_FOLDERS = (
    "masks",
    "mask",
    "labels",
    "label",
    "annotations",
    "annotation",
    "ann_dir",
    "segmentationclass",
    "segmentation",
    "segmentations",
    "gt",
    "groundtruth",
    "ground_truth",
    "targets",
)
SPLIT_FOLDERS = {
    "train": ("train", "training", "train2017"),
    "val": ("val", "valid", "validation", "val2017"),
    "test": ("test", "testing", "test2017"),
}
LIST_FOLDERS = ("ImageSets/Segmentation", "ImageSets", "splits", "lists", ".")
"""Where lists of names by split lie, such as train.txt."""
MASK_WORDS = re.compile(r"[_.-](masks?|labels?|seg|segmentation|gt|annotation|ann|labelids|l|p)$", re.IGNORECASE)
"""What masks add to the names of the images that they lie beside."""


@dataclass(frozen=True)
class Folders:
    """A place with images and masks in it, as the settings `images` and `masks` name them."""

    place: Path
    images: Path
    masks: Path


@dataclass(frozen=True)
class Division:
    """Folders by split (one, named "", where they are divided otherwise), and the setting `splits`."""

    root: Path
    folders: Mapping[str, Folders]
    splits: Mapping[str, str]
    told: str
    """How it was found, in words for the user; empty where the division has yet to be made."""
    inside: bool = False
    """Whether the folders of splits lie inside those of images and masks."""


def find_divisions(place: Path) -> Iterator[Division]:
    """Yield how the images and masks in a folder are divided; nothing where there are none."""
    splits = _by_split({folder: _find_pair(folder) for folder in subfolders(place)})
    pair = _find_pair(place)
    if "train" in splits and "val" in splits:
        names = {split: found.place.name for split, found in splits.items()}
        yield Division(place, splits, names, _tell_folders(names.values()))
    elif "train" in splits:
        left = f", and {splits['test'].place.name}/ is left unused" if "test" in splits else ""
        train = splits["train"]
        yield Division(train.place, {"": train}, {}, f"no val/ was found beside {train.place.name}/{left}")
    elif pair is not None and (inner := _find_inner(pair)):
        yield Division(place, inner, {s: f.images.name for s, f in inner.items()}, _tell_inner(pair), True)
    elif pair is not None:
        yield Division(place, {"": pair}, *_find_lists(place, pair))


def _tell_folders(names: Iterable[str]) -> str:
    return f"as in {join_words(f'{name}/' for name in names)}"


def _by_split(pairs: Mapping[Path, Folders | None]) -> dict[str, Folders]:
    found = {}
    for split, names in SPLIT_FOLDERS.items():
        named = [pair for folder, pair in pairs.items() if folder.name.lower() in names and pair is not None]
        if named:
            found[split] = named[0]
    return found


def _find_pair(place: Path) -> Folders | None:
    """Return the folders of images and of masks in a folder; the folder itself where both lie in it."""
    by_name = {folder.name.lower(): folder for folder in reversed(subfolders(place))}
    images = next((by_name[name] for name in IMAGE_FOLDERS if name in by_name), None)
    masks = next((by_name[name] for name in MASK_FOLDERS if name in by_name), None)
    deeper = [sub for folder in by_name.values() for sub in subfolders(folder) if sub.name.lower() in MASK_FOLDERS]
    if images and (masks or deeper):
        return Folders(place, images, masks or deeper[-1])
    beside = [(name, f"{name}_{word}") for name in by_name for word in ("masks", "mask", "labels")]
    for name, other in beside:
        if other in by_name and any(path.suffix.lower() in IMAGE_ENDINGS for path in by_name[name].iterdir()):
            return Folders(place, by_name[name], by_name[other])
    return Folders(place, place, place) if find_suffix_beside(place) else None


def find_suffix_beside(place: Path) -> str:
    """Return what masks add to the names of the images in the same folder; empty where there are no such masks."""
    names = {path.stem for path in place.iterdir() if path.suffix.lower() in IMAGE_ENDINGS}
    ends = [(name, word) for name in names if (word := MASK_WORDS.search(name)) is not None]
    added = Counter(word[0] for name, word in ends if name[: word.start()] in names)
    suffix, masks = max(added.items(), key=lambda item: item[1], default=("", 0))
    return suffix if 2 * masks >= len(names) - len(ends) else ""


def _find_inner(pair: Folders) -> dict[str, Folders]:
    """Return train and val, and test, that lie inside the folders of images and of masks; none where one is missing."""
    inner = {sub: Folders(sub, sub, pair.masks / sub.name) for sub in subfolders(pair.images)}
    splits = _by_split({sub: found if found.masks.is_dir() else None for sub, found in inner.items()})
    return splits if "train" in splits and "val" in splits and pair.images != pair.masks else {}


def _tell_inner(pair: Folders) -> str:
    return f"as in the folders inside {pair.images.name}/ and {pair.masks.name}/"


def _find_lists(place: Path, pair: Folders) -> tuple[dict[str, str], str]:
    """Return split -> list of names below a place, and how that was found; none where the lists do not fit."""
    names = list_names(pair.images, IMAGE_ENDINGS)
    for folder in (place / below for below in LIST_FOLDERS):
        files = sorted(folder.glob("*.txt")) if folder.is_dir() else []
        known = {
            split: next((f for f in files if f.stem.lower() in words), None) for split, words in SPLIT_FOLDERS.items()
        }
        lists = {split: file for split, file in known.items() if file is not None}
        if not lists:
            continue
        shown = join_words([file.relative_to(place).as_posix() for file in lists.values()])
        fits = {
            split: file for split, file in lists.items() if any(find_listed(line, names) for line in read_list(file))
        }
        if "train" in fits and "val" in fits:
            found = {split: file.relative_to(place).as_posix() for split, file in fits.items()}
            return found, f"as listed in {join_words(found.values())}"
        lacking = " and ".join(f"{split}.txt" for split in ("train", "val") if split not in lists)
        why = f"there is no {lacking}" if lacking else "no name in them is that of a picture"
        return {}, f"{shown} {'is' if len(lists) == 1 else 'are'} not used: {why}"
    return {}, ""


def join_words(words: Iterable[str]) -> str:
    """Return `a`, `a and b`, `a, b and c`; there is at least one word."""
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last
