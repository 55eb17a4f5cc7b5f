"""Which data set a folder holds: the known layouts, as downloaded, and images with masks in folders of any name.

Layouts that are not read are told by a file of theirs, with what their owner can do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from harness.data import camvid, cityscapes, kaggle_cityscapes, offroad
from harness.data.folder_layouts import find_folders
from harness.data.label_sets import shipped_taxonomy
from harness.data.listing import IMAGE_ENDINGS, LABEL_ENDINGS, list_names
from harness.data.recognised import Layout, Miss, read_mask_ids, subfolders
from harness.errors import InputError, describe_missing, name_some

KNOWN = (
    "cityscapes: leftImg8bit/ and gtFine/, each with train/ and val/",
    "offroad: train/ and val/, each with Color_Images/ and Segmentation/",
    "kaggle_cityscapes: data/train/ and data/val/, each with image/ and label/ of .npy files",
    "camvid: train/, trainannot/, val/, valannot/",
    "folder: images/ and masks/ (or labels/, annotations/, ...), divided by train/ and val/ around or in them, or by "
    "lists (train.txt, val.txt); or images and masks in one folder (a.jpg, a_mask.png)",
)
_SHOWN = 12
Recogniser = Callable[[Path], Iterator[Layout | Miss]]


def recognise(root: Path) -> list[Layout]:
    """Return the data sets that a folder may hold, the likeliest first. Nothing in it is changed.

    Raises:
        InputError: there is no such folder, or no known layout in it; the message says what there is.
    """
    place = root.expanduser()
    if not place.is_dir():
        raise InputError(describe_missing(root))
    recognisers: Sequence[Recogniser] = (_find_cityscapes, _find_offroad, _find_kaggle, _find_camvid, find_folders)
    found = [item for recogniser in recognisers for item in recogniser(place)]
    layouts = [item for item in found if isinstance(item, Layout)]
    if not layouts:
        raise InputError(_describe(place, [item.told for item in found if isinstance(item, Miss)]))
    return layouts


def _describe(root: Path, misses: Sequence[str]) -> str:
    names = sorted(f"{path.name}/" if path.is_dir() else path.name for path in root.iterdir())
    held = f"it holds {name_some(names, _SHOWN)}" if names else "it is empty"
    head = f"{root}: no known data set; {held}"
    foreign = list(name_foreign(root))
    known = ["known layouts:", *(f"  {line}" for line in KNOWN)] if not foreign and not misses else []
    return "\n  ".join([head, *foreign, *(f"nearly {miss}" for miss in misses), *known])


def _find_cityscapes(root: Path) -> Iterator[Layout | Miss]:
    pictures = {split: cityscapes.find_below(root, cityscapes.PICTURES, split) for split in cityscapes.SPLITS}
    if not any(pictures.values()):
        return
    fine = {split: _labelled(root, "gtFine", split) for split in cityscapes.SPLITS}
    coarse = _labelled(root, "gtCoarse", "train")
    lacking = [f"{cityscapes.PICTURES}/{split}" for split, folder in pictures.items() if folder is None]
    lacking += [] if fine["val"] else ["gtFine/val/CITY/*_gtFine_labelIds.png"]
    lacking += [] if fine["train"] or coarse else ["gtFine/train/CITY/*_gtFine_labelIds.png"]
    if lacking:
        yield Miss(f"cityscapes, but there is no {' and no '.join(lacking)}")
        return
    depth = " and disparity/" if cityscapes.find_below(root, "disparity", "train") else ""
    where = pictures["train"]
    assert where is not None
    found = f"{_below(root, where)}{depth} with"
    if fine["train"]:
        yield Layout("cityscapes", {"root": str(root)}, f"{found} gtFine labels of train and val")
    if coarse:
        settings = {"root": str(root), "labels": "gtCoarse"}
        yield Layout("cityscapes", settings, f"{found} gtCoarse labels of train and gtFine labels of val")


def _labelled(root: Path, labels: str, split: str) -> Path | None:
    """Return the folder of a split's labels, if there are label ids in it."""
    folder = cityscapes.find_below(root, labels, split)
    has_ids = folder is not None and any((folder / split).glob(f"*/*_{labels}_labelIds.png"))
    return folder if has_ids else None


