"""Small trees in the layouts of real data sets, and ways to spoil each: what downloads and annotators really do."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
from layout_trees import OFFROAD_IDS, labels, make_cityscapes, make_kaggle, make_offroad, save, save_array

from harness.registry import choose
from harness.settings import DataChoice

OFFROAD = Path("train/Color_Images/cc0000013.png"), Path("train/Segmentation/cc0000013.png")
CITY = (
    Path("leftImg8bit/train/aachen/aachen_000001_000019_leftImg8bit.png"),
    Path("gtFine/train/aachen/aachen_000001_000019_gtFine_labelIds.png"),
)
KAGGLE = Path("data/train/image/1.npy"), Path("data/train/label/1.npy")
BENCHMARK_IDS = (0, 7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
SIX = {"train": 3, "val": 6}
SIX_CITIES = {
    "train": {"aachen": 3, "zurich": 2},
    "val": dict.fromkeys(("lindau", "munster", "frankfurt", "ulm", "bonn", "bremen"), 1),
}


def cut_short(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])


def jpeg_cut_short(root: Path) -> None:
    path = root / OFFROAD[0]
    PIL.Image.open(path).save(path.with_suffix(".jpg"))
    path.unlink()
    cut_short(path.with_suffix(".jpg"))


def other_size(root: Path) -> None:
    save(root / OFFROAD[1], labels(1, OFFROAD_IDS, (16, 64)).astype(np.uint16))


def as_palette(root: Path) -> None:
    mask = PIL.Image.open(root / CITY[1])
    mask.putpalette([*range(256)] * 3)
    mask.save(root / CITY[1])


def as_16_bit(root: Path) -> None:
    ids = np.array(PIL.Image.open(root / CITY[1]))
    save(root / CITY[1], ids.astype(np.uint16))


def unknown_offroad(root: Path) -> None:
    for name, pixels in (("cc0000013", 5), ("ww0000014", 2)):
        path = root / ("train" if name.startswith("cc") else "val") / "Segmentation" / f"{name}.png"
        ids = np.array(PIL.Image.open(path))
        ids[0, :pixels] = 650
        save(path, ids)


def unknown_cityscapes(root: Path) -> None:
    ids = np.array(PIL.Image.open(root / CITY[1]))
    ids[:2, :50] = 40
    save(root / CITY[1], ids)


def unknown_kaggle(root: Path) -> None:
    ids = np.load(root / KAGGLE[1])
    ids[0, 0] = 19
    save_array(root / KAGGLE[1], ids)


def bytes_kaggle(root: Path) -> None:
    values = np.load(root / KAGGLE[0]) * 255
    values[0, :2] = [[0], [255]]
    save_array(root / KAGGLE[0], values)


def thumbs(root: Path) -> None:
    for folder in {path.parent for path in root.rglob("*.png")} | {path.parent for path in root.rglob("*.npy")}:
        (folder / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
        (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")


def upper_case(root: Path) -> None:
    for path in [*root.rglob("*.png")]:
        path.rename(path.with_suffix(".PNG"))


def umlauts_offroad(root: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "Wüste 7 (süd).png") for form in ("NFC", "NFD"))
    (root / OFFROAD[0]).rename((root / OFFROAD[0]).with_name(composed))
    (root / OFFROAD[1]).rename((root / OFFROAD[1]).with_name(apart))


def umlauts_cityscapes(root: Path) -> None:
    for folder in ("leftImg8bit", "gtFine"):
        city = root / folder / "train" / "zurich"
        for path in city.iterdir():
            path.rename(path.with_name(path.name.replace("zurich", "Zürich West")))
        city.rename(city.with_name("Zürich West"))


def copied(root: Path) -> None:
    save(root / "val/Color_Images/ww0000012.png", np.array(PIL.Image.open(root / OFFROAD[0])))


def nearly_copied(root: Path) -> None:
    picture = PIL.Image.open(root / OFFROAD[0]).resize((96, 48)).resize((64, 32))
    (root / "val/Color_Images/ww0000012.png").unlink()
    picture.save(root / "val/Color_Images/ww0000012.jpg", quality=50)


def empty(*below: str) -> Callable[[Path], None]:
    def spring(root: Path) -> None:
        for folder in below:
            for path in [*(root / folder).rglob("*.*")]:
                path.unlink()

    return spring


def no_val_label(root: Path) -> None:
    for path in (root / "val/Segmentation").iterdir():
        path.unlink()


MAKERS: dict[str, Callable[[Path], Path]] = {
    "offroad": lambda root: make_offroad(root, images=SIX),
    "cityscapes": lambda root: make_cityscapes(root, cities=SIX_CITIES, ids=BENCHMARK_IDS, size=(32, 256)),
    "kaggle_cityscapes": lambda root: make_kaggle(root, images=SIX, ids=range(-1, 19), size=(32, 256)),
}


def choice_of(layout: str, root: Path, **settings: object) -> DataChoice:
    return choose("data", layout, {"root": str(root), **settings})
