"""Images and masks in folders of any name: where they lie, how they are divided (by folders, or by lists of names),
which of them belong together, by what suffix, and which ids they hold.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.data.folder import SPLIT
from harness.data.guessed_classes import guess_classes
from harness.data.listing import IMAGE_ENDINGS, LABEL_ENDINGS, find_listed, list_labels, list_names, read_list
from harness.data.recognised import Layout, MaskIds, Miss, read_mask_ids, spread, subfolders
from harness.errors import InputError, join_words, name_some

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
        yield Division(place, splits, names, f"as in {join_words(f'{name}/' for name in names.values())}")
    elif "train" in splits:
        left = f", and {splits['test'].place.name}/ is left unused" if "test" in splits else ""
        train = splits["train"]
        yield Division(train.place, {"": train}, {}, f"no val/ was found beside {train.place.name}/{left}")
    elif pair is not None and (inner := _find_inner(pair)):
        told = f"as in the folders inside {pair.images.name}/ and {pair.masks.name}/"
        yield Division(place, inner, {split: found.images.name for split, found in inner.items()}, told, True)
    elif pair is not None:
        yield Division(place, {"": pair}, *_find_lists(place, pair))


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


CITY_NAME = r"[a-z-]+_\d{6}_\d{6}"
"""How Cityscapes names its pictures: city, sequence, frame."""
MOST_MASKS = 200
_LOSSY = (".jpg", ".jpeg", ".webp")


def find_folders(root: Path) -> Iterator[Layout | Miss]:
    """Yield how the data set `folder` reads a folder: by split, else as a whole; in it, else one folder deeper."""
    for place in (root, *subfolders(root)):
        found = list(_find_at(place))
        yield from found
        if any(isinstance(item, Layout) for item in found):
            return


def _find_at(place: Path) -> Iterator[Layout | Miss]:
    try:
        for division in find_divisions(place):
            yield _read_layout(division)
    except InputError as error:
        yield Miss(f"folder, but {error}")


def _read_layout(division: Division) -> Layout | Miss:
    folders = division.folders
    first = next(iter(folders.values()))
    names = {
        split: [below.relative_to(pair.place).as_posix() for below in (pair.images, pair.masks)]
        for split, pair in folders.items()
        if not division.inside
    }
    if len(set(map(tuple, names.values()))) > 1:
        told = "; ".join(
            f"{folders[split].place.name}/: {images}/ and {masks}/" for split, (images, masks) in names.items()
        )
        return Miss(f"folder, but images and masks must have the same names in every split of {division.root} ({told})")
    suffix = _find_suffix(first)
    if isinstance(suffix, Miss):
        return suffix
    masks = [path for pair in folders.values() for path in list_labels(pair.masks, suffix).values()]
    found = read_mask_ids(masks, MOST_MASKS)
    if (why := _why_useless(found, masks, first)) is not None:
        return Miss(f"folder, but {why}")
    places = [division.root, *(pair.place for pair in folders.values()), first.masks]
    guess = guess_classes(found.pixels, places, masks)
    settings = {"root": str(division.root), **_settings(division, first, suffix)}
    guesses = {"division": _tell_division(division), **guess.told, **_tell_reading(found, len(masks))}
    return Layout("folder", settings | dict(guess.settings), _why(division, first, suffix), found.pixels, guesses)


def _why_useless(found: MaskIds, masks: Sequence[Path], first: Folders) -> str | None:
    """Return why the masks hold no ids that can be used; None where they do."""
    if not found.pixels:
        if (colours := found.colours) is not None:
            return f"{colours}{_describe_colours(masks)}"
        more = f" ({len(found.unread)} masks were tried)" if len(found.unread) > 1 else ""
        return f"no mask in {first.masks} can be read{more}: {found.unread[0]}"
    return (
        f"the masks in {first.masks} were resampled or saved as JPEG: {found.mixture.describe()}"
        if found.mixture.is_likely
        else None
    )


def _settings(division: Division, first: Folders, suffix: str) -> dict[str, Any]:
    if division.inside:
        images, masks = (f"{folder.parent.name}/{SPLIT}" for folder in (first.images, first.masks))
    else:
        images, masks = (folder.relative_to(first.place).as_posix() for folder in (first.images, first.masks))
    settings: dict[str, Any] = {} if images == "images" else {"images": images}
    settings |= {} if masks == "masks" else {"masks": masks}
    settings |= {"mask_suffix": suffix} if suffix else {}
    settings |= {"splits": dict(division.splits)} if division.splits else {}
    cities = all(re.fullmatch(CITY_NAME, name) for name in list_names(first.images, IMAGE_ENDINGS))
    return settings | ({"groups": "^[a-z-]+"} if cities else {})


def _why(division: Division, first: Folders, suffix: str) -> str:
    where = "" if "" in division.folders else f" in {join_words(f'{name}/' for name in division.splits.values())}"
    named = f"; masks are named like their images, with {suffix} added" if suffix else ""
    if first.images == first.masks:
        return f"images and masks in one folder{where}{named}"
    images, masks = (folder.parent if division.inside else folder for folder in (first.images, first.masks))
    return f"{images.name}/ and {masks.name}/{where}{named}"


def _tell_division(division: Division) -> str:
    if division.splits:
        return division.told
    why = division.told or "neither folders nor lists of splits were found"
    return f"val is a fifth, chosen by a hash of names (data.val_fraction); {why}"


def _tell_reading(found: MaskIds, number: int) -> dict[str, str]:
    told = {}
    if number > found.read + len(found.unread):
        told["sample"] = f"ids were read from {found.read} of {number:,} masks; one that only others hold is an error"
    if found.unread:
        told["unread"] = f"{len(found.unread)} of {found.read + len(found.unread)} masks, first {found.unread[0]}"
    return told


def _find_suffix(pair: Folders) -> str | Miss:
    """Return what masks add to the names of their images: what fits most of them."""
    if pair.images == pair.masks:
        return find_suffix_beside(pair.images)
    images = list_names(pair.images, IMAGE_ENDINGS)
    masks = list_names(pair.masks, LABEL_ENDINGS)
    if not images:
        return Miss(f"folder, but {pair.images} holds no images ({', '.join(IMAGE_ENDINGS)}){_tell_held(pair.images)}")
    if not masks:
        lossy = any(path.suffix.lower() in _LOSSY for path in pair.masks.iterdir())
        told = ": JPEG and WebP change the ids; save masks as PNG" if lossy else ""
        return Miss(f"folder, but {pair.masks} holds no masks ({', '.join(LABEL_ENDINGS)}){told}")
    fits = Counter(mask[k:] for mask in masks for k in range(1, len(mask) + 1) if mask[:k] in images)
    if not fits:
        return Miss(
            f"folder, but no mask is named like an image, with or without something added: {pair.images} holds "
            f"{next(iter(images))}, {pair.masks} holds {next(iter(masks))}"
        )
    return max(fits, key=lambda suffix: (fits[suffix], -len(suffix)))


def _tell_held(folder: Path) -> str:
    """Return what a folder without known files holds instead."""
    endings = Counter(path.suffix.lower() or path.name for path in folder.iterdir() if path.is_file())
    if not endings:
        return ": it has no files, only folders" if subfolders(folder) else ": it is empty"
    ending, number = endings.most_common(1)[0]
    return f" but {number} {ending} {'file' if number == 1 else 'files'}"


def _describe_colours(masks: Sequence[Path]) -> str:
    """Return the colours in a few masks, the most frequent first, and how to turn them into ids."""
    import numpy as np

    from harness.data.images import read_image

    pixels: Counter[tuple[int, ...]] = Counter()
    for path in spread(masks, 5):
        with suppress(InputError):
            found, counts = np.unique(read_image(path).reshape(-1, 3), axis=0, return_counts=True)
            pixels.update({tuple(colour): count for colour, count in zip(found.tolist(), counts.tolist(), strict=True)})
    shown = name_some([str(colour) for colour, _ in pixels.most_common()], 8)
    return (
        f". Colours in a few of the {len(masks):,} masks: {shown}. In Python: ids = np.full(rgb.shape[:2], 255, "
        f"np.uint8); ids[(rgb == COLOUR).all(-1)] = ID for each colour; PIL.Image.fromarray(ids).save(...)"
    )