def _find_offroad(root: Path) -> Iterator[Layout | Miss]:
    base = offroad.find_root(root)
    if base is None:
        return
    needed = [f"{split}/{part}" for split in ("train", "val") for part in (offroad.IMAGES, offroad.MASKS)]
    lacking = [name for name in needed if not (base / name).is_dir()]
    if lacking:
        yield Miss(f"offroad, but there is no {' and no '.join(lacking)} in {base}")
        return
    pixels = read_mask_ids(list(list_names(base / "train" / offroad.MASKS, LABEL_ENDINGS).values()), most=20).pixels
    fits = next(
        (name for name in ("offroad", "offroad-background") if pixels.keys() <= shipped_taxonomy(name).class_of.keys()),
        "offroad",
    )
    why = f"{_below(root, base / 'train')} and val/ with {offroad.IMAGES}/ and {offroad.MASKS}/"
    settings = {"root": str(root)}
    if fits != "offroad":
        yield Layout("offroad", {**settings, "taxonomy": fits}, f"{why}; id 0 in the masks: its class is Background")
    else:
        yield Layout("offroad", settings, why)


def _find_kaggle(root: Path) -> Iterator[Layout | Miss]:
    bases = [base for place in (root, *subfolders(root)) for base in (place / "data", place)]
    base = next((base for base in bases if any((base / "train" / "image").glob("*.npy"))), None)
    if base is None:
        return
    lacking = [name for name in ("train/label", "val/image", "val/label") if not any((base / name).glob("*.npy"))]
    if lacking:
        yield Miss(f"kaggle_cityscapes, but there are no .npy files in {' and '.join(lacking)} of {base}")
        return
    depth = ", depth/" if (base / "train" / "depth").is_dir() else ""
    why = f"{_below(root, base / 'train')} and val/ with image/, label/{depth} as numbered arrays"
    place = base if base.name != "data" or base == root else base.parent
    yield Layout(kaggle_cityscapes.kaggle_cityscapes.__name__, {"root": str(place)}, why)


def _find_camvid(root: Path) -> Iterator[Layout | Miss]:
    needed = ("train", "trainannot", "val", "valannot")
    root = next((place for place in (root, *subfolders(root)) if (place / "trainannot").is_dir()), root)
    lacking = [name for name in needed if not (root / name).is_dir()]
    if not lacking:
        why = "train/, trainannot/, val/, valannot/ as in SegNet's copy"
        yield Layout(camvid.camvid.__name__, {"root": str(root)}, why)
    elif any(name.endswith("annot") for name in needed if name not in lacking):
        yield Miss(f"camvid, but there is no {' and no '.join(f'{name}/' for name in lacking)}")


def _below(root: Path, folder: Path) -> str:
    return f"{folder.relative_to(root).as_posix()}/"


_MASKS = "write a PNG of class ids for each picture, and put pictures and masks into images/ and masks/"
_COCO = f"polygons in JSON, as COCO's: {_MASKS} (pycocotools: COCO(FILE).annToMask)"
FOREIGN = {
    "annotations/instances_*.json": _COCO,
    "_annotations.coco.json": _COCO,
    "*/_annotations.coco.json": _COCO,
    "imagesTr/*": "nnU-Net's layout, where a picture's name has a channel (_0000) that its label's has not: rename the "
    "pictures, and link imagesTr to images and labelsTr to masks",
    "*annotations*/*colormap*.txt": f"masks in colours, as RUGD's: {_MASKS}; that file numbers the colours",
    "labels/*.txt": f"polygons in text files, as YOLO's: {_MASKS}",
    "labels/train/*.txt": f"polygons in text files, as YOLO's: {_MASKS}",
}
"""Pattern of files below the data's folder, or below one in it -> what it is."""


def name_foreign(root: Path) -> Iterator[str]:
    """Yield what a folder seems to hold instead of a data set that is read: the file that tells, and what to do."""
    for place in (root, *subfolders(root)):
        for pattern, told in FOREIGN.items():
            first = next(iter(sorted(place.glob(pattern))), None)
            if first is not None:
                yield f"{first.relative_to(root)}: {told}"
        yield from _name_same_names(root, place)


def _name_same_names(root: Path, place: Path) -> Iterator[str]:
    files = [path for path in place.iterdir() if path.suffix.lower() in IMAGE_ENDINGS]
    twice = sorted(stem for stem, number in Counter(path.stem for path in files).items() if number > 1)
    if files and 4 * len(twice) >= len(files):
        first = " and ".join(str(path.relative_to(root)) for path in sorted(files) if path.stem == twice[0])
        yield f"{first}: pictures and masks of the same names in one folder; move the masks into one of their own"
