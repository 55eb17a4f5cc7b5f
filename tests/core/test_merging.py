"""Merging counts equals evaluating merged labels and predictions, exactly."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from harness.counts import make_counts
from harness.records import Counts
from harness.report.study.common_labels import VOID, LabelSet, map_classes, merge_counts
from harness.scores import iou_class, miou_dataset

FINE, COARSE = 7, 3
LABELS = hnp.arrays(np.uint8, (3, 4, 5), elements=st.sampled_from([*range(FINE), 255]))
PREDICTED = hnp.arrays(np.uint8, (3, 4, 5), elements=st.integers(0, FINE - 1))
TARGETS = st.lists(st.sampled_from([*range(COARSE), 255]), min_size=FINE, max_size=FINE)


def count(labels_NHW: np.ndarray, predicted_NHW: np.ndarray, classes: list[str]) -> Counts:
    confusions = []
    for label, predicted in zip(labels_NHW, predicted_NHW, strict=True):
        confusion = np.zeros((len(classes), len(classes)), np.int64)
        kept = label != 255
        np.add.at(confusion, (label[kept], predicted[kept]), 1)
        confusions.append(confusion)
    names = [f"image{k}" for k in range(len(labels_NHW))]
    return make_counts(confusions, names, names, classes)


def same(a: Counts, b: Counts) -> bool:
    return bool((a.confusion_NCC() == b.confusion_NCC()).all()) and (a.images, a.groups) == (b.images, b.groups)


@given(LABELS, PREDICTED, TARGETS)
def test_merged_counts_are_counts_of_merged_predictions(labels, predicted, targets):
    fine = count(labels, predicted, [f"f{k}" for k in range(FINE)])
    merged = merge_counts(fine, targets, ["a", "b", "c"])
    table = np.array([*targets, *([255] * (256 - FINE))], np.uint8)
    void = 255 in targets
    predicted_there = np.where(table[predicted] == 255, COARSE, table[predicted])
    assert same(merged, count(table[labels], predicted_there, ["a", "b", "c", *([VOID] if void else [])]))
    assert merged.pixels_K.sum() == (table[labels] != 255).sum()
    assert len(set(zip(merged.image_K, merged.true_K, merged.predicted_K, strict=True))) == len(merged.pixels_K)


def test_predictions_of_what_is_ignored_are_wrong_and_in_nobodys_favour():
    labels, predicted = np.array([[[0, 0, 1, 2]]], np.uint8), np.array([[[0, 2, 1, 2]]], np.uint8)
    merged = merge_counts(count(labels, predicted, ["road", "car", "void"]), [0, 1, 255], ["road", "car"])
    assert merged.classes == ("road", "car", VOID)
    values = iou_class(merged.confusion_CC())
    assert values[:2].tolist() == [0.5, 1.0]
    assert np.isnan(values[2])
    assert miou_dataset(merged.confusion_CC()) == 0.75


def test_which_sets_merge():
    fine = LabelSet("fine", ("road", "sidewalk", "car"), {0: 0, 1: 1, 2: 2, 9: 255})
    coarse = LabelSet("coarse", ("flat", "car"), {0: 0, 1: 0, 2: 1, 9: 255})
    assert map_classes(fine, coarse) == (0, 0, 1)
    assert map_classes(coarse, fine) is None
    assert map_classes(fine, LabelSet("less", ("flat",), {0: 0, 1: 0, 2: 255, 9: 255})) == (0, 0, 255)
    assert map_classes(fine, LabelSet("more", ("flat", "sky"), {0: 0, 1: 0, 2: 0, 9: 1})) is None, "9 was not counted"
    assert map_classes(fine, LabelSet("other", ("flat",), {0: 0, 1: 0})) is None, "2 is unknown there"
