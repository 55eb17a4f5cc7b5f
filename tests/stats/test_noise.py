"""Moderated variance between seeds."""

import numpy as np
import pytest

from harness.stats.noise import moderate, pool_noise


def draw_scores(seed, loudness, seeds=3, classes=8):
    """Return scores of variants and seeds: measure 0 is the mean of the others."""
    generator = np.random.default_rng(seed)
    iou_VSC = 0.5 + np.array(loudness)[:, None, None] * generator.normal(size=(len(loudness), seeds, classes))
    return np.concatenate([iou_VSC.mean(axis=2, keepdims=True), iou_VSC], axis=2)


def test_the_pool_is_the_interaction_mean_square_of_variants_and_seeds():
    scores_VS = draw_scores(0, [1.0] * 5)[:, :, 0]
    residual = scores_VS - scores_VS.mean(1, keepdims=True) - scores_VS.mean(0) + scores_VS.mean()
    assert pool_noise(draw_scores(0, [1.0] * 5)).variance_M[0] == pytest.approx((residual**2).sum() / (4 * 2))


def test_two_variants_have_nothing_to_borrow():
    scores_VSM = draw_scores(0, [1.0, 1.0])
    noise = pool_noise(scores_VSM)
    assert noise.prior == 0
    moderated = moderate(noise, scores_VSM[1] - scores_VSM[0], 2.0)
    np.testing.assert_array_equal(moderated.variance_M, moderated.own_M)
    assert moderated.degrees == 2


def test_variants_that_agree_lend_more_than_variants_that_do_not():
    agree = [pool_noise(draw_scores(seed, [1.0] * 6, seeds=5, classes=30)).prior for seed in range(20)]
    differ = [pool_noise(draw_scores(seed, [0.2, 0.5, 1, 2, 4, 8], seeds=5, classes=30)).prior for seed in range(20)]
    assert np.mean(agree) > 5.5
    assert max(agree) <= 6
    assert np.mean(differ) < 2.5


def test_a_loud_contrast_borrows_little_and_more_than_the_pool_has():
    scores_VSM = draw_scores(0, [1.0, 1.0, 1.0, 6.0], classes=30)
    noise = pool_noise(scores_VSM)
    quiet = moderate(noise, scores_VSM[1] - scores_VSM[0], 2.0)
    loud = moderate(noise, scores_VSM[3] - scores_VSM[0], 2.0)
    assert loud.degrees < 2.5
    assert loud.variance_M[0] > 0.9 * loud.own_M[0]
    assert quiet.variance_M[0] > quiet.own_M[0]


def test_a_missing_run_leaves_the_other_pairs():
    scores_VSM = draw_scores(0, [1.0] * 4, seeds=4)
    scores_VSM[0, 2] = np.nan
    pairs = [(i, j) for i in range(4) for j in range(i + 1, 4)]
    squares, degrees = 0.0, 0
    for i, j in pairs:
        there = [0, 1, 3] if i == 0 else [0, 1, 2, 3]
        difference = scores_VSM[i, there, 0] - scores_VSM[j, there, 0]
        squares += ((difference - difference.mean()) ** 2).sum() / 2
        degrees += len(there) - 1
    assert pool_noise(scores_VSM).variance_M[0] == pytest.approx(squares / degrees)


def test_a_copy_under_another_name_is_not_evidence_of_little_noise():
    scores_VSM = draw_scores(0, [1.0] * 3)
    copied = np.concatenate([scores_VSM, scores_VSM[:1]])
    assert pool_noise(copied).variance_M[0] > 0.5 * pool_noise(scores_VSM).variance_M[0]
    assert pool_noise(np.concatenate([scores_VSM[:1]] * 3)).prior == 0
