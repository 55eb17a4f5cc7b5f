"""Effects: against textbook intervals where one of the two sources of noise is absent, and by their symmetries."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.errors import InputError
from harness.stats.effects import EvaluatedImages, compare, contrast, make_study, over_classes
from harness.stats.influence import group_degrees, measure_influence
from harness.stats.margins import HEADLINE, Margins
from harness.stats.noise import moderate
from harness.stats.verdicts import judge


def one_class(hits, union, runs):
    """Return margins of one class whose union is the same in each group: IoU of a group = hit / union."""
    hit_KGC = np.array(hits)[..., None]
    num_groups = hit_KGC.shape[1]
    true_GC = np.full((num_groups, 1), union)
    return Margins(tuple(runs), tuple(map(str, range(num_groups))), ("road",), num_groups, hit_KGC, hit_KGC, true_GC)


def test_two_groups_by_hand():
    # IoU of the groups 3/4 and 1/4 against 1/2 and 1/2: differences +1/4 and -1/4, mean 0, sd sqrt(1/8), se 1/4, 1 df.
    study = make_study(one_class([[50, 50], [75, 25]], 100, [("a", 0), ("b", 0)]))
    effect = compare(study, "b", "a")["road"]
    assert effect.delta == 0
    assert effect.se == pytest.approx(0.25)
    assert effect.degrees == pytest.approx(1)
    assert effect.high == pytest.approx(0.25 * 12.7062, rel=1e-5)
    assert effect.scope == "these weights"


def test_one_seed_and_even_groups_is_the_t_test_of_groups():
    hits = np.random.default_rng(0).integers(300, 700, (2, 15))
    effect = compare(make_study(one_class(hits, 1000, [("a", 0), ("b", 0)])), "b", "a")[HEADLINE]
    oracle = stats.ttest_rel(hits[1] / 1000, hits[0] / 1000)
    assert (effect.low, effect.high) == pytest.approx(tuple(oracle.confidence_interval(0.95)))
    assert effect.interval(0.8) == pytest.approx(tuple(oracle.confidence_interval(0.8)))
    assert effect.p == pytest.approx(oracle.pvalue)
    assert effect.degrees == pytest.approx(14)


def test_one_group_is_the_t_test_of_paired_seeds():
    hits = np.random.default_rng(0).integers(300, 700, (8, 1))
    runs = [(variant, seed) for variant in "ab" for seed in range(4)]
    effect = compare(make_study(one_class(hits, 1000, runs)), "b", "a")[HEADLINE]
    oracle = stats.ttest_rel(hits[4:, 0] / 1000, hits[:4, 0] / 1000)
    assert (effect.low, effect.high) == pytest.approx(tuple(oracle.confidence_interval(0.95)))
    assert effect.p == pytest.approx(oracle.pvalue)
    assert effect.scope == "these images"
    assert effect.evaluated.alone == ("road",)


def test_one_seed_and_one_group_says_nothing():
    effect = compare(make_study(one_class([[5], [7]], 10, [("a", 0), ("b", 0)])), "b", "a")[HEADLINE]
    assert effect.delta == pytest.approx(0.2)
    assert effect.scope == "these weights on these images"
    assert all(math.isnan(value) for value in (effect.se, effect.low, effect.high, effect.p))


def test_seeds_and_groups_are_added_and_what_they_share_is_not_counted_twice():
    # Paired differences d_sg of 3 seeds on 4 groups; variance of the mean by the mean squares of the two-way table.
    difference_SG = np.array([[10, 60, 20, 40], [90, 80, 130, 100], [30, 70, 60, 90]])
    hits = np.concatenate([np.full((3, 4), 400), 400 + difference_SG])
    runs = [(variant, seed) for variant in "ab" for seed in range(3)]
    effect = compare(make_study(one_class(hits, 1000, runs)), "b", "a")["road"]
    table = difference_SG / 1000
    rows, columns = table.mean(axis=1), table.mean(axis=0)
    error = ((table - rows[:, None] - columns + table.mean()) ** 2).sum() / 6
    by_seed, by_group = 4 * rows.var(ddof=1), 3 * columns.var(ddof=1)
    assert by_seed > error
    assert by_group > error
    assert effect.se**2 == pytest.approx((by_seed + by_group - error) / 12)
    parts = by_seed**2 / 2 + by_group**2 / 3 + error**2 / 6
    plain = (by_seed + by_group - error) ** 2 / parts
    # Two variants lend each other nothing: the training's variance at its upper limit, 2 / chi2 quantile = 3.476.
    images, training = by_group - error, by_seed * 2 / stats.chi2.ppf(0.25, 2)
    careful = (training + images) ** 2 / (training**2 / 2 + images**2 / 3)
    assert effect.degrees == pytest.approx(careful)
    assert careful < plain


def test_a_class_in_one_group_is_given_the_scatter_of_the_others():
    # Road: differences of four even groups, variance of their mean s^2 / 4. Bike: one group, so s^2. Then both's mean.
    hits = np.array([[400, 400, 400, 400], [410, 460, 420, 440]])
    hit_KGC = np.stack([hits, np.array([[0, 0, 300, 0], [0, 0, 350, 0]])], axis=2)
    true_GC = np.array([[1000, 0], [1000, 0], [1000, 1000], [1000, 0]])
    margins = Margins((("a", 0), ("b", 0)), ("w", "x", "y", "z"), ("road", "bike"), 4, hit_KGC, hit_KGC, true_GC)
    effects = compare(make_study(margins), "b", "a")
    variance = np.var([0.01, 0.06, 0.02, 0.04], ddof=1)
    assert effects[HEADLINE].se ** 2 == pytest.approx((variance / 4 + variance) / 4)
    assert effects[HEADLINE].evaluated.alone == ("bike",)
    assert effects["bike"].scope == "these weights on these images"


def test_what_seeds_do_to_a_class_in_one_group_is_guessed_alike():
    # As above with three seeds: the scatter of road's groups within seeds, and bike's as large as one group's of road.
    difference_SG = np.array([[10, 60, 20, 40], [90, 80, 130, 100], [30, 70, 60, 90]])
    road = np.concatenate([np.full((3, 4), 400), 400 + difference_SG])
    bike = np.zeros((6, 4), int)
    bike[:, 2] = [300, 310, 290, 350, 340, 330]
    true_GC = np.array([[1000, 0], [1000, 0], [1000, 1000], [1000, 0]])
    hit_KGC = np.stack([road, bike], axis=2)
    runs = tuple((variant, seed) for variant in "ab" for seed in range(3))
    margins = Margins(runs, ("w", "x", "y", "z"), ("road", "bike"), 4, hit_KGC, hit_KGC, true_GC)
    spread = compare(make_study(margins), "b", "a")[HEADLINE].spread
    table = difference_SG / 1000
    left = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    error = (left**2).sum() / 6  # mean square of seeds by groups; of road's mean over 3 seeds and 4 groups: / 12
    assert spread.shared_variance == pytest.approx((error / 12 + error / 3) / 4)
    column = table.mean(axis=0).var(ddof=1)
    assert spread.group_variance == pytest.approx((column / 4 + column) / 4)


def test_the_mean_over_some_classes_by_hand():
    # Two groups. Against 1/2 everywhere, x differs by +1/4 and -1/4, y by +1/4 and +1/4: their mean by 1/4 and 0, so
    # its mean is 1/8, its sd sqrt(1/32), its se 1/8 with 1 degree of freedom. z, which moves most, is not asked.
    hit_KGC = np.array([[[50, 50, 50]] * 2, [[75, 75, 90], [25, 75, 10]]])
    true_GC = np.full((2, 3), 100)
    margins = Margins((("a", 0), ("b", 0)), ("g", "h"), ("x", "y", "z"), 2, hit_KGC, hit_KGC, true_GC)
    effect = compare(over_classes(make_study(margins), ["x", "y"]), "b", "a", only=[HEADLINE])[HEADLINE]
    assert effect.delta == pytest.approx(1 / 8)
    assert effect.by_seed == pytest.approx({0: 1 / 8})
    assert effect.se == pytest.approx(1 / 8)
    assert effect.degrees == pytest.approx(1)
    assert effect.high == pytest.approx(1 / 8 + 12.7062 / 8, rel=1e-5)


def test_the_mean_over_some_classes_is_the_t_test_of_its_own_seeds():
    # One group and two variants: nothing is lent, and the mean of x and y is one value for each seed.
    hit_KGC = np.random.default_rng(3).integers(300, 700, (8, 1, 3))
    runs = tuple((variant, seed) for variant in "ab" for seed in range(4))
    margins = Margins(runs, ("g",), ("x", "y", "z"), 1, hit_KGC, hit_KGC, np.full((1, 3), 1000))
    effect = compare(over_classes(make_study(margins), ["x", "y"]), "b", "a")[HEADLINE]
    values_K = hit_KGC[:, 0, :2].mean(axis=1) / 1000
    oracle = stats.ttest_rel(values_K[4:], values_K[:4])
    assert (effect.low, effect.high) == pytest.approx(tuple(oracle.confidence_interval(0.95)))
    assert effect.p == pytest.approx(oracle.pvalue)


def test_the_mean_over_all_classes_is_the_headline(make_margins):
    study = make_study(make_margins(5))
    again = compare(over_classes(study, study.margins.classes), "v1", "v0")
    for measure, effect in compare(study, "v1", "v0").items():
        assert (again[measure].delta, again[measure].se, again[measure].p) == pytest.approx(
            (effect.delta, effect.se, effect.p)
        )


def test_other_variants_lend_the_mean_over_some_classes_their_noise(make_margins):
    study = make_study(make_margins(7, variants=4))
    values_VS = study.scores_VSM[:, :, [2, 3]].mean(axis=2)
    pairs = [(i, j) for i in range(4) for j in range(i)]
    pooled = np.mean([(values_VS[i] - values_VS[j]).var(ddof=1) / 2 for i, j in pairs])
    narrowed = over_classes(study, ["c1", "c2"])
    assert narrowed.noise.variance_M[0] == pytest.approx(pooled)
    assert narrowed.noise.variance_M[1:] == pytest.approx(study.noise.variance_M[1:])
    assert (narrowed.noise.classes, narrowed.noise.agreement) == (study.noise.classes, study.noise.agreement)


def working_degrees(share_G):
    """Return Bell and McCaffrey's degrees of freedom from the matrix that influence.py writes out."""
    residual_GG = np.eye(len(share_G)) - share_G
    pull_G = share_G / np.sqrt(1 - share_G)
    covariance = pull_G[:, None] * (residual_GG @ residual_GG.T) * pull_G
    return np.trace(covariance) ** 2 / np.trace(covariance @ covariance)


