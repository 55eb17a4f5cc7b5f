"""What every data set promises (`harness.data.source`), proved once for all parts of the kind."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from layout_trees import make_cityscapes, make_kaggle, make_offroad
from shipped import shipped_names

from harness import registry
from harness.data import open_source
from harness.data.source import IGNORE, Source
from harness.data.taxonomy import map_ids
from harness.settings import DataChoice

MakeTree = Callable[..., Path]
SIDES = ("train", "val")
LAYOUTS: dict[str, tuple[MakeTree, dict[str, object]]] = {
    "cityscapes": (make_cityscapes, {"disparity": True}),
    "offroad": (make_offroad, {"test_images": 2}),
    "kaggle_cityscapes": (make_kaggle, {}),
}


def settings_of(name: str, make_tree: MakeTree, tmp_path: Path) -> dict[str, object]:
    if name in LAYOUTS:
        make, options = LAYOUTS[name]
        return {"root": str(make(tmp_path / "layout", **options))}
    if name == "desert":
        return {"train_images": 5, "val_images": 3, "test_images": 2, "size": [24, 32]}
    if name == "folder":
        return {"root": str(make_tree(list("abcdefgh"), ids=(0, 1, 9))), "classes": ["a", "b"], "ignore": [9]}
    root = make_tree([f"{drive}_{frame:03}" for drive in ("0006R0", "0016E5") for frame in range(6)], ids=(0, 4, 11))
    for split in ("train", "val"):
        for below, copy in (("images", split), ("masks", f"{split}annot")):
            (root / copy).mkdir()
            for path in (root / below).iterdir():
                PIL.Image.open(path).save(root / copy / path.name)
    return {"root": str(root)}


@pytest.fixture(params=shipped_names("data"))
def choice(request: pytest.FixtureRequest, make_tree: MakeTree, tmp_path: Path) -> DataChoice:
    return registry.choose("data", request.param, settings_of(request.param, make_tree, tmp_path))


@pytest.fixture
def source(choice: DataChoice) -> Source:
    return open_source(choice)


def test_splits(source: Source) -> None:
    assert {"train", "val"} <= set(source.splits) <= {"train", "val", "test"}
    assert source.check() == ()
    for split in source.splits.values():
        assert len(split.names) == len(set(split.names)) == len(split.groups) > 0


def test_arrays(source: Source) -> None:
    for split in source.splits.values():
        for index in range(len(split.names)):
            image, label = split.read_image(index), split.read_label(index)
            assert image.dtype == label.dtype == np.uint8
            assert image.shape == (*label.shape, 3)
            assert image.flags.writeable and label.flags.writeable
            np.testing.assert_array_equal(label, map_ids(split.read_ids(index), source.taxonomy, ""))
            assert set(np.unique(label)) <= {*range(len(source.taxonomy.classes)), IGNORE}
            np.testing.assert_array_equal(image, split.read_image(index))
            if split.read_depth is not None:
                depth = split.read_depth(index)
                assert (depth.shape, depth.dtype) == (label.shape, np.float32)
                assert np.nanmin(depth) >= 0
                assert np.isnan(depth).any()


def test_taxonomy(source: Source) -> None:
    taxonomy = source.taxonomy
    assert len(taxonomy.classes) == len(set(taxonomy.classes)) == len(taxonomy.colours) == len(set(taxonomy.colours))
    assert {index for index in taxonomy.class_of.values() if index != IGNORE} == set(range(len(taxonomy.classes)))


def test_folds_are_whole_and_the_same_each_time(choice: DataChoice) -> None:
    folded = choice.with_settings(folds=2)
    first, second, third = (open_source(folded, seed) for seed in (0, 1, 2))
    whole = open_source(choice)
    sides = [whole.splits["train"].names, whole.splits["val"].names]
    shared = set(sides[0]) & set(sides[1])
    marked = [
        [f"{side}/{name}" if shared else name for name in names] for side, names in zip(SIDES, sides, strict=True)
    ]
    everything = sorted([*marked[0], *marked[1]])
    for source in (first, second):
        train, val = source.splits["train"], source.splits["val"]
        assert sorted([*train.names, *val.names]) == everything
        assert not set(train.groups) & set(val.groups)
        np.testing.assert_array_equal(val.read_label(0), reread(whole, val.names[0]))
    assert sorted(first.splits["val"].names) == sorted(second.splits["train"].names)
    assert {name: split.digest for name, split in third.splits.items()} == {
        name: split.digest for name, split in first.splits.items()
    }


def reread(whole: Source, name: str) -> np.ndarray:
    side, _, bare = name.rpartition("/")
    splits = [whole.splits[key] for key in ([side] if side else ["train", "val"])]
    split = next(split for split in splits if bare in split.names)
    return split.read_label(split.names.index(bare))


def test_fractions_are_nested_and_drawn_by_the_seed(choice: DataChoice) -> None:
    whole = open_source(choice)
    number = len(whole.splits["train"].names)
    parts = [set(open_source(choice.with_settings(fraction=f), 3).splits["train"].names) for f in (0.2, 0.5, 0.8)]
    assert parts[0] <= parts[1] <= parts[2] <= set(whole.splits["train"].names)
    assert [len(part) for part in parts] == [max(1, round(f * number)) for f in (0.2, 0.5, 0.8)]
    half = choice.with_settings(fraction=0.5)
    assert open_source(half, 3).splits["val"].digest == whole.splits["val"].digest
    assert len({open_source(half, seed).splits["train"].digest for seed in range(8)}) > 1


def test_defining_the_parts_needs_neither_torch_nor_pillow() -> None:
    program = "import sys, harness.data; assert not {'torch', 'PIL', 'mlflow', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
