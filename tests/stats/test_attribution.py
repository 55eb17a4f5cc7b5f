"""Attribution: hand-worked tables of means, and shares that add up."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import InputError
from harness.stats.attribution import attribute
from harness.stats.effects import compare, make_study
from harness.stats.margins import HEADLINE, Margins


def make_table(means):
    """Return a study and its combinations, where `means` is the IoU (in 1/1000) of each combination, such as `ab`."""
    hits = [[mean + jitter, mean - jitter] for mean in means.values() for jitter in (-4, 0, 7)]
    hit_KGC = np.array(hits)[..., None]
    true_GC = np.full((2, 1), 1000)
    runs = tuple((f"v-{on}", seed) for on in means for seed in range(3))
    study = make_study(Margins(runs, ("x", "y"), ("road",), 2, hit_KGC, hit_KGC, true_GC))
    return study, {frozenset(on): f"v-{on}" for on in means}


def deltas(effects):
    return {name: round(1000 * effect.delta, 9) for name, effect in effects.items()}


def test_two_components_by_hand():
    # a alone +40, b alone +10, both +80: the interaction is 80 - 40 - 10 = 30.
    found = attribute(*make_table({"": 500, "a": 540, "b": 510, "ab": 580}), HEADLINE)
    assert found.total.delta == pytest.approx(0.080)
    assert deltas(found.main) == {"a": 55, "b": 25}
    assert deltas(found.interactions) == {("a", "b"): 30}
    assert deltas(found.shapley) == {"a": 55, "b": 25}
    assert deltas({name: bracket.few for name, bracket in found.brackets.items()}) == {"a": 40, "b": 10}
    assert deltas({name: bracket.many for name, bracket in found.brackets.items()}) == {"a": 70, "b": 40}
    assert found.brackets["a"].interaction.delta == pytest.approx(0.030)
    assert found.brackets["a"].many_on == frozenset("b")


def test_shapley_by_all_orders_of_three_components():
    names = ["".join(on) for size in range(4) for on in itertools.combinations("abc", size)]
    means = dict(zip(names, [500, 530, 510, 505, 600, 520, 515, 640], strict=True))
    shares = dict.fromkeys("abc", 0.0)
    for order in itertools.permutations("abc"):
        for place, name in enumerate(order):
            before, after = ("".join(sorted(order[:end])) for end in (place, place + 1))
            shares[name] += (means[after] - means[before]) / 6
    found = attribute(*make_table(means), HEADLINE)
    assert deltas(found.shapley) == pytest.approx(shares)
    assert sum(shares.values()) == pytest.approx(140)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 3))
def test_shapley_shares_add_up_to_the_total(make_margins, seed, count):
    combinations = [frozenset(on) for size in range(count + 1) for on in itertools.combinations("abc"[:count], size)]
    margins = make_margins(seed, variants=len(combinations))
    kept = [index for index, run in enumerate(margins.runs) if run != ("v1", 0)]
    margins = replace(
        margins,
        runs=tuple(margins.runs[index] for index in kept),
        hit_KGC=margins.hit_KGC[kept],
        predicted_KGC=margins.predicted_KGC[kept],
    )
    named = {on: f"v{index}" for index, on in enumerate(combinations)}
    for measure in (HEADLINE, *margins.classes):
        found = attribute(make_study(margins), named, measure)
        assert sum(effect.delta for effect in found.shapley.values()) == pytest.approx(found.total.delta, abs=1e-14)


def test_main_effects_of_a_fraction_name_their_aliases():
    # 2^(4-1), d = abc: resolution IV. Main effects 40 -30 20 10 and the three-way interactions that hide in them.
    means = {}
    for on in itertools.product([0, 1], repeat=3):
        a, b, c = on
        d = (a + b + c) % 2
        name = "".join(letter for letter, is_on in zip("abcd", (a, b, c, d), strict=True) if is_on)
        means[name] = 500 + 40 * a - 30 * b + 20 * c + 10 * d
    found = attribute(*make_table(means), HEADLINE)
    assert deltas(found.main) == {"a": 40, "b": -30, "c": 20, "d": 10}
    assert found.aliases == {"a": ("b:c:d",), "b": ("a:c:d",), "c": ("a:b:d",), "d": ("a:b:c",)}
    assert not found.shapley
    assert not found.interactions
    assert not found.brackets


def test_an_alias_of_the_other_sign_is_named_so():
    # 2^(3-1), c = -ab: resolution III.
    found = attribute(*make_table({"c": 500, "a": 510, "b": 520, "abc": 530}), HEADLINE)
    assert found.aliases["c"] == ("a:b",)
    other = attribute(*make_table({"": 500, "ac": 510, "bc": 520, "ab": 530}), HEADLINE)
    assert other.aliases["c"] == ("-a:b",)


def test_interactions_of_four_are_no_alias():
    # 2^(5-1), e = abcd: resolution V
    names = ["".join(on) for size in range(5) for on in itertools.combinations("abcd", size)]
    found = attribute(*make_table({on + "e" * (1 - len(on) % 2): 500 for on in names}), HEADLINE)
    assert found.aliases == dict.fromkeys("abcde", ())


def test_a_component_that_is_on_too_often_has_no_main_effect_though_no_two_go_together():
    # c is on in six of eight; the products of the columns of any two components sum to 0
    found = attribute(*make_table(dict.fromkeys(("abcd", "abc", "cd", "c", "acd", "a", "bc", "bd"), 500)), HEADLINE)
    assert not found.main


def test_leave_one_out_with_add_one_in_leaves_a_bracket():
    # In the order a, b, c; without each.
    means = {"": 500, "a": 540, "ab": 545, "abc": 600, "bc": 550, "ac": 590}
    found = attribute(*make_table(means), HEADLINE)
    assert not found.main
    assert not found.shapley
    assert not found.aliases
    few = {name: (set(b.few_on), round(1000 * b.few.delta, 9)) for name, b in found.brackets.items()}
    many = {name: (set(b.many_on), round(1000 * b.many.delta, 9)) for name, b in found.brackets.items()}
    assert few == {"a": (set(), 40), "b": ({"a"}, 5), "c": ({"a"}, 50)}
    assert many == {"a": ({"b", "c"}, 50), "b": ({"a", "c"}, 10), "c": ({"a", "b"}, 55)}
    assert deltas({name: bracket.interaction for name, bracket in found.brackets.items()}) == {"a": 10, "b": 5, "c": 5}


def test_a_component_that_is_always_on_is_the_ground_the_others_stand_on():
    found = attribute(*make_table({"z": 500, "az": 540, "bz": 510, "abz": 580}), HEADLINE)
    assert set(found.main) == {"a", "b"}
    assert found.total.delta == pytest.approx(0.080)


def test_one_surrounding_is_no_bracket():
    found = attribute(*make_table({"": 500, "a": 540, "b": 510}), HEADLINE)
    assert found.brackets["a"].interaction is None
    assert found.total is None


def test_one_component_is_one_comparison():
    study, combinations = make_table({"": 500, "a": 540})
    found = attribute(study, combinations, HEADLINE)
    direct = compare(study, "v-a", "v-")[HEADLINE]
    for effect in (found.total, found.main["a"], found.shapley["a"], found.brackets["a"].few):
        assert (effect.delta, effect.low, effect.high) == pytest.approx((direct.delta, direct.low, direct.high))


def test_one_combination_attributes_nothing():
    study, combinations = make_table({"": 500, "a": 540})
    with pytest.raises(InputError, match="at least two combinations"):
        attribute(study, {frozenset("a"): combinations[frozenset("a")]}, HEADLINE)


def test_a_run_that_is_missing_costs_the_brackets_of_others_nothing():
    study, combinations = make_table({"": 500, "a": 540, "b": 510})
    kept = [place for place, run in enumerate(study.margins.runs) if run != ("v-b", 0)]
    margins = replace(
        study.margins,
        runs=tuple(study.margins.runs[place] for place in kept),
        hit_KGC=study.margins.hit_KGC[kept],
        predicted_KGC=study.margins.predicted_KGC[kept],
    )
    found = attribute(make_study(margins), combinations, HEADLINE)
    assert tuple(found.brackets["a"].few.by_seed) == (0, 1, 2)
    assert tuple(found.brackets["b"].few.by_seed) == (1, 2)