@pytest.mark.parametrize("pixels", [[5, 5, 5, 5], [100, 3, 40, 1, 0], [9, 1], [1, 2, 3, 4, 5, 60]])
def test_degrees_of_uneven_groups(pixels):
    true_GC = np.array(pixels)[:, None]
    hit_KGC = true_GC[None] // 2
    margins = Margins((("a", 0),), tuple(map(str, range(len(pixels)))), ("c",), 9, hit_KGC, hit_KGC, true_GC)
    degrees = group_degrees(np.array([0.3]), measure_influence(margins))
    assert degrees == pytest.approx(working_degrees(np.array(pixels) / sum(pixels)))


def test_degrees_of_classes_that_share_no_group_add_up():
    true_GC = np.zeros((8, 2), np.int64)
    true_GC[:5, 0] = true_GC[5:, 1] = 10
    hit_KGC = true_GC[None] // 2
    margins = Margins((("a", 0),), tuple(map(str, range(8))), ("c", "d"), 8, hit_KGC, hit_KGC, true_GC)
    influence = measure_influence(margins)
    assert group_degrees(np.array([1.0, 0.0]), influence) == pytest.approx(4)
    assert group_degrees(np.array([0.0, 1.0]), influence) == pytest.approx(2)
    assert group_degrees(np.array([4.0, 2.0]), influence) == pytest.approx(6)


