"""Images and masks in folders of any name: which of them belong together, by what suffix, and which ids they hold."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.data.folder import SPLIT
from harness.data.folder_places import Division, Folders, find_divisions, find_suffix_beside, join_words
from harness.data.guessed_classes import guess_classes
from harness.data.listing import IMAGE_ENDINGS, LABEL_ENDINGS, list_labels, list_names
from harness.data.recognised import Layout, MaskIds, Miss, read_mask_ids, spread, subfolders
from harness.errors import InputError

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
        try:
            found, counts = np.unique(read_image(path).reshape(-1, 3), axis=0, return_counts=True)
        except InputError:
            continue
        pixels.update({tuple(colour): count for colour, count in zip(found.tolist(), counts.tolist(), strict=True)})
    shown = ", ".join(str(colour) for colour, _ in pixels.most_common(8))
    more = f" and {len(pixels) - 8} more" if len(pixels) > 8 else ""
    return (
        f". Colours in a few of the {len(masks):,} masks: {shown}{more}. In Python: ids = np.full(rgb.shape[:2], 255, "
        f"np.uint8); ids[(rgb == COLOUR).all(-1)] = ID for each colour; PIL.Image.fromarray(ids).save(...)"
    )
