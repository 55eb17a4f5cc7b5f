"""Moderated variance between seeds."""

import numpy as np
import pytest
from scipy import special
from scipy.special import polygamma

from harness.stats.noise import SURE, Noise, _agreement, _degrees_of, _likeness, moderate, pool_noise


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
    assert (noise.degrees, noise.classes, noise.agreement) == (0, 0, 0)
    assert not noise.variance_M.any()
    moderated = moderate(noise, scores_VSM[1] - scores_VSM[0], 2.0)
    np.testing.assert_array_equal(moderated.variance_M, moderated.own_M)
    assert moderated.degrees == 2


def test_a_profile_that_variants_share_is_worth_more_than_one_that_they_do_not():
    alike = [pool_noise(draw_scores(seed, [1.0] * 6, classes=30)).agreement for seed in range(20)]
    generator = np.random.default_rng(0)
    apart = []
    for seed in range(20):
        scores_VSM = draw_scores(seed, [1.0] * 6, classes=30)
        apart.append(pool_noise(scores_VSM * generator.lognormal(0, 0.8, (6, 1, 31))).agreement)
    assert np.median(alike) > 20
    assert np.median(apart) < 6


def test_a_loud_contrast_gets_its_loudness_from_all_its_classes():
    ratios = []
    for seed in range(40):
        scores_VSM = draw_scores(seed, [1.0, 1.0, 1.0, 3.0], classes=30)
        loud = moderate(pool_noise(scores_VSM), scores_VSM[3] - scores_VSM[0], 2.0)
        assert loud.degrees > 3
        ratios.append(np.mean(loud.variance_M[1:]) / 10)  # 1 + 3^2
    assert np.mean(ratios) == pytest.approx(1, abs=0.15)


def test_classes_that_move_as_one_count_as_one():
    generator = np.random.default_rng(0)
    shared = generator.normal(size=(4, 5, 1)) + np.zeros(13)
    assert pool_noise(shared).classes == pytest.approx(1)
    assert pool_noise(draw_scores(0, [1.0] * 4, seeds=5, classes=12)).classes > 6


def test_the_loudness_of_a_few_classes_is_drawn_towards_the_studys():
    """By hand: own variance 8 of one class of unit 1, three seeds: 8 ^ (2 / (2 + trigamma(1)))."""
    noise = Noise(np.array([1.0, 1.0]), degrees=1e9, classes=1.0, agreement=1e12)
    values_SM = np.array([[-4.0, -4.0], [0.0, 0.0], [4.0, 4.0]]) * np.sqrt(0.5)
    moderated = moderate(noise, values_SM, 1.0)
    assert moderated.own_M == pytest.approx(8)
    doubt = np.pi**2 / 6
    assert moderated.variance_M == pytest.approx(8 ** (2 / (2 + doubt)))
    assert polygamma(1, moderated.degrees / 2) == pytest.approx(2 * doubt / (2 + doubt), rel=1e-3)


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
    np.testing.assert_array_equal(pool_noise(copied).variance_M, pool_noise(scores_VSM).variance_M)
    assert pool_noise(copied).degrees == pool_noise(scores_VSM).degrees
    assert pool_noise(np.concatenate([scores_VSM[:1]] * 3)).degrees == 0


def test_two_variants_and_a_copy_have_nothing_to_borrow():
    scores_VSM = draw_scores(0, [1.0, 1.0])
    assert pool_noise(scores_VSM[[0, 1, 0]]).degrees == 0
    copied = scores_VSM[[0, 1, 0]].copy()
    copied[2, 1] = np.nan  # the copy lacks a run
    assert pool_noise(copied).degrees == 0


def test_what_rounding_alone_moves_is_no_noise():
    scores_VSM = 0.3 + 0.1 * np.arange(4)[:, None, None] + np.zeros((4, 10, 7))
    scores_VSM[2, 3] += 1e-16
    noise = pool_noise(scores_VSM)
    moderated = moderate(noise, scores_VSM[2] - scores_VSM[0], 2.0)
    assert noise.degrees == 0
    assert not moderated.variance_M.any()


