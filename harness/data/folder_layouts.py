"""Images and masks in folders of any name: where they lie, how they are divided (by folders, or by lists of names),
which of them belong together, by what suffix, and which ids they hold.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from harness.data.folder import SPLIT
from harness.data.guessed_classes import guess_classes
from harness.data.images import ColourMaskError, read_image
from harness.data.listing import IMAGE_ENDINGS, LABEL_ENDINGS, find_listed, list_labels, list_names, read_list
from harness.data.recognised import KnownLayout, Layout, MaskIds, Miss, read_mask_ids, spread, subfolders
from harness.errors import InputError, join_words, name_some

_NAMES = {
    "images": "images image imgs img img_dir jpegimages rgb color_images pictures frames",
    "masks": "masks mask labels label annotations annotation ann_dir segmentationclass segmentation segmentations gt "
    "groundtruth ground_truth targets",
    "train": "train training train2017",
    "val": "val valid validation val2017",
    "test": "test testing test2017",
}
"""What a folder holds -> what it is called, in small letters, the likeliest first."""
FOLDERS = {content: names.split() for content, names in _NAMES.items()}
SPLITS = ("train", "val", "test")
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

    def names(self) -> tuple[str, str]:
        """Return the names of the folders of images and of masks, below the place."""
        return self.images.relative_to(self.place).as_posix(), self.masks.relative_to(self.place).as_posix()


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


def _find_division(place: Path) -> Division | None:
    """Return how the images and masks in a folder are divided; None where there are none."""
    splits = _by_split({folder: _find_pair(folder) for folder in subfolders(place)})
    pair = _find_pair(place)
    if "train" in splits and "val" in splits:
        names = {split: found.place.name for split, found in splits.items()}
        return Division(place, splits, names, f"as in {join_words(f'{name}/' for name in names.values())}")
    if "train" in splits:
        left = f", and {splits['test'].place.name}/ is left unused" if "test" in splits else ""
        train = splits["train"]
        return Division(train.place, {"": train}, {}, f"no val/ was found beside {train.place.name}/{left}")
    if pair is None:
        return None
    if inner := _find_inner(pair):
        told = f"as in the folders inside {pair.images.name}/ and {pair.masks.name}/"
        return Division(place, inner, {split: found.images.name for split, found in inner.items()}, told, True)
    return Division(place, {"": pair}, *_find_lists(place, pair))


def _by_split(pairs: dict[Path, Folders | None]) -> dict[str, Folders]:
    # Of several folders for one split, such as val and validation, the first one counts: it is entered last.
    return {
        split: pair
        for split in SPLITS
        for folder, pair in reversed(pairs.items())
        if folder.name.lower() in FOLDERS[split] and pair is not None
    }


def _find_pair(place: Path) -> Folders | None:
    """Return the folders of images and of masks in a folder; the folder itself where both lie in it."""
    by_name = {folder.name.lower(): folder for folder in reversed(subfolders(place))}
    images = next((by_name[name] for name in FOLDERS["images"] if name in by_name), None)
    masks = next((by_name[name] for name in FOLDERS["masks"] if name in by_name), None)
    deeper = [sub for folder in by_name.values() for sub in subfolders(folder) if sub.name.lower() in FOLDERS["masks"]]
    if images and (masks or deeper):
        return Folders(place, images, masks or deeper[-1])
    for name, word in product(by_name, ("masks", "mask", "labels")):
        other = by_name.get(f"{name}_{word}")
        if other and any(path.suffix.lower() in IMAGE_ENDINGS for path in by_name[name].iterdir()):
            return Folders(place, by_name[name], other)
    return Folders(place, place, place) if find_suffix_beside(place) else None


def find_suffix_beside(place: Path) -> str:
    """Return what masks add to the names of the images in the same folder; empty where there are no such masks."""
    names = {path.stem for path in place.iterdir() if path.suffix.lower() in IMAGE_ENDINGS}
    ends = [(name, word) for name in names if (word := MASK_WORDS.search(name)) is not None]
    # Only an ending that turns a name into that of another picture counts: `road_l.jpg` alone is a picture.
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
        # Sorted backwards, so that the first of several lists for one split is entered last, and counts.
        files = sorted(folder.glob("*.txt"), reverse=True)
        lists = {
            split: file.relative_to(place).as_posix()
            for split in SPLITS
            for file in files
            if file.stem.lower() in FOLDERS[split]
        }
        if not lists:
            continue
        # Other programs keep lists of other things here: one that names no picture is none of these pictures.
        fits = {
            split: file for split, file in lists.items() if any(find_listed(n, names) for n in read_list(place / file))
        }
        if "train" in fits and "val" in fits:
            return fits, f"as listed in {join_words(fits.values())}"
        lacking = " and ".join(f"{split}.txt" for split in ("train", "val") if split not in lists)
        why = f"there is no {lacking}" if lacking else "no name in them is that of a picture"
        return {}, f"{join_words(lists.values())} {'is' if len(lists) == 1 else 'are'} not used: {why}"
    return {}, ""


CITY_NAME = r"[a-z-]+_\d{6}_\d{6}"
"""How Cityscapes names its pictures: city, sequence, frame."""


def _find(root: Path) -> Iterator[Layout | Miss]:
    """Yield how the data set `folder` reads a folder: by split, else as a whole; in it, else one folder deeper."""
    for place in (root, *subfolders(root)):
        try:
            found = _read_layout(division) if (division := _find_division(place)) else None
        except InputError as error:
            found = Miss(f"folder, but {error}")
        if found is not None:
            yield found
        if isinstance(found, Layout):
            return


def _read_layout(division: Division) -> Layout | Miss:
    folders = division.folders
    first = next(iter(folders.values()))
    names = {pair.place.name: pair.names() for pair in folders.values() if not division.inside}
    if len(set(names.values())) > 1:
        told = "; ".join(f"{place}/: {images}/ and {masks}/" for place, (images, masks) in names.items())
        return Miss(f"folder, but images and masks must have the same names in every split of {division.root} ({told})")
    suffix = _find_suffix(first)
    if isinstance(suffix, Miss):
        return suffix
    masks = [path for pair in folders.values() for path in list_labels(pair.masks, suffix).values()]
    found = read_mask_ids(masks, most=200)
    if (why := _why_useless(found, masks, first)) is not None:
        return Miss(f"folder, but {why}")
    places = [division.root, *(pair.place for pair in folders.values()), first.masks]
    class_settings, guessed = guess_classes(found.pixels, places, masks)
    settings = {"root": str(division.root), **_settings(division, first, suffix), **class_settings}
    how = division.told or "neither folders nor lists of splits were found"
    if not division.splits:
        how = f"val is a fifth, chosen by a hash of names (data.val_fraction); {how}"
    guesses = {"division": how, **guessed, **_tell_reading(found, len(masks))}
    return Layout("folder", settings, _why(division, first, suffix), found.pixels, guesses)


def _why_useless(found: MaskIds, masks: Sequence[Path], first: Folders) -> str | None:
    """Return why the masks hold no ids that can be used; None where they do."""
    if not found.pixels:
        if colours := next((error for error in found.unread if isinstance(error, ColourMaskError)), None):
            return f"{colours}{_describe_colours(masks)}"
        more = f" ({len(found.unread)} masks were tried)" if len(found.unread) > 1 else ""
        return f"no mask in {first.masks} can be read{more}: {found.unread[0]}"
    if found.mixture.is_likely:
        return f"the masks in {first.masks} were resampled or saved as JPEG: {found.mixture.describe()}"
    return None


def _settings(division: Division, first: Folders, suffix: str) -> dict[str, Any]:
    if division.inside:
        images, masks = (f"{folder.parent.name}/{SPLIT}" for folder in (first.images, first.masks))
    else:
        images, masks = first.names()
    cities = all(re.fullmatch(CITY_NAME, name) for name in list_names(first.images, IMAGE_ENDINGS))
    groups = "^[a-z-]+" if cities else None
    settings = {"images": images, "masks": masks, "mask_suffix": suffix, "splits": division.splits, "groups": groups}
    defaults: dict[str, Any] = {"images": "images", "masks": "masks", "mask_suffix": "", "splits": {}, "groups": None}
    return {name: value for name, value in settings.items() if value != defaults[name]}


def _why(division: Division, first: Folders, suffix: str) -> str:
    where = "" if "" in division.folders else f" in {join_words(f'{name}/' for name in division.splits.values())}"
    named = f"; masks are named like their images, with {suffix} added" if suffix else ""
    if first.images == first.masks:
        return f"images and masks in one folder{where}{named}"
    images, masks = (folder.parent if division.inside else folder for folder in (first.images, first.masks))
    return f"{images.name}/ and {masks.name}/{where}{named}"


def _tell_reading(found: MaskIds, number: int) -> dict[str, str]:
    told, tried = {}, found.read + len(found.unread)
    if number > tried:
        told["sample"] = f"ids were read from {found.read} of {number:,} masks; one that only others hold is an error"
    if found.unread:
        told["unread"] = f"{len(found.unread)} of {tried} masks, first {found.unread[0]}"
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
        lossy = any(path.suffix.lower() in (".jpg", ".jpeg", ".webp") for path in pair.masks.iterdir())
        told = ": JPEG and WebP change the ids; save masks as PNG" if lossy else ""
        return Miss(f"folder, but {pair.masks} holds no masks ({', '.join(LABEL_ENDINGS)}){told}")
    # Every end of every mask's name that leaves an image's name is counted: the suffix is the end that most share.
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


LAYOUT = KnownLayout(
    "folder: images/ and masks/ (or labels/, annotations/, ...), divided by train/ and val/ around or in them, or by "
    "lists (train.txt, val.txt); or images and masks in one folder (a.jpg, a_mask.png)",
    _find,
)
