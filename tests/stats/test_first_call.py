"""The first look that calls a comparison gives its verdict: by hand, and whatever is added later."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats.effects import compare, make_study
from harness.stats.looks import LookHistory
from harness.stats.margins import HEADLINE, Margins
from harness.stats.verdicts import FamilyAtLook, judge_in_order


@pytest.fixture(scope="module")
def effect():
    """Return an effect whose p-value, size and spread a test may set."""
    generator = np.random.default_rng(0)
    true_GC = np.full((12, 2), 1000)
    hit_KGC = generator.binomial(1000, 0.6, (6, 12, 2))
    predicted_KGC = hit_KGC + (true_GC - hit_KGC)[:, :, ::-1]
    runs = tuple((name, seed) for name in "ab" for seed in range(3))
    margins = Margins(runs, tuple("abcdefghijkl"), ("x", "y"), 12, hit_KGC, predicted_KGC, true_GC)
    return compare(make_study(margins), "b", "a", only=[HEADLINE])[HEADLINE]


FIRST, SECOND = LookHistory((3,)), LookHistory((3, 10))


def moment(effect, look, **p_values):
    """Return a moment with comparisons of these p-values; each is of a size of its own, so that none is a copy."""
    effects = {name: replace(effect, p=p, delta=0.01 + ord(name) / 1e6) for name, p in p_values.items()}
    return FamilyAtLook(effects, dict.fromkeys(effects, look))


def test_a_call_stands_and_its_step_of_holm_is_done(effect):
    """First look, level .04 of 5 %: b is below .04 / 3. At the second two are left: c is below its level at 5 % / 2."""
    level = SECOND.level(0.05 / 2)
    moments = [
        moment(effect, FIRST, b=0.0133, c=0.3, d=0.3),
        moment(effect, SECOND, b=0.9, c=0.99 * level, d=0.99 * SECOND.level(0.05)),
    ]
    found = judge_in_order(moments, 0.0)
    assert {name: verdict.outcome for name, verdict in found.items()} == dict.fromkeys("bcd", "improved")
    assert [found[name].look for name in "bcd"] == [FIRST, SECOND, SECOND]
    assert found["b"].effect is moments[0].effects["b"]
    assert found["b"].p_adjusted == pytest.approx(3 * 0.0133 / 0.8)
    assert [(found[name].family, found[name].left) for name in "bcd"] == [(3, 3), (3, 2), (3, 2)]
    assert found["c"].effect is None, "the present look called it"


def test_without_the_first_call_the_second_look_would_not_do(effect):
    level = SECOND.level(0.05 / 2)
    moments = [moment(effect, FIRST, b=0.3, c=0.3, d=0.3), moment(effect, SECOND, b=0.9, c=0.99 * level, d=0.9)]
    assert judge_in_order(moments, 0.0)["c"].outcome == "undecided"


def test_two_seeds_are_judged_unless_more_are_asked_for(effect):
    two = replace(effect, p=1e-9, delta=0.01, spread=replace(effect.spread, seeds=2))
    moments = [FamilyAtLook({"b": two}, {"b": LookHistory((2,))})]
    assert judge_in_order(moments, 0.0)["b"].outcome == "improved"
    assert judge_in_order(moments, 0.0, fewest_seeds=3)["b"].reason == "few seeds"


def test_what_was_found_equivalent_keeps_its_share(effect):
    """b is equivalent and not called: c is judged among two at the second look as at the first."""
    near = {"b": replace(effect, p=0.9, delta=0.0, se=0.001), "c": replace(effect, p=0.3, delta=0.02)}
    first = FamilyAtLook(near, dict.fromkeys(near, FIRST))
    assert near["b"].interval(1 - FIRST.level(0.1))[1] < 0.01
    for share, outcome in ((0.99, "improved"), (1.01, "undecided")):
        p = share * SECOND.level(0.05 / 2)
        found = judge_in_order([first, moment(effect, SECOND, b=0.001, c=p)], 0.01)
        assert (found["b"].outcome, found["c"].outcome) == ("equivalent", outcome)
        assert (found["c"].family, found["c"].left) == (2, 2)


def test_what_is_equivalent_and_different_has_done_its_step(effect):
    """b is within the margin, and not 0: its p-value was called at the first look, so c has all that is left."""
    near = {"b": replace(effect, p=1e-6, delta=0.005, se=0.0005), "c": replace(effect, p=0.3, delta=0.02)}
    first = FamilyAtLook(near, dict.fromkeys(near, FIRST))
    for share, outcome in ((0.99, "improved"), (1.01, "undecided")):
        p = share * SECOND.level(0.05)
        found = judge_in_order([first, moment(effect, SECOND, b=0.001, c=p)], 0.01)
        assert (found["b"].outcome, found["c"].outcome) == ("equivalent", outcome)
        assert (found["c"].family, found["c"].left) == (2, 1)


def test_copies_that_were_called_count_once(effect):
    first = moment(effect, FIRST, b=0.001, c=0.3, d=0.3)
    twin = FamilyAtLook({**first.effects, "e": first.effects["b"]}, {**first.looks, "e": FIRST})
    second = moment(effect, SECOND, b=0.001, c=0.3, d=0.3, e=0.001)
    found = judge_in_order([twin, second], 0.0)
    assert (found["e"].outcome, found["c"].family, found["c"].left) == ("improved", 3, 2)


def test_what_differs_nowhere_is_not_closed(effect):
    nothing = replace(effect, p=1.0, delta=0.0, se=0.0, by_seed={0: 0.0, 1: 0.0, 2: 0.0})
    first = FamilyAtLook({"b": nothing}, {"b": FIRST})
    found = judge_in_order([first, moment(effect, SECOND, b=1e-9)], 0.0)
    assert found["b"].outcome == "improved"


def test_what_has_no_look_left_stays_in_the_family(effect):
    """What looks spent on d is spent: c is judged among two."""
    past = LookHistory((3, 10, 11))
    effects = moment(effect, SECOND, c=1.01 * SECOND.level(0.05 / 2), d=1e-9).effects
    found = judge_in_order([FamilyAtLook(effects, {"c": SECOND, "d": past})], 0.0)
    assert (found["c"].outcome, found["d"].outcome, found["d"].reason) == ("undecided", "undecided", "no look left")
    assert found["c"].family == 2


P_VALUES = st.floats(1e-9, 1.0)


@settings(max_examples=60, deadline=None)
@given(
    first=st.dictionaries(st.sampled_from("bcde"), P_VALUES, min_size=1),
    later=st.lists(st.dictionaries(st.sampled_from("bcdefgh"), P_VALUES), min_size=1, max_size=3),
)
def test_what_is_closed_stays_closed_whatever_is_added(effect, first, later):
    """Later looks may hold other p-values, new comparisons, and lack some that there were."""
    counts, moments, closed = (3,), [moment(effect, FIRST, **first)], {}
    for p_values in ({}, *later):
        counts = (*counts, counts[-1] + 1)
        moments += [moment(effect, LookHistory(counts), **p_values)] if p_values else []
        found = judge_in_order(moments, 0.0)
        for name, verdict in found.items():
            if name in closed:
                assert (verdict.outcome, verdict.p_adjusted, verdict.look) == closed[name]
            elif verdict.outcome != "undecided":
                closed[name] = (verdict.outcome, verdict.p_adjusted, verdict.look)
