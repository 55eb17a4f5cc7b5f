from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.data.cache import list_caches
from harness.data.desert import make_split
from harness.data.folder import folder
from harness.data.images import resize_pair
from harness.data.label_sets import shipped_taxonomy
from harness.data.prepared import PreparedSplit
from harness.data.source import Split

OFFROAD = shipped_taxonomy("offroad")

SIZE = (20, 24)
SMALL = (10, 12)


def counted(split: Split) -> tuple[Split, Counter[tuple[str, int]]]:
    """Return a split that counts what is read of it."""
    reads = Counter[tuple[str, int]]()

    def counting(kind, read):
        def read_and_count(index):
            reads[kind, index] += 1
            return read(index)

        return read_and_count

    return replace(
        split,
        read_image=counting("image", split.read_image),
        read_label=counting("label", split.read_label),
        read_depth=counting("depth", split.read_depth),
    ), reads


@pytest.fixture
def scenes() -> tuple[Split, Counter[tuple[str, int]]]:
    return counted(make_split("val", 6, SIZE))


def read_all(prepared: PreparedSplit) -> list[list[np.ndarray]]:
    return [[*prepared.pair(k), prepared.judged_label(k)] for k in range(len(prepared))]


def test_each_image_is_read_once_for_all_epochs_and_runs(scenes):
    split, reads = scenes
    for _ in range(2):
        prepared = PreparedSplit(split, OFFROAD, SMALL, "input")
        assert sum(reads.values()) in (0, 12), "opening a split reads nothing"
        for _ in range(3):
            read_all(prepared)
    assert reads == {(kind, k): 1 for kind in ("image", "label") for k in range(6)}


@pytest.mark.parametrize("size", [SMALL, "native"])
@pytest.mark.parametrize("judge_at", ["native", "input"])
def test_a_cache_changes_no_number(scenes, size, judge_at):
    split, _ = scenes
    kept, anew = (read_all(PreparedSplit(split, OFFROAD, size, judge_at, cached=cached)) for cached in (True, False))
    for index, (one, other) in enumerate(zip(kept, anew, strict=True)):
        image, native = split.read_image(index), split.read_label(index)
        small = (image, native) if size == "native" else resize_pair(image, native, size)
        expected = [*small, native if judge_at == "native" else small[1]]
        for array, again, wanted in zip(one, other, expected, strict=True):
            assert array.dtype == again.dtype == np.uint8
            np.testing.assert_array_equal(array, wanted)
            np.testing.assert_array_equal(again, wanted)


def test_without_a_cache_nothing_is_written(scenes, own_cache: Path):
    split, reads = scenes
    prepared = PreparedSplit(split, OFFROAD, SMALL, "input", cached=False)
    for _ in range(2):
        prepared.pair(1)
    assert reads["image", 1] == 2
    assert not own_cache.exists()


def test_native_labels_come_from_a_cache_too_and_only_where_they_are_wanted(scenes):
    split, reads = scenes
    prepared = PreparedSplit(split, OFFROAD, SMALL, "native")
    prepared.pair(0)
    assert len(list_caches()) == 1
    for _ in range(3):
        assert prepared.judged_label(2).shape == SIZE
    assert {reads["label", k] for k in range(6)} == {2}, "once for the model, once for the judge"
    assert {reads["image", k] for k in range(6)} == {1}


def test_native_labels_of_the_models_size_are_not_kept_twice(scenes):
    split, _ = scenes
    prepared = PreparedSplit(split, OFFROAD, SIZE, "native")
    np.testing.assert_array_equal(prepared.judged_label(2), split.read_label(2))
    assert len(list_caches()) == 1


def test_images_of_several_sizes_keep_them(scenes):
    small, large = make_split("val", 4, SMALL), make_split("val", 4, SIZE)
    mixed = replace(
        large,
        read_image=lambda k: (small if k % 2 else large).read_image(k),
        read_label=lambda k: (small if k % 2 else large).read_label(k),
        digest="mixed",
    )
    native = PreparedSplit(mixed, OFFROAD, "native", "native")
    resized = PreparedSplit(mixed, OFFROAD, SMALL, "native")
    for k in range(4):
        assert native.pair(k)[0].shape == (*(SMALL if k % 2 else SIZE), 3)
        np.testing.assert_array_equal(native.pair(k)[0], mixed.read_image(k))
        np.testing.assert_array_equal(native.pair(k)[1], mixed.read_label(k))
        np.testing.assert_array_equal(resized.judged_label(k), mixed.read_label(k))


