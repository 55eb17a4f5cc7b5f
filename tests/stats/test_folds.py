"""Means over folds: the corrected variance by hand, seeds averaged within their folds, and what is judged."""

import math
from dataclasses import replace

import numpy as np
import pytest

from harness.counts import make_counts
from harness.errors import InputError
from harness.stats.effects import CrossedStudy, compare, contrast, over_classes
from harness.stats.folds import FoldStudy, make_fold_spread, study_of
from harness.stats.margins import HEADLINE
from harness.stats.power import Levels, forecast
from harness.stats.verdicts import judge


def spread_of(values, seeds, folds):
    return make_fold_spread(np.array(values), np.array(seeds) % folds, folds)


def count(fold, hits, *, true=1000, classes=("road",), images=2):
    """Return counts of a fold's images; each has so many hits of each class, and true pixels in the classes given."""
    true_C = np.broadcast_to(true, len(classes))
    confusion_CC = np.zeros((len(classes) + 1, len(classes) + 1), np.int64)
    for index, (hit, all_of) in enumerate(zip(hits, true_C, strict=True)):
        confusion_CC[index, index], confusion_CC[index, -1] = hit, all_of - hit
    names = [f"fold{fold}-{image}" for image in range(images)]
    return make_counts([confusion_CC] * images, names, names, (*classes, "void"))


def study(hits_a, hits_b, *, folds, seeds=None):
    """Return a study of two variants; seed s validates on fold s modulo folds, and hits are of 1000 pixels an image."""
    seeds = range(len(hits_a)) if seeds is None else seeds
    hits = {name: dict(zip(seeds, found, strict=True)) for name, found in (("a", hits_a), ("b", hits_b))}
    return study_of(
        {(name, seed): count(seed % folds, [hit]) for name, found in hits.items() for seed, hit in found.items()},
        "val",
        folds,
    )


def test_the_variance_of_five_folds_is_that_of_nadeau_and_bengio():
    # Mean 0.03, s^2 = (4 + 0 + 1 + 4 + 1) 1e-4 / 4; (1/5 + 1/4) s^2 of the mean, t = 2 sqrt 2 with 4 degrees.
    effect = compare(study([500] * 5, [510, 530, 520, 550, 540], folds=5), "b", "a")["road"]
    assert effect.delta == pytest.approx(0.03)
    assert effect.se == pytest.approx(math.sqrt(0.45 * 0.00025))
    assert effect.degrees == pytest.approx(4)
    assert effect.p == pytest.approx(1 - math.sqrt(2 / 3) * 7 / 6)  # Student's distribution of 4 degrees, closed form
    assert (effect.low, effect.high) == pytest.approx(
        (0.03 - 2.7764451 * effect.se, 0.03 + 2.7764451 * effect.se), rel=1e-6
    )
    assert (effect.scope, effect.evaluated.folds, effect.evaluated.all_folds) == ("new seeds and data", 5, 5)
    assert (effect.evaluated.groups, effect.evaluated.images, effect.evaluated.alone) == (10, 10, ())


def test_three_of_five_folds_lack_the_others():
    spread = spread_of([0.01, 0.02, 0.06], (0, 1, 2), 5)
    assert spread.se**2 == pytest.approx((1 / 3 + 1 / 4) * 0.0007)
    assert (spread.degrees, spread.folds, spread.most_seeds) == (pytest.approx(2), 3, 5)
    assert spread.own_seed_variance == spread.seed_variance == pytest.approx(3 * spread.se**2)


def test_seeds_of_one_fold_are_averaged_and_add_no_degrees():
    # Means of the folds 0.02, 0.03, 0.07: s^2 = 0.0007.
    spread = spread_of([0.01, 0.02, 0.06, 0.03, 0.04, 0.08], range(6), 3)
    assert spread.se**2 == pytest.approx((1 / 3 + 1 / 2) * 0.0007)
    assert spread.degrees == pytest.approx(2)
    assert (spread.seeds, spread.training_variance, spread.sampling_variance) == (6, pytest.approx(spread.se**2), 0)


def test_a_fold_with_more_seeds_weighs_more_as_it_does_in_the_mean():
    found = study([500] * 4, [510, 530, 570, 530], folds=3)
    effect = compare(found, "b", "a")["road"]
    assert effect.delta == pytest.approx((0.01 + 0.03 + 0.07 + 0.03) / 4)
    assert effect.se**2 == pytest.approx((1 / 4 + 1 / 16 + 1 / 16 + 1 / 2) * 0.0007)


