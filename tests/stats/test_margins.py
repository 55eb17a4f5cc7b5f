"""Counts become margins without a number changing, and only of runs that may be compared."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.counts import make_counts
from harness.errors import InputError
from harness.scores import iou_class, miou_dataset
from harness.stats.margins import Margins, class_scores, score_runs, sum_margins


def draw_counts(seed, images=9, classes=10, absent=()):
    generator = np.random.default_rng(seed)
    true_NCC = generator.multinomial(1000, np.full(classes**2, 1 / classes**2), images).reshape(-1, classes, classes)
    true_NCC[:, list(absent)] = 0
    names = [f"image{index}" for index in range(images)]
    return make_counts(
        list(true_NCC), names, [f"city{index // 2}" for index in range(images)], [*"abcdefghij"][:classes]
    )


def moved(counts):
    """Return counts of the same truth with another prediction."""
    return replace(counts, predicted_K=(counts.predicted_K + 1) % len(counts.classes))


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), absent=st.sets(st.integers(0, 9), max_size=9))
def test_scores_are_those_of_harness_scores_to_the_last_bit(seed, absent):
    counts = draw_counts(seed, absent=tuple(absent))
    margins = sum_margins({("a", 0): counts, ("b", 0): moved(counts)})
    for scores_M, run in zip(score_runs(margins), (counts, moved(counts)), strict=True):
        assert scores_M[0] == miou_dataset(run.confusion_CC())
        np.testing.assert_array_equal(scores_M[1:], iou_class(run.confusion_CC()))


def test_groups_are_summed():
    counts = make_counts(
        [np.array([[5, 1], [2, 3]]), np.array([[1, 0], [4, 6]]), np.array([[0, 0], [0, 7]])],
        ["x", "y", "z"],
        ["north", "south", "north"],
        ["road", "sky"],
    )
    margins = sum_margins({("a", 0): counts})
    assert margins.groups == ("north", "south")
    assert margins.images == 3
    assert margins.true_GC.tolist() == [[6, 12], [1, 10]]
    assert margins.hit_KGC.tolist() == [[[5, 10], [1, 6]]]
    assert margins.predicted_KGC.tolist() == [[[7, 11], [5, 6]]]


@pytest.mark.parametrize(
    "change",
    [
        lambda counts: replace(counts, images=("other", *counts.images[1:])),
        lambda counts: replace(counts, groups=("other", *counts.groups[1:])),
        lambda counts: replace(counts, classes=("other", *counts.classes[1:])),
        lambda counts: replace(counts, pixels_K=counts.pixels_K + 1),
        lambda counts: draw_counts(0, images=10),
    ],
    ids=["image names", "groups", "class names", "ignored pixels", "number of images"],
)
def test_runs_of_other_pixels_are_refused(change):
    counts = draw_counts(0)
    with pytest.raises(InputError, match="b/seed1 and a/seed0 were not evaluated on the same pixels"):
        sum_margins({("a", 0): counts, ("b", 1): change(counts)})


def test_nothing_to_compare_is_refused():
    with pytest.raises(InputError, match="no run of the comparison has finished"):
        sum_margins({})


def test_scores_by_hand_of_classes_that_some_rows_lack():
    # 3 / (5 + 4 - 3), and the prediction of a class that is not there says nothing; a single pixel is enough
    true_XC = np.array([[5, 0], [0, 0], [1, 4]])
    predicted_XC = np.array([[4, 2], [0, 5], [1, 2]])
    hit_XC = np.array([[3, 0], [0, 0], [1, 1]])
    nan = np.nan
    expected = [[0.5, 0.5, nan], [nan, nan, nan], [(1 + 1 / 5) / 2, 1.0, 1 / 5]]
    np.testing.assert_allclose(class_scores(hit_XC, predicted_XC, true_XC), expected, rtol=1e-12)
    one_GC = np.array([[1, 0]])
    margins = Margins((("a", 0),), ("g",), ("road", "bird"), 1, one_GC[None], one_GC[None], one_GC)
    np.testing.assert_array_equal(score_runs(margins), [[1.0, 1.0, nan]])
