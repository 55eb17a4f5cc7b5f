"""Which data set a folder holds: the known layouts, as downloaded, and images with masks in folders of any name.

Layouts that are not read are told by a file of theirs, with what their owner can do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from harness.data import camvid, cityscapes, folder_layouts, kaggle_cityscapes, offroad
from harness.data.listing import IMAGE_ENDINGS
from harness.data.recognised import Layout, Miss, subfolders
from harness.errors import InputError, describe_missing, name_some

LAYOUTS = (cityscapes.LAYOUT, offroad.LAYOUT, kaggle_cityscapes.LAYOUT, camvid.LAYOUT, folder_layouts.LAYOUT)
"""The likeliest first. A data set on disk is entered here: importing its module registers its part."""


def recognise(root: Path) -> list[Layout]:
    """Return the data sets that a folder may hold, the likeliest first. Nothing in it is changed.

    Raises:
        InputError: there is no such folder, or no known layout in it; the message says what there is.
    """
    place = root.expanduser()
    if not place.is_dir():
        raise InputError(describe_missing(root))
    found = [item for known in LAYOUTS for item in known.find(place)]
    layouts = [item for item in found if isinstance(item, Layout)]
    if not layouts:
        names = sorted(f"{path.name}/" if path.is_dir() else path.name for path in place.iterdir())
        content = f"it holds {name_some(names, 12)}" if names else "it is empty"
        nearly = [f"nearly {item.told}" for item in found if isinstance(item, Miss)]
        told = [*name_foreign(place), *nearly] or ["known layouts:", *(f"  {known.shown}" for known in LAYOUTS)]
        raise InputError("\n  ".join([f"{place}: no known data set; {content}", *told]))
    return layouts


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
        # A few pictures of one name happen in any folder; a quarter and more of them are pictures and their masks.
        files = [path for path in place.iterdir() if path.suffix.lower() in IMAGE_ENDINGS]
        twice = sorted(stem for stem, number in Counter(path.stem for path in files).items() if number > 1)
        if files and 4 * len(twice) >= len(files):
            both = " and ".join(str(path.relative_to(root)) for path in sorted(files) if path.stem == twice[0])
            yield f"{both}: pictures and masks of the same names in one folder; move the masks into one of their own"
