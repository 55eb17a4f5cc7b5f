"""Probabilities of the true difference: against another way to integrate, by hand in a limit, and what must hold."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from benchmarks.chance_calibration import draw_studies, make_zero_rows, state
from benchmarks.simulated_counts import World
from harness.stats import chances
from harness.stats.chances import PRIOR_DEGREES, SAME, Chances, chances_by_prior, find_chances
from harness.stats.effects import Effect, EvaluatedImages
from harness.stats.margins import HEADLINE
from harness.stats.spread import Spread


def make_effect(delta, se, degrees, *, seeds=5, seed_sd=0.0, seed_degrees=12.0):
    """Return an effect of this standard error and degrees of freedom; one seed has the standard deviation `seed_sd`."""
    return Effect(
        HEADLINE,
        {"b": 1.0, "a": -1.0},
        delta,
        se,
        degrees,
        math.nan,
        math.nan,
        math.nan,
        "new seeds and images",
        dict.fromkeys(range(seeds), delta),
        EvaluatedImages(50, 50, (), True),
        Spread(seeds, seed_sd**2, seed_degrees, seed_sd**2, 0.0, 49.0, 0.0),
    )


def integrated(effect, margin, expected):
    """Return the same probabilities by adaptive integration of Student's densities over the true difference."""

    def likely(truth):
        return stats.t.pdf((effect.delta - truth) / effect.se, effect.degrees) / effect.se

    def joint(truth):
        return (1 - SAME) * likely(truth) * stats.t.pdf(truth / expected, PRIOR_DEGREES) / expected

    def beats(truth):
        spread = effect.spread
        return stats.t.cdf(truth / math.sqrt(spread.seed_variance), spread.seed_degrees)

    def over(function, low, high):
        marks = sorted({low, high, *(x for x in (-0.1, 0.0, effect.delta, 0.1) if low < x < high)})
        return sum(integrate.quad(function, *ends, epsabs=1e-12, limit=400)[0] for ends in pairwise(marks))

    better, worse = over(joint, margin, math.inf), over(joint, -math.inf, -margin)
    none = SAME * likely(0.0)
    within = none + over(joint, -margin, margin)
    new = none / 2 + over(lambda truth: joint(truth) * beats(truth), -math.inf, math.inf)
    whole = better + within + worse
    return [better / whole, within / whole, worse / whole, new / whole]


@pytest.mark.parametrize(
    ("effect", "expected"),
    [
        (make_effect(0.02, 0.01, 4.0, seed_sd=0.02), 0.01),
        (make_effect(-0.006, 0.02, 7.5, seed_sd=0.05, seed_degrees=9.0), 0.01),
        (make_effect(0.004, 0.003, 30.0, seed_sd=0.004), 0.02),
        (make_effect(-0.015, 0.008, 5.0, seed_sd=0.01, seed_degrees=4.0), 0.04),
    ],
)
def test_the_probabilities_are_those_of_another_integration(effect, expected):
    found = chances_by_prior(effect, 0.005, expected)
    told = [found.better, found.within, found.worse, found.new_seed]
    assert told == pytest.approx(integrated(effect, 0.005, expected), abs=2e-5)


def test_with_known_variances_and_no_lump_they_are_those_of_two_normals(monkeypatch):
    # prior N(0, .03^2), measured .05 with standard error .04: posterior mean .018, sd .024 (.03 and .04 make .05)
    # a new seed with sd .032: .018 / sqrt(.024^2 + .032^2) = .018 / .04 = .45
    monkeypatch.setattr(chances, "SAME", 1e-12)
    monkeypatch.setattr(chances, "PRIOR_DEGREES", math.inf)
    found = chances_by_prior(make_effect(0.05, 0.04, math.inf, seed_sd=0.032, seed_degrees=math.inf), 0.006, 0.03)
    assert found.better == pytest.approx(stats.norm.cdf(0.5), abs=1e-9)
    assert found.worse == pytest.approx(stats.norm.cdf(-1), abs=1e-9)
    assert found.new_seed == pytest.approx(stats.norm.cdf(0.45), abs=1e-9)


def test_equal_variants_are_as_likely_as_before_where_nothing_was_learned():
    found = chances_by_prior(make_effect(0.0, 10.0, 20.0), 1e-9, 0.01)
    assert found.within == pytest.approx(SAME, abs=1e-4)
    assert found.better == found.worse == pytest.approx((1 - SAME) / 2, abs=1e-4)


