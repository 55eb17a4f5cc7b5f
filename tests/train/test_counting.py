"""Counting pixels of (true, predicted): worked by hand, by definition, by torch, and at the borders of its types."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from harness.train.evaluate import count_confusion_device
from harness.train.regions import REGIONS, border_band, count_confusion, count_regions, third_rows

IGNORE = 255
torch.set_num_threads(1)


def draw(seed: int, shape: tuple[int, ...], num_classes: int, ignored: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """Return a prediction and a label, read-only as those of a data set are."""
    rng = np.random.default_rng(seed)
    predicted, label = (rng.integers(0, num_classes, shape).astype(np.uint8) for _ in range(2))
    label[rng.random(shape) < ignored] = IGNORE
    label.setflags(write=False)
    return predicted, label


def test_by_hand():
    predicted = np.array([[0, 1, 2], [2, 2, 0]], np.uint8)
    label = np.array([[0, 1, 1], [IGNORE, 2, 2]], np.uint8)
    assert count_confusion(predicted, label, 3).tolist() == [[1, 0, 0], [0, 1, 1], [1, 0, 1]]


sizes = st.tuples(st.integers(0, 40), st.integers(1, 40))
class_numbers = st.sampled_from([1, 2, 8, 19, 34, 127, 128, 129, 150, 254])
"""Twice an ignored pixel's key leaves 16 bits between 127 and 128 classes."""


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32 - 1), sizes, class_numbers, st.sampled_from([0.0, 0.2, 1.0]))
def test_counts_are_those_of_the_definition_and_of_torch(seed, shape, num_classes, ignored):
    predicted, label = draw(seed, shape, num_classes, ignored)
    slow = np.zeros((num_classes, num_classes), np.int64)
    kept = label != IGNORE
    np.add.at(slow, (label[kept].astype(int), predicted[kept].astype(int)), 1)
    counted = count_confusion(predicted, label, num_classes)
    on_device = count_confusion_device(torch.tensor(predicted), torch.tensor(label), num_classes)
    assert counted.dtype == np.int64
    assert on_device.dtype == torch.int64
    assert (counted == slow).all()
    assert (on_device.numpy() == slow).all()


def test_counts_are_those_of_scikit_learn():
    predicted, label = draw(0, (70, 90), 19)
    kept = label != IGNORE
    theirs = confusion_matrix(label[kept], predicted[kept], labels=np.arange(19))
    assert (count_confusion(predicted, label, 19) == theirs).all()


def test_arrays_that_are_views_of_others_are_counted_as_their_copies():
    predicted, label = draw(1, (30, 44), 8)
    views = (predicted[3:20, ::2], label[3:20, ::2])
    assert (count_confusion(*views, 8) == count_confusion(*map(np.ascontiguousarray, views), 8)).all()
    assert (count_confusion(predicted.T, label.T, 8) == count_confusion(predicted, label, 8)).all()


def test_a_label_that_is_no_class_is_not_passed_over():
    label = np.array([[0, 3]], np.uint8)
    for count in (count_confusion, count_regions):
        with pytest.raises(AssertionError, match="neither a class nor ignored"):
            count(np.zeros_like(label), label, 3)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.tuples(st.integers(1, 30), st.integers(1, 30)), class_numbers)
def test_regions_are_counted_as_if_each_were_cut_out(seed, shape, num_classes):
    predicted, label = draw(seed, shape, num_classes)
    label = np.sort(label, axis=1)
    found, band = count_regions(predicted, label, num_classes), border_band(label)
    cut_out = {"border": band, "interior": ~band}
    for name, rows in zip(REGIONS[2:], third_rows(shape[0]), strict=True):
        cut_out[name] = np.zeros(shape, bool)
        cut_out[name][rows] = True
    for name in REGIONS:
        within = np.where(cut_out[name], label, np.uint8(IGNORE))
        assert found[name].dtype == np.int64
        assert (found[name] == count_confusion(predicted, within, num_classes)).all(), name
