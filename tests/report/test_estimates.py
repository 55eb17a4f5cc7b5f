"""Values of seeds: means, sample deviations and paired differences by hand."""

import math

import pytest

from harness.report.study.seeds import known, make_difference, make_estimate


def test_means_and_sample_deviations_are_of_the_seeds_that_have_a_value():
    found = make_estimate({7: 0.4, 2: None, 0: 0.1})
    assert (found.seeds, found.values) == ((0, 7), (0.1, 0.4))
    assert (found.mean, found.sd) == (pytest.approx(0.25), pytest.approx(0.3 / math.sqrt(2)))
    alone, nothing = make_estimate({3: 0.0}), make_estimate({3: None})
    assert (alone.mean, alone.sd, alone.seeds) == (0.0, None, (3,))
    assert (nothing.mean, nothing.sd, nothing.seeds, nothing.values) == (None, None, (), ())


def test_differences_pair_the_seeds_that_both_have():
    found = make_difference({2: 0.5, 0: 0.4, 1: None, 3: 0.9, 4: 0.9}, {0: 0.1, 1: 0.2, 2: 0.0, 3: None})
    assert (found.seeds, found.values) == ((0, 2), pytest.approx((0.3, 0.5)))
    assert (found.mean, found.sd) == (pytest.approx(0.4), pytest.approx(0.2 / math.sqrt(2)))
    assert not found.within_spread


@pytest.mark.parametrize(
    ("values", "within"),
    [
        ((0.1, 0.3), False),  # mean 0.2, deviation 0.141
        ((-0.1, -0.3), False),
        ((0.1, 0.55), False),  # 0.325 and 0.318
        ((0.1, 0.64), True),  # 0.37 and 0.382
        ((2.0, 4.0, 15.0), True),  # both 7
        ((0.0, 0.3, 0.3), True),  # a seed without any
        ((0.0, -0.3, -0.3), True),
        ((0.3,), True),
        ((), True),
    ],
)
def test_beyond_the_spread_is_a_mean_beyond_the_deviation_with_one_sign_alone(values, within):
    assert make_difference(dict(enumerate(values)), dict.fromkeys(range(9), 0.0)).within_spread == within


def test_json_has_no_word_for_what_is_not_finite():
    assert [known(value) for value in (0.0, None, math.nan, -math.inf)] == [0.0, None, None, None]