def test_what_is_held_by_which_groups():
    # road in three groups, in one of them a single pixel; bike in one; bird nowhere, and predicted nowhere.
    true_GC = np.array([[1, 0, 0], [9, 8, 0], [9, 0, 0], [0, 0, 0]])
    hit_KGC = np.array([true_GC, true_GC // 2])
    margins = Margins((("a", 0), ("b", 0)), tuple("wxyz"), ("road", "bike", "bird"), 7, hit_KGC, hit_KGC, true_GC)
    effects = compare(make_study(margins), "b", "a")
    assert effects["road"].evaluated == EvaluatedImages(groups=3, images=7, alone=())
    assert effects["bike"].evaluated == EvaluatedImages(groups=1, images=7, alone=("bike",))
    assert effects[HEADLINE].evaluated == EvaluatedImages(groups=3, images=7, alone=("bike",))
    assert not measure_influence(margins).moves_KGC[:, :, 1:].any()
    assert group_degrees(np.zeros(3), measure_influence(margins)) == 0


def test_nothing_is_what_no_seed_shows():
    effect = compare(make_study(one_class([[5, 6], [5, 6]], 10, [("a", 0), ("b", 0)])), "b", "a")[HEADLINE]
    assert effect.is_nothing
    assert not replace(effect, by_seed={0: 0.0, 1: 0.1}).is_nothing
    assert not replace(effect, se=0.1).is_nothing


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_swapping_two_variants_flips_the_sign(make_margins, seed):
    study = make_study(make_margins(seed))
    for here, there in zip(compare(study, "v1", "v0").values(), compare(study, "v0", "v1").values(), strict=True):
        assert (here.delta, here.low, here.high) == (-there.delta, -there.high, -there.low)
        assert (here.p, here.se, here.degrees) == (there.p, there.se, there.degrees)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), order=st.permutations(range(12)), seeds=st.permutations(range(3)))
