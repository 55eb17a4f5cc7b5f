import hashlib
import subprocess
import sys

import numpy as np
import numpy.typing as npt
import pytest

from harness.data import open_source
from harness.data.desert import make_split
from harness.data.desert_things import draw
from harness.data.desert_world import Scene, make_scene
from harness.data.label_sets import shipped_taxonomy
from harness.data.source import Source, Split
from harness.registry import choose

TREES, LANDSCAPE, SKY = 0, 8, 9

OFFROAD = shipped_taxonomy("offroad")


def open_desert(**settings: object) -> Source:
    return open_source(choose("data", "desert", settings))


def digest_pixels(split: Split) -> str:
    sha = hashlib.sha256()
    for index in range(len(split.names)):
        assert split.read_depth is not None
        for array in (split.read_image(index), split.read_label(index), split.read_depth(index)):
            sha.update(array.tobytes())
    return sha.hexdigest()


def shares(split: Split) -> npt.NDArray[np.float64]:
    pixels_C = np.zeros(len(OFFROAD.classes))
    for index in range(len(split.names)):
        pixels_C += np.bincount(split.read_label(index).ravel(), minlength=len(pixels_C))
    return pixels_C / pixels_C.sum()


@pytest.fixture(scope="module")
def source() -> Source:
    return open_desert()


def test_splits_and_names(source: Source) -> None:
    assert {name: len(split.names) for name, split in source.splits.items()} == {"train": 96, "val": 48, "test": 24}
    assert source.splits["train"].names[7] == "train_0007"
    assert source.splits["train"].groups == source.splits["train"].names
    assert source.check() == ()


def test_raw_ids_are_those_of_the_offroad_set() -> None:
    raw = {OFFROAD.classes[index]: raw for raw, index in OFFROAD.class_of.items()}
    assert raw == {
        "Trees": 100,
        "Lush Bushes": 200,
        "Dry Grass": 300,
        "Dry Bushes": 500,
        "Ground Clutter": 550,
        "Flowers": 600,
        "Logs": 700,
        "Rocks": 800,
        "Landscape": 7100,
        "Sky": 10000,
    }
    drawn = {int(i) for k in range(40) for i in np.unique(draw(make_scene("train", k), (64, 64)).label_HW)}
    assert drawn == set(OFFROAD.class_of)
    assert len(set(OFFROAD.colours)) == 10


