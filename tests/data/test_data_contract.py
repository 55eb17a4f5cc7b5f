"""What every data set promises (`harness.data.source`), proved once for all parts of the kind."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from harness import catalog
from harness.data import open_source
from harness.data.source import IGNORE, Source

MakeTree = Callable[..., Path]


def settings_of(name: str, make_tree: MakeTree) -> dict[str, object]:
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


@pytest.fixture(params=[entry.name for entry in catalog.parts("data")])
def source(request: pytest.FixtureRequest, make_tree: MakeTree) -> Source:
    return open_source(catalog.choose("data", request.param, settings_of(request.param, make_tree)))


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
            assert set(np.unique(label)) <= {*range(len(source.taxonomy.classes)), IGNORE}
            np.testing.assert_array_equal(image, split.read_image(index))
            if split.read_depth is not None:
                depth = split.read_depth(index)
                assert (depth.shape, depth.dtype) == (label.shape, np.float32)
                assert np.nanmin(depth) >= 0


def test_taxonomy(source: Source) -> None:
    taxonomy = source.taxonomy
    assert len(taxonomy.classes) == len(set(taxonomy.classes)) == len(taxonomy.colours) == len(set(taxonomy.colours))
    assert {index for index in taxonomy.class_of.values() if index != IGNORE} == set(range(len(taxonomy.classes)))


def test_defining_the_parts_needs_neither_torch_nor_pillow() -> None:
    program = "import sys, harness.data; assert not {'torch', 'PIL', 'mlflow', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
