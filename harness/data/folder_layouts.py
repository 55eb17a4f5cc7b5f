"""Images and masks in folders of any name: which of them belong together, by what suffix, and which ids they hold."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.data.images import ColourMaskError
from harness.data.label_sets import read_taxonomy
from harness.data.listing import IMAGE_ENDINGS, LABEL_ENDINGS, list_names
from harness.data.recognised import Layout, Miss, count_ids, spread, subfolders
from harness.data.source import IGNORE
from harness.errors import InputError

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "jpegimages", "rgb", "color_images", "pictures", "frames")
MASK_FOLDERS = (
    "masks",
    "mask",
    "labels",
    "label",
    "annotations",
    "annotation",
    "segmentationclass",
    "segmentation",
    "segmentations",
    "gt",
    "groundtruth",
    "ground_truth",
    "targets",
)
SPLIT_FOLDERS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
CITY_NAME = r"[a-z-]+_\d{6}_\d{6}"
"""How Cityscapes names its pictures: city, sequence, frame."""
CLASS_LIST = "taxonomy.yaml"
"""A class list that lies beside the folders, as `harness data prepare` writes one."""
MOST_MASKS = 200
_LOSSY = (".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class _Folders:
    """A place with images and masks in it."""

    place: Path
    images: Path
    masks: Path


def find_folders(root: Path) -> Iterator[Layout | Miss]:
    """Yield how the data set `folder` reads a folder: by split, else as a whole; in it, else one folder deeper."""
    for place in (root, *subfolders(root)):
        found = list(_find_at(place))
        yield from found
        if any(isinstance(item, Layout) for item in found):
            return


def _find_at(place: Path) -> Iterator[Layout | Miss]:
    splits = _find_splits(place)
    if "train" in splits and "val" in splits:
        yield _attempt(place, splits)
    elif "train" in splits:
        left = f", and {splits['test'].place.name}/ is left unused" if "test" in splits else ""
        note = f"; there is no val/: {splits['train'].place.name}/ is divided{left}"
        yield _attempt(splits["train"].place, {"": splits["train"]}, note)
    elif (pair := _find_pair(place)) is not None:
        inner = [sub.name for sub in subfolders(pair.images) if (pair.masks / sub.name).is_dir()]
        yield _turned_inside_out(pair, inner) if inner else _attempt(place, {"": pair})


def _find_splits(place: Path) -> dict[str, _Folders]:
    found = {}
    for split, names in SPLIT_FOLDERS.items():
        pairs = [_find_pair(folder) for folder in subfolders(place) if folder.name.lower() in names]
        if pairs and pairs[0] is not None:
            found[split] = pairs[0]
    return found


def _find_pair(place: Path) -> _Folders | None:
    by_name = {folder.name.lower(): folder for folder in reversed(subfolders(place))}
    images = next((by_name[name] for name in IMAGE_FOLDERS if name in by_name), None)
    masks = next((by_name[name] for name in MASK_FOLDERS if name in by_name), None)
    return _Folders(place, images, masks) if images and masks else None


def _turned_inside_out(pair: _Folders, inner: Sequence[str]) -> Miss:
    images, masks = pair.images.name, pair.masks.name
    name = inner[0]
    return Miss(
        f"folder, but the splits lie inside {images}/ and {masks}/, where they must lie around them: in {pair.place}, "
        f"mkdir {name} && ln -s ../{images}/{name} {name}/images && ln -s ../{masks}/{name} {name}/masks, and so for "
        f"each of {', '.join(inner)}"
    )


def _attempt(place: Path, splits: Mapping[str, _Folders], note: str = "") -> Layout | Miss:
    try:
        return _read_layout(place, splits, note)
    except InputError as error:
        return Miss(f"folder, but {error}")


def _read_layout(place: Path, splits: Mapping[str, _Folders], note: str) -> Layout | Miss:
    first = next(iter(splits.values()))
    names = {(pair.images.name, pair.masks.name) for pair in splits.values()}
    if len(names) > 1:
        told = "; ".join(f"{pair.place.name}/: {pair.images.name}/ and {pair.masks.name}/" for pair in splits.values())
        return Miss(f"folder, but images and masks must have the same names in every split of {place} ({told})")
    suffix = _find_suffix(first)
    if isinstance(suffix, Miss):
        return suffix
    masks = [path for pair in splits.values() for path in list_names(pair.masks, LABEL_ENDINGS).values()]
    try:
        pixels = count_ids(masks, MOST_MASKS)
    except ColourMaskError as error:
        return Miss(f"folder, but {error}{_describe_colours(masks)}")
    settings: dict[str, Any] = {"root": str(place)}
    settings |= {} if first.images.name == "images" else {"images": first.images.name}
    settings |= {} if first.masks.name == "masks" else {"masks": first.masks.name}
    settings |= {"mask_suffix": suffix} if suffix else {}
    settings |= {"splits": {split: pair.place.name for split, pair in splits.items()}} if "" not in splits else {}
    cities = all(re.fullmatch(CITY_NAME, name) for name in list_names(first.images, IMAGE_ENDINGS))
    settings |= {"groups": "^[a-z-]+"} if cities else {}
    return Layout("folder", settings | _classes(place, pixels), _why(splits, suffix, len(masks)) + note, pixels)


def _why(splits: Mapping[str, _Folders], suffix: str, num_masks: int) -> str:
    first = next(iter(splits.values()))
    where = "" if "" in splits else f" in {', '.join(f'{pair.place.name}/' for pair in splits.values())}"
    named = f"; masks are named like their images, with {suffix} added" if suffix else ""
    read = "all" if num_masks <= MOST_MASKS else f"{MOST_MASKS} of the"
    return f"{first.images.name}/ and {first.masks.name}/{where}{named}; ids were read from {read} {num_masks:,} masks"


def _find_suffix(pair: _Folders) -> str | Miss:
    """Return what masks add to the names of their images: what fits most of them."""
    images = list_names(pair.images, IMAGE_ENDINGS)
    masks = list_names(pair.masks, LABEL_ENDINGS)
    if not images:
        return Miss(f"folder, but {pair.images} holds no images ({', '.join(IMAGE_ENDINGS)})")
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


def _classes(place: Path, pixels: Mapping[int, int]) -> dict[str, Any]:
    """Return the settings `classes`, `ignore`, `colours`: of the class list there, else names to be replaced.

    255 is ignored, as is usual, unless one class alone would be left: it is the foreground of a black-and-white mask.
    """
    listed = read_taxonomy(place / CLASS_LIST) if (place / CLASS_LIST).is_file() else None
    if listed is not None and pixels.keys() <= listed.class_of.keys():
        ids = {name: list(listed.raw_ids(index)) for index, name in enumerate(listed.classes)}
        return {
            "classes": {name: raw[0] if len(raw) == 1 else raw for name, raw in ids.items()},
            "ignore": list(listed.raw_ids(IGNORE)),
            "colours": [list(colour) for colour in listed.colours],
        }
    ignore = [IGNORE] if IGNORE in pixels and len(pixels) > 2 else []
    classes = {f"class_{raw}": raw for raw in pixels if raw not in ignore}
    return {"classes": classes, **({"ignore": ignore} if ignore else {})}


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