def test_depth_is_resized_without_mixing_unknown_and_known():
    depth = np.arange(8, dtype=np.float32).reshape(2, 4)
    depth[0, 1] = np.nan
    split = replace(make_split("val", 1, (2, 4)), read_depth=lambda index: depth)
    prepared = PreparedSplit(split, OFFROAD, (4, 8), "input", with_depth=True)
    for _ in range(2):
        got = prepared.depth(0)
        np.testing.assert_array_equal(got, depth.repeat(2, axis=0).repeat(2, axis=1))
        assert got.dtype == np.float32
        assert not got.flags.writeable
    native = PreparedSplit(split, OFFROAD, "native", "input", with_depth=True)
    np.testing.assert_array_equal(native.depth(0), depth)


def test_depth_is_read_only_where_it_is_asked_for(scenes):
    split, reads = scenes
    assert PreparedSplit(split, OFFROAD, SMALL, "input").depth(0) is None
    without = PreparedSplit(replace(split, read_depth=None), OFFROAD, SMALL, "input", with_depth=True)
    assert without.depth(0) is None
    assert not reads
    prepared = PreparedSplit(split, OFFROAD, SMALL, "input", with_depth=True)
    for _ in range(2):
        assert prepared.depth(3).shape == SMALL
    assert reads == {("depth", k): 1 for k in range(6)}


def test_what_decides_the_arrays_decides_the_cache(scenes):
    split, reads = scenes
    renamed = replace(OFFROAD, name="another name", colours=OFFROAD.colours[::-1])
    regrouped = replace(split, groups=("one group",) * 6)
    ignoring = replace(OFFROAD, class_of={**OFFROAD.class_of, 600: 255})
    for count, (changed, taxonomy, size) in enumerate(
        [
            (split, OFFROAD, SMALL),
            (replace(split, digest="other content"), OFFROAD, SMALL),
            (replace(split, names=split.names[::-1]), OFFROAD, SMALL),
            (split, ignoring, SMALL),
            (split, replace(OFFROAD, classes=("Woods", *OFFROAD.classes[1:])), SMALL),
            (split, OFFROAD, (12, 10)),
            (split, OFFROAD, "native"),
        ],
        start=1,
    ):
        PreparedSplit(changed, taxonomy, size, "input").pair(0)
        assert reads["image", 0] == len(list_caches()) == count
    for same, taxonomy in ((split, renamed), (regrouped, OFFROAD)):
        PreparedSplit(same, taxonomy, SMALL, "native").pair(0)
    assert reads["image", 0] == len(list_caches())


def test_a_changed_file_is_read_anew_and_one_changed_back_is_not(make_tree):
    def first_image() -> np.ndarray:
        source = folder(root=str(root), classes=["ground", "sky"], val_fraction=0.5)
        return PreparedSplit(source.splits["train"], source.taxonomy, (4, 6), "native").pair(0)[0]

    names = ["a", "b", "c", "d"]
    root = make_tree(names)
    before = first_image()
    make_tree(names[::-1])
    assert not np.array_equal(first_image(), before)
    make_tree(names)
    np.testing.assert_array_equal(first_image(), before)
    assert len(list_caches()) == 2


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("size", [SMALL, "native"])
def test_images_together_are_those_one_by_one(scenes, size, cached):
    prepared = PreparedSplit(scenes[0], OFFROAD, size, "input", with_depth=True, cached=cached)
    images_BHWC, labels_BHW, depths_BHW = prepared.stacked([4, 0, 4])
    for place, index in enumerate([4, 0, 4]):
        image_HWC, label_HW = prepared.pair(index)
        assert np.array_equal(images_BHWC[place], image_HWC)
        assert np.array_equal(labels_BHW[place], label_HW)
        assert np.array_equal(depths_BHW[place], prepared.depth(index), equal_nan=True)
    before = prepared.pair(4)[0].copy()
    images_BHWC += 1
    assert np.array_equal(prepared.pair(4)[0], before)
