"""`cityscapes`: the data set as downloaded, or as re-uploaded with other folders around it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from harness.data.label_sets import Moves, find_taxonomy, move_ids
from harness.data.listing import Listing, list_names, match, source_of
from harness.data.pairs import Pair
from harness.data.recognised import KnownLayout, Layout, Miss, name_below
from harness.data.source import Source
from harness.errors import InputError
from harness.registry import part
from harness.settings import PathText

PICTURES = "leftImg8bit"
SPLITS = ("train", "val")
"""The published labels of test hold nothing but void: it is for predictions only, never for a score."""
_DEPTH = "disparity"
_DEEPEST = 2
"""Folders that re-uploads put around the data, as in `gtFine_trainvaltest/gtFine`."""


@part("data")
def cityscapes(
    *,
    root: PathText,
    taxonomy: str = "cityscapes19",
    move: Moves = {},  # noqa: B006 - pydantic copies defaults
    labels: Literal["gtFine", "gtCoarse"] = "gtFine",
) -> Source:
    """Cityscapes (Cordts et al., CVPR 2016) as downloaded: leftImg8bit/ and gtFine/ below `root`, or one or two deeper.

    Needs *_leftImg8bit.png and *_labelIds.png of train and val; disparity/ with *_disparity.png is its depth.
    `taxonomy`: cityscapes34 (every label id), cityscapes19 (the benchmark's), cityscapes10 (those merged),
    cityscapes7 (its categories), or the path of a YAML file; all are made from the same label files. `move`: class ->
    ids that this study counts there instead, such as {person: 33}; `ignored` is a class here. `labels`: gtCoarse
    trains on coarse labels where they are; val is always judged on gtFine. Groups are cities.
    """
    place = Path(root).expanduser()
    listings = {split: _list_split(place, split, labels if split == "train" else "gtFine") for split in SPLITS}
    return source_of(place, move_ids(find_taxonomy(taxonomy), move), listings)


def find_below(root: Path, name: str, split: str) -> Path | None:
    """Return the folder `name` that has a folder `split`: `root` / `name`, or below one or two folders more."""
    # The least deep folder wins, so that an unpacked copy inside the data set is not taken for it.
    patterns = ("/".join([*["*"] * depth, name]) for depth in range(_DEEPEST + 1))
    found = (folder for pattern in patterns for folder in sorted(root.glob(pattern)) if (folder / split).is_dir())
    return next(found, None)


def _list_split(root: Path, split: str, labels: str) -> Listing:
    folders = {name: find_below(root, name, split) for name in (PICTURES, labels)}
    missing = [f"{name}/{split}" for name, folder in folders.items() if folder is None]
    if missing:
        raise InputError(
            f"{root}: there is no {' and no '.join(missing)}; cityscapes' root holds "
            f"{PICTURES}/{{train,val}}/CITY/*.png and {labels}/{{train,val}}/CITY/*_labelIds.png"
        )
    pictures, masks = folders[PICTURES], folders[labels]
    assert pictures is not None and masks is not None
    depths = find_below(root, _DEPTH, split)
    by_city = [
        _list_city(root, pictures / split / city, masks / split / city, depths and depths / split / city, labels)
        for city in sorted({path.name for folder in (pictures, masks) for path in (folder / split).glob("*/")})
    ]
    pairs = [pair for listing in by_city for pair in listing.pairs]
    if not pairs:
        raise InputError(f"{pictures / split}: no CITY/*_{PICTURES}.png there that has a label in {masks / split}")
    return Listing(tuple(pairs), tuple(fault for listing in by_city for fault in listing.alone))


def _list_city(root: Path, pictures: Path, masks: Path, depths: Path | None, labels: str) -> Listing:
    """Return the pairs of one city. Names are without their endings: `aachen_000000_000019`."""
    endings = (f"_{PICTURES}", f"_{labels}_labelIds", f"_{_DEPTH}")
    images, ids = with_ending(pictures, endings[0]), with_ending(masks, endings[1])
    disparities = with_ending(depths, endings[2]) if depths else {}
    missing = (
        lambda name: f"no {masks.relative_to(root)}/{name}{endings[1]}.png",
        lambda name: f"no {pictures.relative_to(root)}/{name}{endings[0]}.png",
    )
    names, alone = match(root, pictures.parent.name, (images, ids), missing)
    city = pictures.name
    return Listing(tuple(Pair(n, city, images[n], ids[n], disparities.get(n), recording=city) for n in names), alone)


def with_ending(folder: Path, ending: str) -> dict[str, Path]:
    """Return name without an ending -> file, of the PNG files in a folder that have it; none without the folder."""
    if not folder.is_dir():
        return {}
    files = list_names(folder, (".png",))
    return {name.removesuffix(ending): path for name, path in files.items() if name.endswith(ending)}


def _find(root: Path) -> Iterator[Layout | Miss]:
    pictures = {split: find_below(root, PICTURES, split) for split in SPLITS}
    if not any(pictures.values()):
        return
    fine = {split: _has_ids(root, "gtFine", split) for split in SPLITS}
    coarse = _has_ids(root, "gtCoarse", "train")
    lacking = [f"{PICTURES}/{split}" for split, folder in pictures.items() if folder is None]
    lacking += [] if fine["val"] else ["gtFine/val/CITY/*_gtFine_labelIds.png"]
    lacking += [] if fine["train"] or coarse else ["gtFine/train/CITY/*_gtFine_labelIds.png"]
    if lacking:
        yield Miss(f"cityscapes, but there is no {' and no '.join(lacking)}")
        return
    depth = " and disparity/" if find_below(root, _DEPTH, "train") else ""
    where = pictures["train"]
    assert where is not None
    found = f"{name_below(root, where)}{depth} with"
    if fine["train"]:
        yield Layout("cityscapes", {"root": str(root)}, f"{found} gtFine labels of train and val")
    if coarse:
        settings = {"root": str(root), "labels": "gtCoarse"}
        yield Layout("cityscapes", settings, f"{found} gtCoarse labels of train and gtFine labels of val")


def _has_ids(root: Path, labels: str, split: str) -> bool:
    folder = find_below(root, labels, split)
    return folder is not None and any((folder / split).glob(f"*/*_{labels}_labelIds.png"))


LAYOUT = KnownLayout("cityscapes: leftImg8bit/ and gtFine/, each with train/ and val/", _find)
