"""Degrees of freedom of few seeds and few groups, by hand."""

import math
from dataclasses import replace

import pytest
from scipy import stats

from harness.stats.spread import Spread, upper_limit

MANY = Spread(
    seeds=4,
    seed_variance=16.0,
    seed_degrees=12.0,
    own_seed_variance=20.0,
    group_variance=9.0,
    group_degrees=30.0,
    shared_variance=1.0,
)
"""Training 16 / 4 = 4, images 9 - 1 = 8."""


def satterthwaite(*parts):
    return sum(variance for variance, _ in parts) ** 2 / sum(v**2 / degrees for v, degrees in parts)


def test_the_upper_limit_of_a_variance():
    assert upper_limit(2.0, 0.25) == pytest.approx(2 / (-2 * math.log(0.75)))
    assert upper_limit(7.0, 0.1) == pytest.approx(7 / stats.chi2.ppf(0.1, 7))
    assert upper_limit(1.0, 0.9) == 1.0  # the quantile lies above: a limit is no lower than what was measured


def test_many_seeds_and_groups_have_satterthwaites_degrees():
    # between 4 with 12, within 9 with 30, less what is shared 1 with 30 * 3
    plain = 12**2 / (4**2 / 12 + 9**2 / 30 + 1 / 90)
    assert MANY.se**2 == pytest.approx(12)
    assert plain == pytest.approx(MANY.degrees)
    assert satterthwaite((4.0, 12), (9 * upper_limit(30, 0.1) - 1, 30)) > plain


def test_own_seeds_alone_are_weighed_at_their_upper_limit():
    own = replace(MANY, seed_degrees=3.0)
    limit = 4 * 3 / stats.chi2.ppf(0.25, 3)
    assert own.degrees == pytest.approx(satterthwaite((limit, 3), (8.0, 30)))
    assert own.se == MANY.se
    lent = replace(MANY, seed_degrees=3.1)
    assert lent.degrees == pytest.approx(12**2 / (4**2 / 3.1 + 9**2 / 30 + 1 / 90))


def test_what_is_lent_must_be_worth_two_degrees_and_a_half():
    little = replace(MANY, seeds=2, seed_variance=8.0, seed_degrees=2.4)
    limit = 4 * 2.4 / stats.chi2.ppf(0.25, 2.4)
    assert little.degrees == pytest.approx(satterthwaite((limit, 2.4), (8.0, 30)))
    enough = replace(little, seed_degrees=2.5)
    assert enough.degrees == pytest.approx(12**2 / (4**2 / 2.5 + 9**2 / 30 + 1 / 30))


def test_few_groups_that_came_out_quiet_are_weighed_at_their_upper_limit():
    quiet = replace(MANY, seed_variance=64.0, seed_degrees=40.0, group_variance=3.0, group_degrees=2.0)
    limit = 3 * 2 / stats.chi2.ppf(0.1, 2) - 1
    assert quiet.degrees == pytest.approx(satterthwaite((16.0, 40), (limit, 2)))
    assert quiet.degrees < 5 < 18**2 / (16**2 / 40 + 3**2 / 2 + 1 / 6)


def test_groups_alone_have_their_own_degrees():
    one = Spread(1, 0.0, 0.0, 0.0, 9.0, 5.0, 0.0)
    assert one.degrees == pytest.approx(5)
    assert Spread(3, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0).degrees == math.inf