def test_runs_without_a_common_seed_count_their_classes_as_one():
    scores_VSM = draw_scores(0, [1.0] * 4, seeds=6)
    for variant, missing in enumerate(([0, 1], [2, 3], [4, 5], [0, 5])):
        scores_VSM[variant, missing] = np.nan
    noise = pool_noise(scores_VSM)
    assert noise.classes == 1
    assert np.isfinite(moderate(noise, scores_VSM[1][[4, 5]] - scores_VSM[0][[4, 5]], 2.0).degrees)


def test_the_degrees_of_the_pool():
    assert pool_noise(draw_scores(0, [1.0] * 4)).degrees == 3 * 2  # (variants - 1) (seeds - 1)
    scores_VSM = draw_scores(0, [1.0] * 4, seeds=4)
    scores_VSM[0, 2] = np.nan
    assert pool_noise(scores_VSM).degrees == pytest.approx(3 * (3 * 2 + 3 * 3) / 6)  # three pairs lack a seed


def test_a_model_that_knows_less_than_the_seeds_is_not_asked():
    values_SM = np.array([[-4.0, -4.0], [0.0, 0.0], [4.0, 5.0]])
    weak = moderate(Noise(np.array([1.0, 1.0]), degrees=0.5, classes=1.0, agreement=1.0), values_SM, 1.0)
    np.testing.assert_array_equal(weak.variance_M, weak.own_M)
    assert weak.degrees == 2
    strong = moderate(Noise(np.array([1.0, 1.0]), degrees=50.0, classes=5.0, agreement=9.0), values_SM, 1.0)
    assert strong.degrees > 2
    assert (strong.variance_M != strong.own_M).all()


def test_likeness_by_hand():
    # Effects of variants and of seeds are taken out; what is left correlates: squared, less what chance adds.
    generator = np.random.default_rng(1)
    left_VSC = generator.normal(size=(3, 4, 1)) + 0.6 * generator.normal(size=(3, 4, 2))
    scores_VSC = left_VSC + 5 * generator.normal(size=(3, 1, 2)) + 9 * generator.normal(size=(1, 4, 2))
    residual = left_VSC - left_VSC.mean(0, keepdims=True) - left_VSC.mean(1, keepdims=True) + left_VSC.mean((0, 1))
    first, second = residual[:, :, 0].ravel(), residual[:, :, 1].ravel()
    squared = (first @ second) ** 2 / (first @ first) / (second @ second)
    chance = 1 / (2 * 3)
    expected = max((squared - chance) / (1 - chance), 0.0)
    assert expected > 0.01
    assert _likeness(scores_VSC) == (pytest.approx(expected), 2)


@pytest.mark.parametrize(("likeness", "classes"), [(0.0, 5), (0.3, 5), (0.95, 5), (0.3, 2)])
def test_agreement_by_hand(likeness, classes):
    # Log variances freed of their bias; the two-way residual; pairs that share a variant and classes that move alike.
    variance_PC = np.random.default_rng(0).lognormal(0, 2.0, (6, classes))
    degrees_P = np.array([2.0, 2.0, 3.0, 3.0, 2.0, 3.0])
    bias_P = special.digamma(degrees_P / 2) - np.log(degrees_P / 2)
    log_PC = np.log(variance_PC) - bias_P[:, None]
    left = log_PC - log_PC.mean(1, keepdims=True) - log_PC.mean(0) + log_PC.mean()
    independent = (1 - 0.5 * 2 / 5) * max(1 - likeness, 0.2)
    excess = (left**2).sum() / (5 * (classes - 1)) / independent - polygamma(1, degrees_P / 2).mean()
    found = _agreement(variance_PC, degrees_P, 4, likeness)
    assert excess > 0
    assert polygamma(1, found / 2) == pytest.approx(excess, rel=1e-6)


def test_three_variants_are_enough_to_lend():
    assert pool_noise(draw_scores(0, [1.0] * 3)).degrees == 2 * 2


def test_one_class_is_like_nothing():
    assert _likeness(draw_scores(0, [1.0] * 3)[:, :, 1:2]) == (0.0, 1)