def test_one_fold_has_no_variance_and_rounding_is_none():
    alone = spread_of([0.01, 0.03], (0, 3), 3)
    assert (alone.folds, alone.fold_variance, alone.own_seed_variance) == (1, 0, 0)
    assert spread_of([0.1, 0.1 + 1e-13, 0.1], range(3), 3).se == 0
    assert spread_of([0.1, 0.1 + 1e-11, 0.1], range(3), 3).se > 0


@pytest.mark.parametrize("seeds", [(4, 2, 0, 1, 3), (10, 6, 12, 3, 19)])
def test_only_the_fold_of_a_seed_matters(seeds):
    values = dict(zip((0, 1, 2, 3, 4), (0.01, 0.03, 0.02, 0.05, 0.04), strict=True))
    assert spread_of([values[seed % 5] for seed in seeds], seeds, 5).se == pytest.approx(math.sqrt(0.45 * 0.00025))


def test_no_difference_in_any_fold_is_none():
    effect = compare(study([500] * 3, [500] * 3, folds=3), "b", "a")[HEADLINE]
    assert effect.is_nothing
    assert (effect.low, effect.high, effect.p) == (0, 0, 1)


def test_a_class_counts_the_folds_that_hold_it():
    """The bike is in three of four folds; the score of the fourth is that of the road alone."""
    counts = {}
    for seed, (gain, bike) in enumerate([(10, 300), (20, 310), (30, 0), (40, 350)]):
        for name, more in (("a", 0), ("b", gain)):
            hits = [500 + more, bike - 300 + more if bike else 0]
            counts[name, seed] = count(seed, hits, true=[1000, 300 * bool(bike)], classes=("road", "bike"))
    effects = compare(study_of(counts, "val", 4), "b", "a")
    assert set(effects) == {HEADLINE, "road", "bike"}
    assert study_of(counts, "val", 4).averaged_C.tolist() == [0, 1], "of road, bike and void"
    assert tuple(effects["bike"].by_seed) == (0, 1, 3)
    assert effects["bike"].spread.folds == 3
    assert (effects["bike"].evaluated.folds, effects["bike"].evaluated.groups, effects["bike"].evaluated.images) == (
        3,
        6,
        6,
    )
    assert effects["bike"].se ** 2 == pytest.approx((1 / 3 + 1 / 3) * np.var([10 / 300, 20 / 300, 40 / 300], ddof=1))
    assert effects[HEADLINE].by_seed[2] == effects["road"].by_seed[2] == pytest.approx(0.03)
    assert effects[HEADLINE].by_seed[0] == pytest.approx((0.01 + 10 / 300) / 2)
    both = compare(over_classes(study_of(counts, "val", 4), ["road", "bike"]), "b", "a")[HEADLINE]
    assert both.by_seed == effects[HEADLINE].by_seed
    alone = compare(over_classes(study_of(counts, "val", 4), ["bike"]), "b", "a")[HEADLINE]
    assert alone.by_seed == effects["bike"].by_seed
    assert alone.se == effects["bike"].se


@pytest.mark.parametrize(("folds", "seeds"), [(2, 6), (5, 2)])
def test_two_folds_give_neither_interval_nor_verdict(folds, seeds):
    effect = compare(study([500] * seeds, [600 + k for k in range(seeds)], folds=folds), "b", "a")[HEADLINE]
    assert (effect.scope, effect.evaluated.folds) == ("these folds", 2)
    assert math.isnan(effect.se) and math.isnan(effect.low) and math.isnan(effect.p)
    verdict = judge({"b": effect}, 0.0)["b"]
    assert (verdict.outcome, verdict.reason, verdict.family) == ("undecided", "few folds", 0)


def test_three_folds_give_verdicts_and_are_one_family():
    found = study([500] * 3, [598, 600, 602], folds=3)
    effect = compare(found, "b", "a")[HEADLINE]
    assert judge({"b": effect}, 0.0)["b"].outcome == "improved"
    assert judge({"b": replace(effect, p=0.03), "c": replace(effect, p=0.02)}, 0.0)["b"].outcome == "improved"
    assert judge({"b": replace(effect, p=0.03), "c": replace(effect, p=0.026)}, 0.0)["b"].outcome == "undecided"
    assert judge({"b": effect}, 0.2)["b"].outcome == "equivalent"


