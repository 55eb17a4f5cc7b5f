"""Levels of repeated looks: against known tables, and by simulation of what they promise."""

import numpy as np
import pytest
from scipy.stats import norm

from harness.stats.looks import LookHistory, LookSchedule, TakenLook, look_levels


def test_one_look_has_all_of_the_error():
    assert look_levels((1.0,), 0.05, lambda share: share) == pytest.approx((0.05,))


def test_pococks_boundary_for_two_looks():
    # Pocock (1977): two looks at halves, both at z = 2.178, level 0.0294; spent at the first: 0.0294.
    levels = look_levels((0.5, 1.0), 0.05, lambda share: 1.0 if share == 1 else 0.0294 / 0.05)
    assert levels == pytest.approx((0.0294, 0.0294), abs=1e-4)


@pytest.mark.parametrize(
    ("family", "levels"), [(1, (0.0082, 0.0125, 0.0390)), (3, (0.0027, 0.0040, 0.0124))], ids=["one", "three"]
)
def test_declared_looks(family, levels):
    found = [LookHistory(counts, (3, 5, 10)).level(0.05 / family) for counts in ((3,), (3, 5), (3, 5, 10))]
    assert found == pytest.approx(levels, abs=5e-5)


def test_undeclared_looks_spend_most_at_the_first():
    found = [LookHistory(tuple(range(3, last))).level(0.05) for last in range(4, 12)]
    assert found == pytest.approx([0.04, 0.0080, 0.0058, 0.0053, 0.0053, 0.0054, 0.0056, 0.0058], abs=5e-5)


def test_looks_together_call_falsely_as_often_as_they_promise():
    walks = np.random.default_rng(0).normal(size=(100_000, 10)).cumsum(axis=1)
    for look in (LookHistory((3, 5, 10), (3, 5, 10)), LookHistory((3, 4, 7, 10)), LookHistory((4, 7), (4, 7, 9))):
        called = np.zeros(len(walks), bool)
        for place in range(len(look.counts)):
            count, level = look.counts[place], LookHistory(look.counts[: place + 1], look.declared).level(0.05)
            called |= abs(walks[:, count - 1]) / count**0.5 > norm.isf(level / 2)
        spent = (7 / 9) ** 1.5 if look.counts[-1] == 7 else 1.0
        assert called.mean() == pytest.approx(0.05 * spent, abs=0.002)


def test_an_adjusted_p_value_is_the_error_at_which_it_is_called():
    for look in (LookHistory((3,)), LookHistory((3, 8)), LookHistory((3, 5), (3, 5, 10))):
        for alpha in (0.3, 0.05, 0.05 / 7, 1e-5):
            assert look.adjusted(look.level(alpha)) == pytest.approx(alpha, rel=1e-3)
    assert LookHistory((3,)).adjusted(0.02) == pytest.approx(0.025)
    assert LookHistory((3,)).adjusted(0.9) == 1
    assert LookHistory((3,)).adjusted(0.0) == 0


def test_nothing_is_left_after_the_last_look():
    spent = LookHistory((3, 5, 10, 12), (3, 5, 10))
    assert spent.level(0.05) == 0
    assert spent.adjusted(1e-6) == 1
    assert spent.later == ()
    assert LookHistory((3, 10, 11)).level(0.05) == 0


def test_where_looks_may_follow():
    assert LookHistory((3,)).later == (4, 5, 6, 7, 8, 9, 10)
    assert LookHistory((3, 4), (3, 5, 10)).later == (5, 10)
    assert LookHistory((12,)).later == tuple(range(13, 25))
    assert LookHistory((10,)).last == 20
    assert LookHistory((9,)).last == 10
    assert LookHistory((3,), (3, 5)).after(5) == LookHistory((3, 5), (3, 5))


def seen(**seeds):
    """Return a recorded look at which each variant had these seeds."""
    return TakenLook({name: dict.fromkeys(found, "") for name, found in seeds.items()})


def test_the_look_at_a_pair_follows_those_that_were_recorded_of_it():
    taken = (seen(a=(0, 1), c=(0, 1)), seen(a=range(3), b=range(3), c=(0, 1)), seen(a=range(5), b=range(5)))
    looks = LookSchedule((3, 5, 10), taken)
    assert looks.at(("a", "b"), range(7)) == LookHistory((3, 5, 7), (3, 5, 10))
    assert looks.at(("a", "b"), range(5)) == LookHistory((3, 5), (3, 5, 10)), "the same seeds are the same look"
    assert looks.at(("a", "b"), range(4)) == LookHistory((3, 5), (3, 5, 10)), (
        "seeds that were seen are no look of their own"
    )
    assert looks.at(("a", "b"), range(3), before=1) == LookHistory((3,), (3, 5, 10))
    assert looks.at(("a", "b", "c"), range(5)) == LookHistory((2, 5), (3, 5, 10)), "all of them had two seeds, once"
    assert looks.at(("b", "c"), range(3)) == LookHistory((2, 3), (3, 5, 10))
    assert looks.at(("b", "d"), range(3)) == LookHistory((3,), (3, 5, 10))
    assert LookSchedule().at(("a", "b"), range(3)) == LookHistory((3,))


def test_looks_are_told_apart_by_their_seeds_not_by_how_many_they_are():
    """Six seeds were seen in two looks of three: a seventh makes a third look, and not the second."""
    looks = LookSchedule((), (seen(a=(0, 1, 2), b=(0, 1, 2)), seen(a=(3, 4, 5), b=(3, 4, 5))))
    assert looks.at("ab", range(7)) == LookHistory((3, 6, 7))
    assert looks.at("ab", (0, 3, 5)) == LookHistory((3, 6))
    assert looks.at("ab", (0, 1, 2, 7)) == LookHistory((3, 6, 7))
    assert looks.seen("ab") == ({0, 1, 2}, set(range(6)))


def test_seeds_of_two_folds_are_no_look():
    taken = (seen(a=(0, 1, 5), b=(0, 1, 5)), seen(a=(0, 1, 5, 2), b=(0, 1, 5, 2)))
    assert LookSchedule((2, 6), taken, folds=5).at("ab", (0, 1, 5, 2, 3, 4)) == LookHistory((4, 6), (2, 6))
    assert LookSchedule((2, 6), taken).at("ab", (0, 1, 5, 2, 3, 4)) == LookHistory((3, 4, 6), (2, 6))


def test_one_common_seed_is_no_look():
    assert LookSchedule((), (seen(a=(0, 1, 2), b=(2, 3)),)).at("ab", (1, 2)) == LookHistory((2,))


def test_the_same_look_twice_saw_new_seeds_once_and_is_whole_unless_said():
    once = TakenLook({"a": dict.fromkeys(range(3), "")})
    assert once.is_whole
    assert LookSchedule((), (once, once)).seen(("a",)) == (frozenset({0, 1, 2}),)
