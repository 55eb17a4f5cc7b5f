"""What a page finds in the folder in which its blocks are run: what its reader has before reading it."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from pages import ROOT, Block
from PIL import Image
from running import Place

CAMVID = ROOT.parent / "shared" / "data" / "camvid-tiny"
DRIVES = ("0001TP", "0006R0", "0016E5")
SHARES = np.array([16, 23, 1, 30, 6, 12, 1, 2, 5, 0.4, 0.6, 3]) / 100
STUDY = """
study: camvid
question: Is more width worth it?
base:
  data: {name: camvid, root: data/camvid, size: [32, 48]}
  model: {name: unet, base_channels: 4}
  loss: {cross_entropy: {}}
  train: {epochs: 1, batch_size: 4}
variants:
  scratch: {}
  pretrained:
    set: {model.base_channels: 5}
seeds: [0]
"""


def shipped(place: Place) -> None:
    """The shipped studies, on fewer and smaller pictures, for one epoch; and the shipped report."""
    folder = place.folder / "ablations"
    folder.mkdir()
    shutil.copy(ROOT / "ablations" / "study.schema.json", folder)
    for path in (ROOT / "ablations").glob("*.yaml"):
        spec = yaml.safe_load(path.read_text())
        base = spec["base"]
        if base["data"]["name"] == "desert":
            base["data"] |= {"size": [64, 64], "train_images": 8, "val_images": 9, "test_images": 2}
            base["train"] |= {"epochs": 1}
            spec["seeds"] = [0, 1]
        (folder / path.name).write_text(yaml.safe_dump(spec, sort_keys=False))
    shutil.copytree(ROOT / "docs" / "phase3", place.folder / "reports" / "phase3")


def winner(place: Place) -> None:
    """A finished study named camvid, its data, and pictures of the reader's own."""
    folder = place.folder
    for split, numbers in (("train", range(8)), ("val", range(8, 13))):
        for number in numbers:
            name, image, mask = scene(number)
            _save(folder / "data/camvid" / split / f"{name}.png", image)
            _save(folder / "data/camvid" / f"{split}annot" / f"{name}.png", mask)
    for number in range(3):
        for place_of in ("drive", "my_pictures"):
            _save(folder / place_of / f"{number}.jpg", scene(number)[1])
    _save(folder / "picture.png", scene(1)[1])
    _finish(place, STUDY, "study.yaml")


def photos(place: Place) -> None:
    """CamVid's pictures and masks, as a folder of one's own."""
    if not CAMVID.is_dir():
        pytest.skip("shared/data/camvid-tiny is not beside the repository")
    for name, image, mask in _camvid():
        _save(place.folder / "photos" / "images" / f"{name}.png", image)
        _save(place.folder / "photos" / "masks" / f"{name}.png", mask)


def finished(place: Place) -> None:
    """A finished study named first."""
    spec = STUDY.replace("study: camvid", "study: first")
    spec = spec.replace(
        "name: camvid, root: data/camvid", "name: desert, train_images: 8, val_images: 6, test_images: 2"
    )
    _finish(place, spec, "first.yaml")


def scene(number: int) -> tuple[str, np.ndarray, np.ndarray]:
    """Return the name, picture and ids of a coarse scene: eleven classes and pixels without one."""
    rng = np.random.default_rng(number)
    mask_HW = np.kron(rng.choice(12, (6, 8), p=SHARES), np.ones((10, 10), int)).astype(np.uint8)
    shades_HW = (mask_HW * 20 + rng.integers(16, size=mask_HW.shape)).astype(np.uint8)
    return f"{DRIVES[number % 3]}_{number:06}", np.stack([shades_HW] * 3, axis=-1), mask_HW


def _camvid() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    for split in ("train", "val"):
        for path in sorted((CAMVID / split).glob("*.png")):
            yield path.stem, np.asarray(Image.open(path)), np.asarray(Image.open(CAMVID / f"{split}annot" / path.name))


def _save(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def _finish(place: Place, spec: str, name: str) -> None:
    (place.folder / name).write_text(spec)
    place.run(Block("bash", f"harness run {name} --jobs 1", 0, {}))


BEFORE: dict[str, list[Callable[[Place], None]]] = {
    "README.md": [shipped],
    "predict.md": [winner],
    "export.md": [winner, shipped],
    "tuning.md": [shipped],
    "report.md": [shipped],
    "own-data.md": [photos],
    "record.md": [finished],
    "coming-from.md": [shipped],
}
