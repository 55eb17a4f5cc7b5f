"""`kaggle_cityscapes`: Cityscapes with depth as small arrays, in the layout of its Kaggle copy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.data.cityscapes import find_below
from harness.data.label_sets import Moves, find_taxonomy, move_ids, shipped_taxonomy
from harness.data.listing import Listing, list_names, match, source_of
from harness.data.pairs import Format, Pair
from harness.data.recognised import KnownLayout, Layout, Miss, name_below, subfolders
from harness.data.source import Depth, Image, RawIds, Source
from harness.errors import InputError
from harness.registry import part
from harness.settings import PathText

_UNLABELLED = 0
"""Cityscapes' label id for pixels of no class: what the copy writes as -1."""


@part("data")
def kaggle_cityscapes(
    *,
    root: PathText,
    taxonomy: str = "cityscapes19",
    move: Moves = {},  # noqa: B006 - pydantic copies defaults
) -> Source:
    """The Kaggle set cityscapes-depth-and-segmentation: data/{train,val}/{image,label,depth}/NUMBER.npy below `root`.

    Pictures of 128x256 that lie in [0, 1] (not in 0 to 255) with the channel last; they are kept as 8-bit values.
    Labels are train ids 0 to 18, -1 ignored; they are read as Cityscapes' label ids, so that its taxonomies apply
    (`taxonomy`: cityscapes19, cityscapes10, cityscapes7 or the path of a YAML file; `move` as in cityscapes). Depth is
    inverse, 0 = unknown. Files are taken in the order of their numbers. The copy does not say which city a picture is
    from: each is a group of its own, so that intervals are narrower than those of cityscapes, wrongly.
    """
    place = Path(root).expanduser()
    bases = [folder for folder in (place / "data", place) if (folder / "train" / "image").is_dir()]
    base = bases[0] if bases else find_below(place, "data", "train")
    if base is None:
        raise InputError(
            f"{place}: there is no data/train/image; kaggle_cityscapes' root holds "
            "data/{train,val}/{image,label,depth}/*.npy"
        )
    listings = {split: _list_split(place, base / split, split) for split in ("train", "val")}
    form = Format(_read_image, _read_ids, _read_depth, _check)
    return source_of(place, move_ids(find_taxonomy(taxonomy), move), listings, form)


def _list_split(root: Path, folder: Path, split: str) -> Listing:
    images, labels = (list_names(folder / part, (".npy",)) for part in ("image", "label"))
    depths = list_names(folder / "depth", (".npy",)) if (folder / "depth").is_dir() else {}
    if not images:
        raise InputError(f"{folder / 'image'}: no arrays there; known ending: .npy")
    missing = lambda n: f"no label/{n}.npy", lambda n: f"no image/{n}.npy"
    names, alone = match(root, split, (images, labels), missing)
    names.sort(key=lambda name: (int(name) if name.isdecimal() else -1, name))
    return Listing(tuple(Pair(n, n, images[n], labels[n], depths.get(n)) for n in names), alone)


def _read(path: Path) -> npt.NDArray[np.float64]:
    try:
        return np.asarray(np.load(path, allow_pickle=False), np.float64)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None


def _read_image(path: Path) -> Image:
    """Return a picture as 8-bit values, [H, W, 3]; values between two steps go to the nearer one."""
    values_HWC = _read(path)
    if values_HWC.ndim != 3 or values_HWC.shape[2] != 3:
        raise InputError(f"{path}: an array {values_HWC.shape}; pictures are (height, width, 3)")
    if not (values_HWC.min() >= 0 and values_HWC.max() <= 1):
        low, high = values_HWC.min(), values_HWC.max()
        raise InputError(f"{path}: values from {low:g} to {high:g}; pictures of this set lie in 0 to 1")
    return np.rint(values_HWC * 255).astype(np.uint8)


def _read_ids(path: Path) -> RawIds:
    """Return Cityscapes' label ids, [H, W], of train ids."""
    values = _read(path)
    train_ids_HW = values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values
    label_ids = np.array([_UNLABELLED, *(shipped_taxonomy("cityscapes19").raw_ids(k)[0] for k in range(19))], np.uint8)
    # Labels that were resized by averaging hold fractions; rounded, they would be classes that nobody drew.
    whole = train_ids_HW.ndim == 2 and bool((train_ids_HW == np.rint(train_ids_HW)).all())
    if not whole or train_ids_HW.min() < -1 or train_ids_HW.max() >= len(label_ids) - 1:
        found = f"{train_ids_HW.shape} with values from {train_ids_HW.min():g} to {train_ids_HW.max():g}"
        raise InputError(f"{path}: an array {found}; labels are (height, width) of whole numbers from -1 to 18")
    return label_ids[train_ids_HW.astype(np.int64) + 1]


def _read_depth(path: Path) -> Depth:
    values = _read(path)
    depth_HW = values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values
    if depth_HW.ndim != 2:
        raise InputError(f"{path}: an array {values.shape}; depth is (height, width) or (height, width, 1)")
    return np.where(depth_HW > 0, depth_HW, np.nan).astype(np.float32)


def _check(path: Path) -> tuple[int, int]:
    height, width, _ = _read_image(path).shape
    return height, width


def _find(root: Path) -> Iterator[Layout | Miss]:
    bases = [base for place in (root, *subfolders(root)) for base in (place / "data", place)]
    base = next((base for base in bases if any((base / "train" / "image").glob("*.npy"))), None)
    if base is None:
        return
    lacking = [name for name in ("train/label", "val/image", "val/label") if not any((base / name).glob("*.npy"))]
    if lacking:
        yield Miss(f"kaggle_cityscapes, but there are no .npy files in {' and '.join(lacking)} of {base}")
        return
    depth = ", depth/" if (base / "train" / "depth").is_dir() else ""
    why = f"{name_below(root, base / 'train')} and val/ with image/, label/{depth} as numbered arrays"
    place = base if base.name != "data" or base == root else base.parent
    yield Layout("kaggle_cityscapes", {"root": str(place)}, why)


LAYOUT = KnownLayout("kaggle_cityscapes: data/train/ and data/val/, each with image/ and label/ of .npy files", _find)