def test_the_prior_is_a_tenth_at_no_difference_and_students_of_five_degrees():
    # Nothing learned: a twentieth of Student's t with 5 degrees of freedom lies above 2.015 times its scale.
    found = chances_by_prior(make_effect(0.0, 10.0, 20.0), 0.02015, 0.01)
    assert (found.better, found.within, found.worse) == pytest.approx((0.045, 0.91, 0.045), abs=1e-4)


fractions = st.floats(0.001, 0.05)


@settings(deadline=None, max_examples=30)
@given(st.floats(-0.1, 0.1), fractions, st.floats(2, 200), fractions, fractions, st.floats(0, 0.02))
def test_what_must_hold(delta, se, degrees, seed_sd, expected, margin):
    effect = make_effect(delta, se, degrees, seed_sd=seed_sd)
    found = chances_by_prior(effect, margin, expected)
    assert all(0 <= chance <= 1 for chance in vars(found).values())
    assert found.better + found.within + found.worse == pytest.approx(1)
    turned = chances_by_prior(replace(effect, delta=-delta), margin, expected)
    assert [turned.better, turned.worse, turned.new_seed] == pytest.approx(
        [found.worse, found.better, 1 - found.new_seed]
    )
    wider = chances_by_prior(effect, margin + 0.001, expected)
    assert wider.within >= found.within and wider.better <= found.better and wider.worse <= found.worse
    louder = chances_by_prior(make_effect(delta, se, degrees, seed_sd=2 * seed_sd), margin, expected)
    assert abs(louder.new_seed - 0.5) <= abs(found.new_seed - 0.5) + 1e-9
    if margin == 0:
        assert found.within == pytest.approx(0, abs=1e-9)


@settings(deadline=None, max_examples=30)
@given(st.floats(-0.025, 0.025), st.floats(0.003, 0.02), st.floats(4, 50))
def test_a_larger_difference_is_likelier_to_be_better(delta, se, degrees):
    """Up to 2.5 times what is expected: of five seeds that say more than that, the heavy tails are believed less."""
    less, more = (chances_by_prior(make_effect(d, se, degrees, seed_sd=se), 0.005, 0.01) for d in (delta, delta + 1e-3))
    assert more.better > less.better and more.worse < less.worse and more.new_seed > less.new_seed


def test_nothing_is_said_where_nothing_right_can_be():
    effect = make_effect(0.02, 0.01, 4.0, seed_sd=0.02)
    assert isinstance(find_chances(effect, 0.005, 0.01), Chances)
    assert find_chances(make_effect(0.02, 0.01, 4.0, seeds=4), 0.005, 0.01) is None
    assert find_chances(replace(effect, scope="these images"), 0.005, 0.01) is None
    assert find_chances(replace(effect, se=0.0), 0.005, 0.01) is None
    few, enough = (
        find_chances(make_effect(0.02, 0.01, 4.0, seed_degrees=degrees, seed_sd=0.02), 0.005, 0.01)
        for degrees in (4.49, 4.5)
    )
    assert few.new_seed is None and enough.new_seed is not None
    assert few.better == pytest.approx(enough.better)


FOUR = World(5, 60, 0.1)


def test_what_is_said_with_a_probability_is_as_often_true():
    """A short form of benchmarks/chance_calibration.py: differences from N(0, 2 points), the prior as wide."""
    said, seeds = [], []
    for drawn in draw_studies(FOUR, 0.02, 60, 0):
        pair = state(*drawn, 0.02)
        said += pair[0]
        seeds += pair[1]
    for statements in (said, seeds):
        told, true = map(sum, zip(*statements, strict=True))
        assert len(statements) > 100
        assert abs(told - true) < 3.5 * math.sqrt(len(statements) / 4)


def test_equal_variants_are_seldom_said_to_differ():
    row = next(make_zero_rows(4, "medium", FOUR, 60))
    with_margin, without, new_seed, comparisons = row.strip("| ").split(" | ")[4:]
    assert int(comparisons) == 180
    assert max(map(float, (with_margin, without, new_seed))) <= stats.binom.ppf(0.9999, 60, 0.05) / 60
