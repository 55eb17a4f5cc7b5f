"""A short form of benchmarks/calibration.py: intervals hold the truth, equal variants are not told apart."""

from dataclasses import replace

import numpy as np
from scipy import stats

from benchmarks.calibration import GAINS, simulate
from benchmarks.simulated_counts import World, draw_margins, true_iou
from harness.stats.margins import score_runs

STUDIES = 200
"""Of each world."""
RARE_CHANCE = 1e-4
"""That a bound is broken by a method that just keeps its promise."""

WORLDS = (
    World(3, 100, 0.3),
    World(3, 20, 0.1),
    World(5, 60, 0.1, frames=8, rare=True),
    World(3, 60, 0.3, loudness=(1.0, 1.0, 1.0, 2.0)),
)


def test_intervals_hold_the_truth_in_93_to_97_percent():
    tallies = [simulate(replace(world, gains=GAINS), STUDIES, seed) for seed, world in enumerate(WORLDS)]
    covered_NV = np.concatenate([tally.covered for tally in tallies])
    for covered_N in covered_NV.T:  # studies are independent, the comparisons within one are not
        assert covered_N.sum() >= stats.binom.ppf(RARE_CHANCE, len(covered_N), 0.93)
        assert covered_N.sum() <= stats.binom.ppf(1 - RARE_CHANCE, len(covered_N), 0.97)


def test_equal_variants_are_told_apart_in_at_most_5_percent():
    tallies = [simulate(world, STUDIES, seed) for seed, world in enumerate(WORLDS)]
    for false in ([t.false_headline for t in tallies], [t.false_class for t in tallies]):
        assert np.sum(false) <= stats.binom.ppf(1 - RARE_CHANCE, np.size(false), 0.05)


def test_borrowing_between_variants_narrows_three_seeds():
    assert np.median(simulate(World(3, 200, 0.2), 60, seed=3).ratio) < 0.85


def test_a_bootstrap_over_three_seeds_is_too_narrow():
    tally = simulate(World(3, 100, 0.3, gains=GAINS), 80, seed=4, bootstrapped=80)
    assert np.mean(tally.bootstrap) < 0.86 < np.mean(tally.covered)


def test_the_simulations_truth_is_the_score_on_many_images():
    world = World(1, 20_000, 0.0, gains=GAINS, rare=True)
    measured_VC = score_runs(draw_margins(world, np.random.default_rng(0)))[:, 1:]
    np.testing.assert_allclose(measured_VC, true_iou(world, np.random.default_rng(0)), atol=0.006)


def test_what_a_child_does_not_train_it_has_from_its_parent():
    idle = World(3, 50, 0.3, loudness=(1.0, 0.0, 0.0, 0.0), inherited=1.0)
    hit_VSGC = draw_margins(idle, np.random.default_rng(0)).hit_KGC.reshape(4, 3, 50, 6)
    assert (hit_VSGC == hit_VSGC[0]).all() and (hit_VSGC[0, 0] != hit_VSGC[0, 1]).any()


def test_the_truth_of_a_chain_is_the_score_on_many_images():
    world = World(300, 1000, 0.5, loudness=(1.0, 1.0), gains=(0.0, 0.3), inherited=1.0)
    scores_VSM = score_runs(draw_margins(world, np.random.default_rng(0))).reshape(2, 300, -1)
    true_VC = true_iou(world, np.random.default_rng(0))
    # without what the child inherits its truth would be .02 to .03 higher
    np.testing.assert_allclose(np.diff(scores_VSM.mean(axis=1)[:, 1:], axis=0), np.diff(true_VC, axis=0), atol=0.01)