def test_a_measure_that_the_pool_knows_nothing_of_keeps_its_own_variance():
    noise = Noise(np.array([1.0, 1.0, 0.0]), degrees=50.0, classes=5.0, agreement=9.0)
    moderated = moderate(noise, np.array([[-4.0, -4.0, -1.0], [0.0, 0.0, 0.0], [4.0, 5.0, 1.0]]), 1.0)
    assert moderated.variance_M[2] == moderated.own_M[2] == 1
    assert (moderated.variance_M[:2] != moderated.own_M[:2]).all()


def test_own_and_pooled_variance_are_mixed_by_what_they_are_worth():
    # Two classes of unit 2 and 4, weights of squared size 2; three seeds of the contrast; a model worth 6 degrees.
    noise = Noise(np.array([3.0, 2.0, 4.0]), degrees=30.0, classes=2.0, agreement=6.0)
    values_SM = np.array([[1.0, -3.0, 5.0], [0.0, 1.0, -5.0], [-1.0, 2.0, 0.0]])
    own = values_SM.var(axis=0, ddof=1)
    measured = (own[1] / 4 + own[2] / 8) / 2
    doubt = polygamma(1, 2 * 2.0 / 2)
    loudness = measured ** (2 / (2 + doubt))
    share = 6 / (6 + 2)
    found = moderate(noise, values_SM, 2.0)
    assert found.variance_M == pytest.approx(share * loudness * 2 * noise.variance_M + (1 - share) * own)
    # The degrees of loudness are those whose log variance it has; relative variances add up, squared shares weigh.
    left = 1 / found.degrees - (1 - share) ** 2 / 2
    of_loudness = 1 / (left / share**2 - 1 / 30 - 1 / 6)
    assert polygamma(1, of_loudness / 2) == pytest.approx(2 * doubt / (2 + doubt), rel=1e-6)


def test_likeness_needs_two_seeds_that_all_variants_have():
    scores_VSC = draw_scores(0, [1.0] * 3, seeds=3)[:, :, 1:]
    scores_VSC[0, 0] = np.nan
    assert _likeness(scores_VSC)[1] == 8
    scores_VSC[1, 1] = np.nan
    assert _likeness(scores_VSC) == (1.0, 1)


def test_a_pair_of_one_common_seed_is_left_out():
    scores_VSM = draw_scores(0, [1.0] * 4, seeds=3)
    whole = pool_noise(scores_VSM[:3])
    scores_VSM[3, 1:] = np.nan
    np.testing.assert_array_equal(pool_noise(scores_VSM).variance_M, whole.variance_M)
    assert pool_noise(scores_VSM).degrees == whole.degrees


def test_a_class_that_is_not_there_changes_nothing_for_the_others():
    scores_VSM = draw_scores(0, [1.0] * 4)
    whole, without = pool_noise(scores_VSM), pool_noise(np.insert(scores_VSM, 1, np.nan, axis=2))
    assert without.variance_M == pytest.approx(np.insert(whole.variance_M, 1, 0.0))
    assert (without.degrees, without.classes) == (whole.degrees, pytest.approx(whole.classes))
    assert without.agreement == pytest.approx(whole.agreement)


def test_one_seed_has_no_variance_between_seeds():
    found = moderate(pool_noise(draw_scores(0, [1.0] * 4)), np.ones((1, 9)), 2.0)
    assert not (found.own_M.any() or found.variance_M.any())
    assert found.degrees == 0


def test_a_class_that_hardly_moves_is_counted_unless_its_moves_are_rounding():
    scores_VSC = draw_scores(0, [1.0] * 3, classes=3)[:, :, 1:] - 0.5
    assert _likeness(scores_VSC * [1.0, 1e-10, 1e-14])[1] == 2


def test_degrees_of_a_scatter_of_variances_have_bounds():
    assert _degrees_of(1e-6) == SURE
    assert _degrees_of(2.5e-6) == pytest.approx(2 / 2.5e-6, rel=1e-3)
    assert _degrees_of(1e5) == 0.02
    assert _agreement(np.array([[0.1], [0.2], [0.3]]), np.full(3, 2.0), 3, 0.0) == SURE, "one class has no profile"