def test_the_order_of_groups_and_the_names_of_seeds_mean_nothing(make_margins, seed, order, seeds):
    margins = make_margins(seed)
    shuffled = replace(
        margins,
        runs=tuple((variant, seeds[number]) for variant, number in margins.runs),
        groups=tuple(margins.groups[index] for index in order),
        hit_KGC=margins.hit_KGC[:, order],
        predicted_KGC=margins.predicted_KGC[:, order],
        true_GC=margins.true_GC[list(order)],
    )
    before, after = (compare(make_study(each), "v1", "v0") for each in (margins, shuffled))
    for name, effect in before.items():
        assert (after[name].delta, after[name].low, after[name].high) == pytest.approx(
            (effect.delta, effect.low, effect.high), rel=1e-9
        )


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_two_names_for_the_same_runs_differ_by_exactly_nothing(make_margins, seed):
    margins = make_margins(seed)
    copied = replace(
        margins,
        runs=(*margins.runs, *(("copy", number) for variant, number in margins.runs if variant == "v0")),
        hit_KGC=np.concatenate([margins.hit_KGC, margins.hit_KGC[:3]]),
        predicted_KGC=np.concatenate([margins.predicted_KGC, margins.predicted_KGC[:3]]),
    )
    effects = compare(make_study(copied), "copy", "v0")
    assert {effect.delta for effect in effects.values()} == {0}
    assert not {verdict.outcome for verdict in judge(effects, 0.0).values()} & {"improved", "regressed"}


