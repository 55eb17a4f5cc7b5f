from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from harness.data.desert import make_split
from harness.data.prepared import PreparedSplit
from harness.data.source import Image, Split

ONE_IMAGE = 10 * 12 * 3 + 10 * 12 + 20 * 24  # picture, label, and the label at its own size


@pytest.fixture
def counted() -> tuple[Split, Counter[int]]:
    split, reads = make_split("val", 4, (20, 24)), Counter[int]()

    def counting(read: Callable[[int], Image]) -> Callable[[int], Image]:
        def read_and_count(index: int) -> Image:
            reads[index] += 1
            return read(index)

        return read_and_count

    return Split(split.names, split.groups, counting(split.read_image), split.read_label, split.digest), reads


def test_images_within_the_budget_are_read_once(counted: tuple[Split, Counter[int]]) -> None:
    split, reads = counted
    prepared = PreparedSplit(split, (10, 12), "native", 2 * ONE_IMAGE)
    for _ in range(3):
        for index in range(4):
            prepared.pair(index)
    assert reads == {0: 1, 1: 1, 2: 3, 3: 3}


def test_sizes(counted: tuple[Split, Counter[int]]) -> None:
    split, _ = counted
    native = PreparedSplit(split, "native", "native", 0)
    assert native.pair(0)[0].shape == (20, 24, 3)
    for judge_at, size in (("native", (20, 24)), ("input", (10, 12))):
        prepared = PreparedSplit(split, (10, 12), judge_at, 10**6)  # type: ignore[arg-type]
        image, label = prepared.pair(1)
        assert (image.shape, label.shape) == ((10, 12, 3), (10, 12))
        assert prepared.judged_label(1).shape == size
    np.testing.assert_array_equal(native.judged_label(2), split.read_label(2))