def test_other_contrasts_have_the_same_variance():
    found = study([500, 520, 480], [510, 530, 570], folds=3)
    mean = contrast(found, {"a": 0.5, "b": 0.5})["road"]
    assert mean.delta == pytest.approx((0.505 + 0.525 + 0.525) / 3)
    assert mean.se**2 == pytest.approx((1 / 3 + 1 / 2) * np.var([0.505, 0.525, 0.525], ddof=1))


def test_the_seeds_that_both_have_are_compared():
    counts = {("a", seed): count(seed, [500]) for seed in range(5)}
    counts |= {("b", seed): count(seed, [510 + 10 * seed]) for seed in (1, 2, 4)}
    effect = compare(study_of(counts, "val", 5), "b", "a")["road"]
    assert tuple(effect.by_seed) == (1, 2, 4)
    assert (effect.evaluated.folds, effect.evaluated.images) == (3, 6)


def test_a_test_split_is_crossed_with_its_seeds_and_folds_are_not():
    shared = {(name, seed): count(0, [500 + seed]) for name in "ab" for seed in range(3)}
    assert isinstance(study_of(shared, "test", 3), CrossedStudy)
    apart = {(name, seed): count(seed, [500]) for name in "ab" for seed in range(3)}
    assert isinstance(study_of(apart, "val", 3), FoldStudy)
    with pytest.raises(InputError, match="not evaluated on the same pixels"):
        study_of(apart, "val", None)
    with pytest.raises(InputError, match="b/seed1 and a/seed1 were not evaluated on the same pixels"):
        study_of({**apart, ("b", 1): count(7, [500])}, "val", 3)


@pytest.mark.parametrize("seeds", [(0, 5, 10), (7,)])
def test_seeds_of_one_fold_say_nothing_of_other_data(seeds):
    one = study([500] * len(seeds), [600 + seed for seed in seeds], folds=5, seeds=seeds)
    more = study([500, 510, 490, *[500] * len(seeds)], [600] * (3 + len(seeds)), folds=5, seeds=(1, 2, 3, *seeds))
    for found in (one, more.keep([run for run in more.runs if run[1] in seeds])):
        effect = compare(found, "b", "a")[HEADLINE]
        assert (effect.scope, effect.evaluated.folds, effect.evaluated.all_folds) == ("these folds", 1, 5)
        assert math.isnan(effect.low) and math.isnan(effect.p)
        verdict = judge({"b": effect}, 0.0)["b"]
        assert (verdict.outcome, verdict.reason, verdict.family) == ("undecided", "few folds", 0)


def test_more_seeds_are_planned_for_the_folds_that_have_none():
    spread = spread_of([0.01, 0.02, 0.06], (0, 1, 2), 5)
    four = spread.planned(4, 1.0)
    assert (four.seeds, four.folds, four.degrees) == (4, 4, pytest.approx(3))
    assert four.se**2 == pytest.approx((1 / 4 + 1 / 4) * 0.0007)
    assert spread.planned(5, 100.0) == spread.planned(5, 1.0)
    # Seeds 0, 5, 1, 2 of five folds: fold 0 has two of four seeds, and with two new ones two of six.
    uneven = spread_of([0.01, 0.01, 0.02, 0.06], (0, 5, 1, 2), 5).planned(6, 1.0)
    assert (uneven.folds, uneven.most_seeds) == (5, 6)
    assert uneven.se**2 == pytest.approx(((4 + 1 + 1 + 1 + 1) / 36 + 1 / 4) * 0.0007)
    assert spread.training_variance - four.training_variance == pytest.approx((1 / 3 - 1 / 4) * 0.0007)


def test_no_seed_beyond_the_folds_is_forecast():
    def levels(seeds):
        return Levels(0.05, 0.9)

    effect = compare(study([500] * 3, [501, 520, 540], folds=4), "b", "a")[HEADLINE]
    found = forecast(effect, range(4, 11), levels, 0.0)
    assert found.seeds == 4
    assert found.chance == found.chance_most < 0.8
    assert found.groups is None
    assert forecast(effect, (5, 10), levels, 0.0) is None
    repeated = compare(study([500] * 4, [501, 520, 540, 502], folds=3), "b", "a")[HEADLINE]
    assert (repeated.spread.seeds, repeated.spread.most_seeds) == (4, 4)
    assert forecast(repeated, range(5, 11), levels, 0.0) is None
