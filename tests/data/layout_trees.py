"""Small trees in the layouts of real data sets, as downloaded: true endings, bit depths and folder names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import PIL.Image

Size = tuple[int, int]
"""Height and width in pixels."""
SIZE: Size = (32, 64)
CITIES = {"train": {"aachen": 3, "zurich": 2}, "val": {"lindau": 2}, "test": {"berlin": 1}}
CITY_IDS = (7, 8, 11, 21, 23, 26, 24, 0)
OFFROAD_IDS = (100, 200, 300, 500, 550, 600, 700, 800, 7100, 10000)
OFFROAD_IMAGES = {"train": 3, "val": 2}
OFFROAD_OUTER = "Offroad_Segmentation_Training_Dataset"
OFFROAD_TEST = "Offroad_Segmentation_testImages"
OFFROAD_LETTERS = {"train": "cc", "val": "ww"}
KAGGLE_IMAGES = {"train": 11, "val": 3}
KAGGLE_IDS = (0, 1, 2, 8, 10, 13, 11, -1)


def picture(number: int, size: Size = SIZE) -> npt.NDArray[np.uint8]:
    """Return a picture [H, W, 3] of large and small patches; other numbers give other pictures."""
    rng = np.random.default_rng([7, number])
    layers = []
    for scale in (1, 2, 4):
        patches = rng.integers(0, 256, (4 * scale, 6 * scale, 3), dtype=np.uint8)
        spread = PIL.Image.fromarray(patches).resize((size[1], size[0]), PIL.Image.Resampling.BICUBIC)
        layers.append(np.array(spread, np.float64) / scale)
    return (sum(layers) / 1.75).round().astype(np.uint8)


def labels(number: int, ids: Sequence[int], size: Size = SIZE) -> npt.NDArray[np.int32]:
    """Return ids [H, W] in upright stripes of unequal width; order by the number.

    Of n ids, each has a stripe where the width is at least n (n + 1) / 2 pixels.
    """
    order = np.random.default_rng([8, number]).permutation(len(ids))
    widths = np.arange(1, len(ids) + 1)[order]
    bounds = np.cumsum(widths) * size[1] // widths.sum()
    columns = np.searchsorted(bounds, np.arange(size[1]), side="right")
    return np.broadcast_to(np.array(ids, np.int32)[columns], size).copy()


def save(path: Path, pixels: npt.NDArray[np.generic]) -> None:
    """Write pixels as a picture; folders are made as needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(pixels).save(path)


