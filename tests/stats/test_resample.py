"""The group bootstrap, and its agreement with the influence of groups."""

import numpy as np
import pytest

from benchmarks.resample import bootstrap_scores, draw_weights
from harness.stats.effects import compare, make_study
from harness.stats.margins import Margins, score_runs


def test_weights_are_whole_draws():
    weights_RG = draw_weights(7, 50, seed=3)
    assert weights_RG.shape == (50, 7)
    np.testing.assert_array_equal(weights_RG.sum(axis=1), 7)
    np.testing.assert_array_equal(weights_RG, draw_weights(7, 50, seed=3))
    assert (weights_RG != draw_weights(7, 50, seed=4)).any()


def test_a_resample_is_the_score_of_the_drawn_groups(make_margins):
    margins = make_margins(1)
    scores_KRM = bootstrap_scores(margins, 5, seed=2)
    for resample, weights_G in enumerate(draw_weights(len(margins.groups), 5, seed=2).astype(int)):
        drawn = np.repeat(np.arange(len(margins.groups)), weights_G)
        same = Margins(
            margins.runs,
            tuple(map(str, drawn)),
            margins.classes,
            len(drawn),
            margins.hit_KGC[:, drawn],
            margins.predicted_KGC[:, drawn],
            margins.true_GC[drawn],
        )
        np.testing.assert_allclose(scores_KRM[:, resample], score_runs(same), rtol=1e-12)


def test_a_class_missing_from_a_resample_is_left_out_of_it():
    ones = np.ones((1, 3, 1), np.int64)
    true_GC = np.array([[10, 0], [10, 0], [10, 10]])
    hit_KGC = np.array([[[10, 0], [10, 0], [10, 5]]])
    margins = Margins((("a", 0),), ("x", "y", "z"), ("road", "bike"), 3, hit_KGC, hit_KGC + 0 * ones, true_GC)
    scores_RM = bootstrap_scores(margins, 200, seed=0)[0]
    without_R = draw_weights(3, 200, seed=0)[:, 2] == 0
    assert without_R.any()
    assert np.isnan(scores_RM[without_R, 2]).all()
    np.testing.assert_array_equal(scores_RM[without_R, 0], 1.0)
    np.testing.assert_array_equal(scores_RM[~without_R, 0], 0.75)


@pytest.mark.parametrize("seed", range(3))
def test_the_influence_of_groups_gives_the_bootstraps_spread(make_margins, seed):
    margins = make_margins(seed, variants=2, seeds=1, groups=150)
    effects = compare(make_study(margins), "v1", "v0")
    first, second = bootstrap_scores(margins, 4000, seed=seed)
    bootstrap_M = (second - first).std(axis=0)
    linear_M = [effect.se for effect in effects.values()]
    np.testing.assert_allclose(linear_M, bootstrap_M, rtol=0.06)  # 4000 resamples: 1.1 % standard error, 5 of them
