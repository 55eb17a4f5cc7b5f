"""Scores: hand-worked images, and three independent programs as oracles."""

import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from harness import scores
from harness.counts import make_counts
from harness.report.page.sections import MEANINGS
from harness.settings import ScoreName

C = 4
IGNORE = 255


def test_a_spec_can_name_each_score_and_each_has_a_meaning():
    named, computed, told = set(get_args(ScoreName)), scores.SCORES.keys(), MEANINGS.keys()
    assert named == computed == told, (
        f"{', '.join(sorted((named | computed | told) - (named & computed & told)))}: a score is a name in ScoreName "
        "(harness/settings.py), a function in SCORES (harness/scores.py) and a line in MEANINGS "
        "(harness/report/page/sections.py)"
    )


def confusion(label, predicted, num_classes=C):
    keep = label != IGNORE
    flat = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(flat, (label[keep].astype(int), predicted[keep].astype(int)), 1)
    return flat


def counts_of(pairs, num_classes=C):
    names = [f"image{i}" for i in range(len(pairs))]
    classes = [f"class{i}" for i in range(num_classes)]
    return make_counts([confusion(*pair, num_classes) for pair in pairs], names, names, classes)


# Two 2x4 images, two classes (a = 0, b = 1), worked by hand:
# image 1: truth aaaa/bbbb, predicted aaab/bbbb -> a: 3/4, b: 4/5
# image 2: truth aaaa/aaab, predicted aaaa/aaba -> a: 6/8, b: 0/2
HAND = [
    (np.array([[0, 0, 0, 0], [1, 1, 1, 1]]), np.array([[0, 0, 0, 1], [1, 1, 1, 1]])),
    (np.array([[0, 0, 0, 0], [0, 0, 0, 1]]), np.array([[0, 0, 0, 0], [0, 0, 1, 0]])),
]


def test_hand_worked_images():
    counts = counts_of(HAND, 2)
    total = counts.confusion_CC()
    assert total.tolist() == [[9, 2], [1, 4]]
    # a: intersection 9, union 9 + 2 + 1; b: intersection 4, union 4 + 1 + 2
    assert scores.iou_class(total) == pytest.approx([9 / 12, 4 / 7])
    assert scores.miou_dataset(total) == pytest.approx((9 / 12 + 4 / 7) / 2)
    assert scores.miou_image(counts) == pytest.approx(((3 / 4 + 4 / 5) / 2 + (6 / 8 + 0) / 2) / 2)
    assert scores.dice_dataset(total) == pytest.approx((18 / 21 + 8 / 11) / 2)
    assert scores.pixel_accuracy(total) == pytest.approx(13 / 16)
    assert scores.mean_class_accuracy(total) == pytest.approx((9 / 11 + 4 / 5) / 2)
    assert scores.frequency_weighted_iou(total) == pytest.approx(9 / 12 * 11 / 16 + 4 / 7 * 5 / 16)


def test_class_absent_from_truth_is_listed_and_not_averaged():
    label, predicted = np.array([[0, 0, 1, 1]]), np.array([[0, 2, 1, 1]])
    iou = scores.iou_class(confusion(label, predicted))
    assert iou[:2] == pytest.approx([0.5, 1.0])
    assert np.isnan(iou[2:]).all()
    assert scores.miou_dataset(confusion(label, predicted)) == pytest.approx(0.75)


def test_class_present_and_never_predicted_scores_zero():
    assert scores.iou_class(confusion(np.array([0, 1]), np.array([0, 0])))[1] == 0.0


def test_nothing_to_count_is_not_a_number():
    counts = counts_of([(np.full((2, 2), IGNORE), np.zeros((2, 2), int))])
    assert len(counts.pixels_K) == 0
    assert all(math.isnan(value) for value in scores.all_scores(counts).values())


labels = arrays(np.int64, (2, 5, 7), elements=st.sampled_from([0, 1, 2, 3, IGNORE]))
predictions = arrays(np.int64, (2, 5, 7), elements=st.integers(0, C - 1))
few_classes = arrays(np.int64, (2, 5, 7), elements=st.sampled_from([0, 1, IGNORE]))


@settings(deadline=None, max_examples=60)
@given(labels | few_classes, predictions)
def test_counts_equal_scikit_learn(label, predicted):
    from sklearn.metrics import confusion_matrix

    keep = label != IGNORE
    ours = counts_of(list(zip(label, predicted, strict=True))).confusion_CC()
    theirs = (
        confusion_matrix(label[keep], predicted[keep], labels=range(C)) if keep.any() else np.zeros((C, C), np.int64)
    )
    assert (ours == theirs).all()


@settings(deadline=None, max_examples=60)
@given(labels | few_classes, predictions)
def test_iou_equals_torchmetrics(label, predicted):
    import torch
    from torchmetrics import JaccardIndex

    metric = JaccardIndex("multiclass", num_classes=C, ignore_index=IGNORE, average="none")
    theirs = metric(torch.from_numpy(predicted), torch.from_numpy(label)).numpy()
    ours = scores.iou_class(counts_of(list(zip(label, predicted, strict=True))).confusion_CC())
    present = ~np.isnan(ours)
    assert ours[present] == pytest.approx(theirs[present], abs=1e-6)
    assert set(np.flatnonzero(present)) == set(np.unique(label[label != IGNORE]))


@pytest.mark.parametrize("absent", [(), (13, 17)])
def test_iou_equals_cityscapes_scripts(tmp_path, absent):
    from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as evaluator
    from cityscapesscripts.helpers.labels import labels as table

    rng = np.random.default_rng(0)
    ids = np.array([label.id for label in sorted(table, key=lambda item: item.trainId) if 0 <= label.trainId < 19])
    pairs, files = [], []
    for index in range(3):
        truth = rng.choice([i for i in range(19) if i not in absent], (40, 60))
        predicted = np.where(rng.random(truth.shape) < 0.7, truth, rng.choice(truth.ravel(), truth.shape))
        label = np.where(rng.random(truth.shape) < 0.1, IGNORE, truth)
        pairs.append((label, predicted))
        names = [tmp_path / f"{kind}_{index}.png" for kind in ("pred", "gt")]
        Image.fromarray(ids[predicted].astype(np.uint8)).save(names[0])
        Image.fromarray(np.where(label == IGNORE, 0, ids[np.minimum(label, 18)]).astype(np.uint8)).save(names[1])
        files.append(names)
    args = evaluator.args
    args.evalInstLevelScore, args.evalPixelAccuracy, args.quiet, args.JSONOutput = False, False, True, False
    matrix = evaluator.generateMatrix(args)
    for predicted_file, truth_file in files:
        evaluator.evaluatePair(str(predicted_file), str(truth_file), matrix, {}, {}, args)
    theirs = np.array([evaluator.getIouScoreForLabel(int(id_), matrix, args) for id_ in ids])
    ours = scores.iou_class(counts_of(pairs, 19).confusion_CC())
    assert np.isnan(ours[list(absent)]).all()
    present = ~np.isnan(ours)
    assert present.sum() == 19 - len(absent)
    assert ours[present] == pytest.approx(theirs[present], abs=1e-12)