def save_array(path: Path, values: npt.NDArray[np.generic]) -> None:
    """Write an array as .npy; folders are made as needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, values)


def make_cityscapes(
    root: Path,
    *,
    cities: Mapping[str, Mapping[str, int]] = CITIES,
    ids: Sequence[int] = CITY_IDS,
    size: Size = SIZE,
    disparity: bool = False,
    coarse: bool = False,
    outer: bool = False,
) -> Path:
    """Make leftImg8bit/ and gtFine/ (disparity/, gtCoarse/) of split -> city -> images below `root`, and return it.

    As in the real set, the labels of test are void only, and gtFine also holds colours, instances and polygons.
    `outer` puts each folder into one of its archive's name, as some re-uploads do.
    """
    number = 0
    fine = root / ("gtFine_trainvaltest/gtFine" if outer else "gtFine")
    rough = root / ("gtCoarse_trainextra/gtCoarse" if outer else "gtCoarse")
    left = root / ("leftImg8bit_trainvaltest/leftImg8bit" if outer else "leftImg8bit")
    far = root / ("disparity_trainvaltest/disparity" if outer else "disparity")
    for split, counts in cities.items():
        for city, images in counts.items():
            for frame in range(images):
                number += 1
                stem, below = f"{city}_{frame:06}_000019", Path(split) / city
                ids_HW = labels(number, (0,) if split == "test" else ids, size).astype(np.uint8)
                save(left / below / f"{stem}_leftImg8bit.png", picture(number, size))
                _save_annotations(fine / below, f"{stem}_gtFine", ids_HW)
                if coarse and split != "test":
                    _save_annotations(rough / below, f"{stem}_gtCoarse", ids_HW)
                if disparity:
                    save(far / below / f"{stem}_disparity.png", _disparity(number, size))
    return root


def _save_annotations(folder: Path, stem: str, ids_HW: npt.NDArray[np.uint8]) -> None:
    save(folder / f"{stem}_labelIds.png", ids_HW)
    save(folder / f"{stem}_instanceIds.png", ids_HW.astype(np.uint16))
    save(folder / f"{stem}_color.png", np.stack([ids_HW, ids_HW, ids_HW, np.full_like(ids_HW, 255)], axis=-1))
    (folder / f"{stem}_polygons.json").write_text('{"imgHeight": 1024, "imgWidth": 2048, "objects": []}')


def _disparity(number: int, size: Size) -> npt.NDArray[np.uint16]:
    """Return 16-bit values [H, W] that grow downwards; the first columns are 0, which stands for unknown."""
    rows = np.linspace(257 + number, 20000, size[0]).astype(np.uint16)
    values_HW = np.broadcast_to(rows[:, None], size).copy()
    values_HW[:, :2] = 0
    return values_HW


def make_camvid(root: Path) -> Path:
    """Make three pictures and labels of each split as SegNet's copy of CamVid lays them out."""
    for split in ("train", "val"):
        for index in range(3):
            save(root / split / f"0001TP_{index:06}.png", picture(index))
            save(root / f"{split}annot" / f"0001TP_{index:06}.png", labels(index, (0, 1, 11)).astype(np.uint8))
    return root


def make_offroad(
    root: Path,
    *,
    images: Mapping[str, int] = OFFROAD_IMAGES,
    test_images: int = 0,
    ids: Sequence[int] = OFFROAD_IDS,
    size: Size = SIZE,
    outer: bool = False,
) -> Path:
    """Make train/ and val/ with Color_Images/ and Segmentation/ (16-bit raw ids) below `root`, and return it.

    `outer` puts them into the folder that the training archive unpacks to; `test_images` makes the folder of the test
    archive beside it.
    """
    base = root / OFFROAD_OUTER if outer else root
    places = [(base / split, OFFROAD_LETTERS[split], count) for split, count in images.items()]
    places.append((root / OFFROAD_TEST, "tt", test_images))
    number = 1000
    for folder, letters, count in places:
        for frame in range(count):
            number += 1
            name = f"{letters}{frame + 12:07}.png"
            save(folder / "Color_Images" / name, picture(number, size))
            save(folder / "Segmentation" / name, labels(number, ids, size).astype(np.uint16))
    return root


def make_kaggle(
    root: Path,
    *,
    images: Mapping[str, int] = KAGGLE_IMAGES,
    ids: Sequence[int] = KAGGLE_IDS,
    size: Size = SIZE,
    depth: bool = True,
    outer: bool = False,
) -> Path:
    """Make data/{train,val}/{image,label,depth}/NUMBER.npy below `root`, and return it.

    Pictures are floats in [0, 1] with the channel last, labels floats of train ids with -1, depth [H, W, 1] with 0
    where it is unknown. `outer` puts data/ one folder deeper.
    """
    base = root / "cityscapes-depth-and-segmentation" if outer else root
    number = 2000
    for split, count in images.items():
        for index in range(count):
            number += 1
            folder, name = base / "data" / split, f"{index}.npy"
            save_array(folder / "image" / name, picture(number, size) / 255)
            save_array(folder / "label" / name, labels(number, ids, size).astype(np.float64))
            if depth:
                inverse_HW = _disparity(number, size) / 65535
                save_array(folder / "depth" / name, inverse_HW[..., None])
    return root
