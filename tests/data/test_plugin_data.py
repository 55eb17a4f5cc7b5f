"""Whatever a plugin's data set gives back wrongly, one message names data, image, what came and what would do."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from harness import registry
from harness.data import open_source, open_whole
from harness.data.prepared import PreparedSplit
from harness.data.source import Source, Split
from harness.data.taxonomy import Taxonomy
from harness.errors import InputError

H, W = 6, 8
IMAGE, LABEL = np.zeros((H, W, 3), np.uint8), np.ones((H, W), np.uint8)
TAXONOMY = Taxonomy("two", ("a", "b"), ((0, 0, 0), (9, 9, 9)), {0: 0, 1: 1})
NAMES = ("one", "two")


def give(value):
    return lambda index: value


def fail(index):
    raise KeyError(f"no image {index}")


def split_of(**changes):
    good = Split(NAMES, NAMES, give(IMAGE), give(LABEL), give(LABEL), digest="d", read_depth=None)
    return replace(good, **changes)


def source_of(taxonomy=TAXONOMY, **changes):
    return Source(taxonomy, {"train": split_of(**changes), "val": split_of()})


@pytest.fixture
def open_made(monkeypatch, tmp_path):
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    monkeypatch.setattr(registry, "_PARTS", dict(registry._PARTS))

    def open_made(make):
        @registry.part("data")
        def made():
            """Data of a test."""
            return make()

        return open_source(registry.choose("data", "made", {}))

    return open_made


def read_all(source):
    source.check()
    for split in source.splits.values():
        prepared = PreparedSplit(split, source.taxonomy, (4, 4), "native", with_depth=True)
        for index in range(len(split.names)):
            prepared.pair(index), prepared.judged_label(index), prepared.depth(index), split.read_ids(index)


IN_TRAIN = r"data 'made' \(.*test_plugin_data.py:\d+\): split 'train'"
READ = {
    "four channels": (
        {"read_image": give(np.zeros((H, W, 4), np.uint8))},
        r"picture: \[H, W, 3\] uint8 is expected, this is \[6, 8, 4\] uint8",
    ),
    "grey": ({"read_image": give(LABEL)}, r"picture: \[H, W, 3\] uint8 is expected, this is \[6, 8\] uint8"),
    "channels first": ({"read_image": give(IMAGE.transpose(2, 0, 1))}, r"this is \[3, 6, 8\] uint8"),
    "float picture": ({"read_image": give(IMAGE / 255)}, r"this is \[6, 8, 3\] float64"),
    "16 bits": ({"read_image": give(IMAGE.astype(np.uint16))}, r"this is \[6, 8, 3\] uint16"),
    "empty picture": ({"read_image": give(IMAGE[:0])}, r"at least one pixel is expected, this is \[0, 8, 3\]"),
    "tensor": ({"read_image": give(torch.zeros(H, W, 3))}, "picture is a Tensor, not a NumPy array"),
    "nothing": ({"read_image": give(None)}, "picture is a NoneType, not a NumPy array"),
    "raises": ({"read_image": fail}, "its picture cannot be read: KeyError: 'no image 0'"),
    "float label": (
        {"read_label": give(LABEL.astype(float))},
        r"label: \[H, W\] uint8 is expected, this is \[6, 8\] float64",
    ),
    "bool label": ({"read_label": give(LABEL.astype(bool))}, r"this is \[6, 8\] bool"),
    "one-hot label": ({"read_label": give(IMAGE)}, r"label: \[H, W\] uint8 is expected, this is \[6, 8, 3\] uint8"),
    "label of a class too many": ({"read_label": give(LABEL * 2)}, "label holds 2 in 48 pixels; classes are 0 to 1"),
    "negative label": ({"read_label": give(-LABEL.astype(int))}, "its label holds -1 in 48 pixels"),
    "label of another size": ({"read_label": give(LABEL.T)}, r"its label is \[8, 6\], its picture \[6, 8\]"),
    "label raises": ({"read_label": fail}, "its label cannot be read: KeyError"),
    "float ids": ({"read_ids": give(LABEL / 2)}, r"raw ids: \[H, W\] uint8 or uint16 is expected, this is"),
    "ids too large": ({"read_ids": give(LABEL.astype(int) * 70_000)}, "raw ids from 70000 to 70000; give 0 to 65535"),
    "ids of another size": ({"read_ids": give(LABEL[1:])}, r"its raw ids is \[5, 8\], its picture \[6, 8\]"),
    "depth in whole numbers": (
        {"read_depth": give(LABEL)},
        r"depth: \[H, W\] float32 is expected, this is \[6, 8\] uint8",
    ),
    "infinite depth": ({"read_depth": give(np.full((H, W), np.inf, np.float32))}, "its depth is infinite somewhere"),
    "depth raises": ({"read_depth": fail}, "its depth cannot be read"),
}


@pytest.mark.parametrize(("changes", "problem"), READ.values(), ids=READ)
def test_a_wrong_array_is_named_with_its_image(open_made, changes, problem):
    with pytest.raises(InputError, match=f"{IN_TRAIN}, image 'one': .*{problem}") as caught:
        read_all(open_made(lambda: source_of(**changes)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["read_image", "read_label", "read_ids"])
def test_an_image_that_is_wrong_later_is_named_when_it_is_read(open_made, kind):
    good = {"read_image": IMAGE, "read_label": LABEL, "read_ids": LABEL}[kind]
    source = open_made(lambda: source_of(**{kind: lambda index: good if index == 0 else good[None]}))
    assert source.check() == ()
    with pytest.raises(InputError, match=f"{IN_TRAIN}, image 'two'"):
        read_all(source)


OPENED = {
    "raises": (lambda: 1 / 0, "it cannot be opened: ZeroDivisionError: division by zero"),
    "no source": (lambda: {"train": []}, "it returned a dict; a data set returns harness.data.source.Source"),
    "no val": (lambda: Source(TAXONOMY, {"train": split_of()}), "the split 'val' is missing"),
    "no split": (lambda: Source(TAXONOMY, {"train": [], "val": []}), "split 'train' is a list"),
    "no taxonomy": (lambda: source_of(["a", "b"]), "its taxonomy is a list"),
    "no images": (lambda: source_of(names=(), groups=()), "0 names of images; at least one is expected"),
    "name twice": (lambda: source_of(names=("x", "x")), "2 names of images; at least one is expected"),
    "name a number": (lambda: source_of(names=(1, 2)), "its names are not texts"),
    "groups short": (lambda: source_of(groups=("g",)), "2 images have 1 groups; give one for each image"),
    "recordings long": (lambda: source_of(recordings=("g",) * 3), "2 images have 3 recordings"),
    "no digest": (lambda: source_of(digest=""), "it has no digest"),
    "digest a number": (lambda: source_of(digest=1), "it has no digest"),
    "arrays for functions": (lambda: source_of(read_image=[IMAGE]), "its read_image is a list, not a function"),
    "class twice": (lambda: source_of(replace(TAXONOMY, classes=("a", "a"))), "2 classes are named; 1 to 254"),
    "colours short": (lambda: source_of(replace(TAXONOMY, colours=())), "2 classes have 0 colours"),
    "class unknown": (lambda: source_of(replace(TAXONOMY, class_of={0: 0, 7: 2})), "raw id 7 is class 2, but"),
}


@pytest.mark.parametrize(("make", "problem"), OPENED.values(), ids=OPENED)
def test_what_is_no_data_set_is_refused_when_it_is_opened(open_made, make, problem):
    with pytest.raises(InputError, match=rf"^data 'made' \(.*\): .*{re.escape(problem)}") as caught:
        open_made(make)
    assert "\n" not in str(caught.value)


def test_whole_labels_of_any_width_are_taken_as_they_are(open_made):
    source = open_made(lambda: source_of(read_label=give(LABEL.astype(np.int64)), names=list(NAMES)))
    assert source.splits["train"].read_label(0).dtype == np.uint8
    read_all(source)


def test_the_sets_that_harness_ships_are_handed_on_as_they_are():
    choice = registry.choose("data", "desert", {"train_images": 1, "val_images": 1, "test_images": 1})
    assert not hasattr(open_whole(choice).splits["train"].read_image, "__self__")
