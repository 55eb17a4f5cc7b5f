"""`offroad`: the Duality AI off-road desert set, as downloaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.data.label_sets import Moves, find_taxonomy, move_ids, shipped_taxonomy
from harness.data.listing import LABEL_ENDINGS, list_names, list_pairs, source_of
from harness.data.recognised import KnownLayout, Layout, Miss, name_below, read_mask_ids
from harness.data.source import Source
from harness.errors import InputError
from harness.registry import part
from harness.settings import PathText

IMAGES, MASKS = "Color_Images", "Segmentation"
TEST_NAMES = ("test", "testImages", "Offroad_Segmentation_testImages")
"""The test split comes as an archive of its own; it may lie beside the training archive's folder."""


@part("data")
def offroad(
    *,
    root: PathText,
    taxonomy: str = "offroad",
    move: Moves = {},  # noqa: B006 - pydantic copies defaults
) -> Source:
    """The Duality AI off-road desert set as downloaded: train/ and val/ below `root`, or one folder deeper.

    Each split has Color_Images/ and Segmentation/, 16-bit PNG with raw ids. test/ (or testImages/,
    Offroad_Segmentation_testImages/) is used where it has labels: it shows another desert, and is reported apart from
    val. `taxonomy`: offroad (ten classes, with Flowers), offroad-background (ten classes, Flowers counted as
    Background), or the path of a YAML file. `move`: class -> ids that this study counts there instead, such as
    {ignored: [550]}. The pictures do not say which drive they are from: each is a group of its own.
    """
    place = Path(root).expanduser()
    base = _find_root(place)
    if base is None:
        raise InputError(
            f"{place}: there is no train/{IMAGES}; offroad's root holds train/ and val/, each with {IMAGES}/ and "
            f"{MASKS}/"
        )
    tests = [folder / name for folder in dict.fromkeys((base, place)) for name in TEST_NAMES]
    test = next((path for path in tests if (path / IMAGES).is_dir() and (path / MASKS).is_dir()), None)
    folders = {"train": base / "train", "val": base / "val", **({"test": test} if test else {})}
    listings = {
        split: list_pairs(place, folder / IMAGES, folder / MASKS, split=split) for split, folder in folders.items()
    }
    return source_of(place, move_ids(find_taxonomy(taxonomy), move), listings)


def _find_root(root: Path) -> Path | None:
    """Return the folder that holds train/Color_Images: `root` or a folder in it."""
    return next((found for found in (root, *sorted(root.glob("*/"))) if (found / "train" / IMAGES).is_dir()), None)


def _find(root: Path) -> Iterator[Layout | Miss]:
    base = _find_root(root)
    if base is None:
        return
    needed = [f"{split}/{part}" for split in ("train", "val") for part in (IMAGES, MASKS)]
    lacking = [name for name in needed if not (base / name).is_dir()]
    if lacking:
        yield Miss(f"offroad, but there is no {' and no '.join(lacking)} in {base}")
        return
    pixels = read_mask_ids(list(list_names(base / "train" / MASKS, LABEL_ENDINGS).values()), most=20).pixels
    known = {name: shipped_taxonomy(name).class_of.keys() for name in ("offroad", "offroad-background")}
    fits = [name for name, ids in known.items() if pixels.keys() <= ids]
    why = f"{name_below(root, base / 'train')} and val/ with {IMAGES}/ and {MASKS}/"
    if fits == ["offroad-background"]:
        settings = {"root": str(root), "taxonomy": fits[0]}
        yield Layout("offroad", settings, f"{why}; id 0 in the masks: its class is Background")
    else:
        yield Layout("offroad", {"root": str(root)}, why)


LAYOUT = KnownLayout("offroad: train/ and val/, each with Color_Images/ and Segmentation/", _find)