def test_other_processes_draw_the_same_pixels() -> None:
    program = (
        "import hashlib\n"
        "from harness.data.desert import make_split\n"
        "split, sha = make_split('val', 3, (40, 56)), hashlib.sha256()\n"
        "for k in range(3):\n"
        "    for read in (split.read_image, split.read_label, split.read_depth):\n"
        "        sha.update(read(k).tobytes())\n"
        "print(sha.hexdigest())"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert run.stdout.strip() == digest_pixels(make_split("val", 3, (40, 56)))


def test_the_scene_does_not_depend_on_number_or_order() -> None:
    few, many = make_split("train", 3, (32, 32)), make_split("train", 30, (32, 32))
    for index in (2, 0, 1):
        np.testing.assert_array_equal(few.read_image(index), many.read_image(index))


def test_a_larger_picture_shows_the_same_scene() -> None:
    small, large = make_split("train", 8, (64, 64)), make_split("train", 8, (256, 256))
    for index in range(8):
        thinned = large.read_label(index)[2::4, 2::4]
        assert (thinned == small.read_label(index)).mean() > 0.93
        mean = large.read_image(index).reshape(64, 4, 64, 4, 3).mean(axis=(1, 3))
        assert abs(mean - small.read_image(index)).mean() < 8


@pytest.mark.parametrize("size", [(1, 1), (7, 50), (96, 96), (90, 160), (160, 90)])
def test_any_size(size: tuple[int, int]) -> None:
    split = open_desert(size=list(size), train_images=2).splits["train"]
    assert split.read_image(1).shape == (*size, 3)
    assert split.read_image(1).dtype == np.uint8
    assert split.read_label(1).shape == size
    assert split.read_label(1).max() < 10


def test_class_shares_are_as_uneven_as_outdoors(source: Source) -> None:
    for name in ("train", "val"):
        share_C = shares(source.splits[name])
        assert 0.6 < share_C[[LANDSCAPE, SKY]].sum() < 0.85
        assert min(share_C[[LANDSCAPE, SKY]]) > 0.25
        for rare in ("Flowers", "Logs"):
            assert 0.001 < share_C[OFFROAD.classes.index(rare)] < 0.01
        assert share_C.min() > 0.001


def test_the_test_desert_looks_different(source: Source) -> None:
    def mean_colours(split: Split, chosen: int) -> npt.NDArray[np.float64]:
        means = [split.read_image(k)[split.read_label(k) == chosen].mean(axis=0) for k in range(12)]
        return np.array(means)

    for chosen in (LANDSCAPE, SKY):
        here, there = (mean_colours(source.splits[name], chosen) for name in ("train", "test"))
        same = mean_colours(source.splits["val"], chosen).mean(axis=0)
        gap = np.abs(there.mean(axis=0) - here.mean(axis=0)).max()
        assert gap > 25 > 2 * np.abs(same - here.mean(axis=0)).max()
    train_C, test_C = shares(source.splits["train"]), shares(source.splits["test"])
    assert test_C[OFFROAD.classes.index("Rocks")] > 2 * train_C[OFFROAD.classes.index("Rocks")]
    assert test_C[TREES] < train_C[TREES]


def horizon_row(scene: Scene, height: int) -> int:
    return int(np.ceil(scene.horizon * height))


def test_depth_is_inverse_metres() -> None:
    split = make_split("train", 10, (96, 96))
    assert split.read_depth is not None
    for index in range(10):
        inverse, label, scene = split.read_depth(index), split.read_label(index), make_scene("train", index)
        assert inverse.shape == (96, 96)
        assert inverse.dtype == np.float32
        np.testing.assert_array_equal(np.isnan(inverse), label == SKY)
        depth = 1 / inverse
        rows = np.arange(horizon_row(scene, 96) + 1, 96)
        for row in rows:
            expected = scene.focal * scene.eye_m / ((row + 0.5) / 96 - scene.horizon)
            bare = depth[row, label[row] == LANDSCAPE]
            np.testing.assert_allclose(bare, min(expected, 380.0), rtol=1e-4)
            assert depth[row].max() <= min(expected, 380.0) * 1.0001  # things stand before the ground, never behind it


def test_things_are_smaller_far_away() -> None:
    heights: dict[bool, list[float]] = {True: [], False: []}
    for index in range(30):
        label, depth = (array for array in _label_and_depth(index))
        for distance in np.unique(depth[label == TREES]):
            rows = np.nonzero((depth == distance) & (label == TREES))[0]
            heights[bool(distance > 25)].append(float(np.ptp(rows)))
    assert np.median(heights[False]) > 1.5 * np.median(heights[True])


def _label_and_depth(index: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    split = make_split("train", index + 1, (96, 96))
    assert split.read_depth is not None
    return split.read_label(index), 1 / split.read_depth(index)


def test_digests_need_no_pixels_and_follow_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.data.desert.draw", lambda *args: pytest.fail("drawn"))
    first = open_desert()
    assert {split.digest for split in open_desert().splits.values()} == {s.digest for s in first.splits.values()}
    assert len({split.digest for split in first.splits.values()}) == 3
    assert open_desert(size=[64, 64]).splits["val"].digest != first.splits["val"].digest
    more = open_desert(train_images=97)
    assert more.splits["train"].digest != first.splits["train"].digest
    assert more.splits["val"].digest == first.splits["val"].digest


def test_opening_needs_neither_torch_nor_pillow() -> None:
    program = (
        "import sys\n"
        "from harness.registry import choose\n"
        "from harness.data import open_source\n"
        "open_source(choose('data', 'desert', {})).splits['train'].read_image(0)\n"
        "assert not {'torch', 'PIL', 'mlflow', 'matplotlib'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
