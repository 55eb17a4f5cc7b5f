"""`offroad`: the Duality AI off-road desert set, as downloaded."""

from __future__ import annotations

from pathlib import Path

from harness.data.label_sets import Moves, find_taxonomy, move_ids
from harness.data.listing import Listing, list_pairs, source_of
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
    base = find_root(place)
    if base is None:
        raise InputError(
            f"{place}: there is no train/{IMAGES}; offroad's root holds train/ and val/, each with {IMAGES}/ and "
            f"{MASKS}/"
        )
    folders = {"train": base / "train", "val": base / "val"}
    test = _find_test(place, base)
    listings: dict[str, Listing] = {
        split: list_pairs(place, folder / IMAGES, folder / MASKS, split=split)
        for split, folder in {**folders, **({"test": test} if test else {})}.items()
    }
    return source_of(place, move_ids(find_taxonomy(taxonomy), move), listings)


def find_root(root: Path) -> Path | None:
    """Return the folder that holds train/Color_Images: `root` or a folder in it."""
    return next(
        (found for found in (root, *sorted(root.glob("*/"))) if (found / "train" / IMAGES).is_dir()),
        None,
    )


def _find_test(root: Path, base: Path) -> Path | None:
    places = [folder / name for folder in dict.fromkeys((base, root)) for name in TEST_NAMES]
    return next((place for place in places if (place / IMAGES).is_dir() and (place / MASKS).is_dir()), None)
