"""Degrees of freedom of few seeds and few groups, by hand."""

import math
from dataclasses import replace

import pytest
from scipy import stats

from harness.stats.spread import Spread, p_value, t_interval, upper_limit

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


def test_neither_part_is_let_under_what_is_in_both():
    spread = replace(MANY, seed_variance=2.0, group_variance=0.25)
    assert spread.training_variance == 1.0  # 2 / 4 is less than what seeds do to the scatter between groups
    assert spread.sampling_variance == 0.0
    assert spread.se == 1.0
    assert replace(spread, seed_variance=16.0).training_variance == 4.0
    # Both parts under the third: it alone speaks, with no more degrees than the seeds that it comes from.
    assert spread.degrees == pytest.approx(12)
    assert replace(spread, seed_degrees=120.0).degrees == pytest.approx(30 * 3)


def test_the_plan_of_more_seeds_and_images_by_hand():
    planned = MANY.planned(8, 2.0)
    assert planned.shared_variance == 0.25  # 1 x 4 / 8 / 2
    assert planned.training_variance == 2.0  # 16 / 8
    assert planned.group_variance == 4.25  # 8 / 2, and what is shared
    assert planned.sampling_variance == 4.0
    assert planned.seed_degrees == 12 + 4
    assert planned.group_degrees == 60
    assert planned.own_seed_variance == 20.0
    # What a variance was floored at is planned with, not what was measured below it.
    assert replace(MANY, seed_variance=2.0).planned(8, 1.0).seed_variance == 4.0


@pytest.mark.parametrize(
    ("change", "degrees"),
    [
        # of what is no larger than the shared part nothing is counted, and then it is not taken off twice
        ({"seed_variance": 4.0}, 30.0),
        ({"group_variance": 1.0}, 12.0),
        ({"group_variance": 0.5}, 12.0),
        # quiet groups worth less than one degree of freedom: 9 times their upper limit
        ({"group_degrees": 0.9}, satterthwaite((4.0, 12), (9 * 0.9 / stats.chi2.ppf(0.1, 0.9) - 1, 0.9))),
        # groups whose classes cancel: nothing varies, though there are groups that could
        ({"seed_variance": 0.0, "group_variance": 0.0, "shared_variance": 0.0}, math.inf),
    ],
)
@pytest.mark.parametrize("scale", [1.0, 1e-5])
def test_degrees_where_parts_are_small(change, degrees, scale):
    variances = {"seed_variance": 16.0, "group_variance": 9.0, "shared_variance": 1.0} | change
    scaled = {name: value * (1 if "degrees" in name else scale) for name, value in variances.items()}
    assert replace(MANY, **scaled).degrees == pytest.approx(degrees)


def test_what_does_not_vary_is_a_point():
    assert t_interval(0.25, 0.0, math.inf, 0.95) == (0.25, 0.25)
    assert (p_value(0.0, 0.0, math.inf), p_value(0.25, 0.0, math.inf)) == (1.0, 0.0)
    assert all(math.isnan(value) for value in (*t_interval(0.25, math.nan, math.inf, 0.9), p_value(0.2, math.nan, 2)))