def test_the_interval_and_the_p_value_agree(make_margins):
    for seed in range(20):
        for effect in compare(make_study(make_margins(seed, gain=0.02)), "v1", "v0").values():
            assert effect.p == pytest.approx(2 * stats.t.sf(abs(effect.delta) / effect.se, effect.degrees))
            assert (effect.p < 0.05) == (not effect.low <= 0 <= effect.high)


def test_missing_seeds_leave_the_common_ones(make_margins):
    margins = make_margins(0, seeds=4)
    kept = [index for index, run in enumerate(margins.runs) if run not in {("v1", 0), ("v0", 3)}]
    fewer = replace(
        margins,
        runs=tuple(margins.runs[index] for index in kept),
        hit_KGC=margins.hit_KGC[kept],
        predicted_KGC=margins.predicted_KGC[kept],
    )
    study = make_study(fewer)
    assert tuple(compare(study, "v1", "v0")[HEADLINE].by_seed) == (1, 2)
    assert tuple(compare(study, "v2", "v0")[HEADLINE].by_seed) == (0, 1, 2)


def test_a_class_without_truth_has_no_effect_and_no_say(make_margins):
    margins = make_margins(0)
    gone = np.array([1, 1, 1, 0])
    without = replace(margins, hit_KGC=margins.hit_KGC * gone, true_GC=margins.true_GC * gone)
    effects = compare(make_study(without), "v1", "v0")
    assert list(effects) == [HEADLINE, "c0", "c1", "c2"]
    assert effects[HEADLINE].delta == pytest.approx(np.mean([effects[f"c{c}"].delta for c in range(3)]))


def test_contrasts_are_linear(make_margins):
    study = make_study(make_margins(0))
    halves = contrast(study, {"v2": 1.0, "v1": -0.5, "v0": -0.5})[HEADLINE].delta
    assert halves == pytest.approx(
        (compare(study, "v2", "v1")[HEADLINE].delta + compare(study, "v2", "v0")[HEADLINE].delta) / 2
    )


def test_what_cannot_be_compared_is_refused(make_margins):
    study = make_study(make_margins(0))
    with pytest.raises(InputError, match=r"no variant 'v7' with counts; .*known: v0, v1, v2"):
        compare(study, "v7", "v0")
    with pytest.raises(InputError, match="cannot be compared with itself"):
        compare(study, "v1", "v1")
    apart = make_study(one_class([[5, 6], [7, 8]], 10, [("a", 0), ("b", 1)]))
    with pytest.raises(InputError, match="no finished seed in common"):
        compare(apart, "b", "a")


def test_a_contrast_has_the_noise_of_its_weights(make_margins):
    study = make_study(make_margins(3, variants=4, seeds=4))
    weights = {"v0": 1.0, "v1": -0.5, "v2": -0.5}
    scores_SM = np.einsum("v,vsm->sm", list(weights.values()), study.scores_VSM[:3])
    spread = contrast(study, weights)[HEADLINE].spread
    expected = moderate(study.noise, scores_SM, 1.0 + 0.25 + 0.25)
    assert spread.seed_variance == pytest.approx(expected.variance_M[0])
    assert spread.seed_degrees == pytest.approx(expected.degrees)
    assert spread.seed_variance != pytest.approx(moderate(study.noise, scores_SM, 2.0).variance_M[0], rel=1e-3)


def test_classes_are_found_by_their_own_place_where_the_first_never_occurs():
    runs = tuple((name, seed) for name in "ab" for seed in (0, 1))
    true_GC = np.array([[0, 10], [0, 20], [0, 30]])
    hit_KGC = np.array([true_GC - [[0, shift]] for shift in (1, 2, 4, 5)])
    study = make_study(Margins(runs, ("x", "y", "z"), ("none", "road"), 3, hit_KGC, hit_KGC, true_GC))
    assert study.occurring_C.tolist() == [1]
    assert compare(study, "b", "a")["road"].evaluated.groups == 3
