"""Designs: combinations written by hand, and what must hold for any number of components."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.spec.designs import DESIGNS, Combination, combine, fractional

BY_HAND = {
    "together": ["abc"],
    "one_at_a_time": ["", "a", "b", "c"],
    "add_one_in": ["", "a", "ab", "abc"],
    "leave_one_out": ["abc", "bc", "ac", "ab"],
    "factorial": ["", "a", "b", "c", "ab", "ac", "bc", "abc"],
    "fractional": ["", "c", "b", "bc", "a", "ac", "ab", "abc"],
}


@pytest.mark.parametrize("design", DESIGNS)
def test_three_components(design):
    assert design in BY_HAND, (
        f"write what {design} makes of the components a, b and c into BY_HAND of tests/spec/test_designs.py, and "
        "a row into the table of docs/designs.md"
    )
    assert list(DESIGNS[design].combine("abc")) == [frozenset(on) for on in BY_HAND[design]]


@pytest.mark.parametrize("count", range(1, 9))
@pytest.mark.parametrize("design", DESIGNS)
def test_a_design_knows_how_many_combinations_it_makes_or_a_few_less(design, count):
    made = len(DESIGNS[design].combine([f"c{k}" for k in range(count)]))
    least = made if design != "fractional" else made / 2  # a fraction is half to all of a power of two
    assert least <= DESIGNS[design].count(count) <= made, f"count of {design} in DESIGNS of harness/spec/designs.py"


def aliases(components: Sequence[str], made: Iterable[Combination]) -> tuple[tuple[Combination, ...], ...]:
    """Return the main effects and interactions of two that some combinations cannot tell apart, group by group.

    Effects are aliased where their contrasts, the products of their components' levels (-1 off, 1 on), are equal or
    opposite in all combinations. An effect is written as the set of its components; one with no alias is absent.
    """
    rows = tuple(made)
    effects = [frozenset(names) for size in (1, 2) for names in combinations(components, size)]
    groups: dict[tuple[bool, ...], list[Combination]] = {}
    for effect in effects:
        signs = [len(effect - on) % 2 == 1 for on in rows]
        groups.setdefault(tuple(sign != signs[0] for sign in signs), []).append(effect)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def test_half_of_four_components():
    """The textbook 2^(4-1) with d = abc: d is on where one of the others is, or all three are."""
    assert set(fractional("abcd")) == {frozenset(on) for on in ("", "cd", "bd", "bc", "ad", "ac", "ab", "abcd")}
    pairs = [{frozenset("ab"), frozenset("cd")}, {frozenset("ac"), frozenset("bd")}, {frozenset("ad"), frozenset("bc")}]
    assert [set(group) for group in aliases("abcd", fractional("abcd"))] == pairs


def test_shared_combinations_are_made_once_and_know_their_designs():
    assert combine(["leave_one_out", "add_one_in"], "ab") == {
        frozenset("ab"): ("leave_one_out", "add_one_in"),
        frozenset("b"): ("leave_one_out",),
        frozenset("a"): ("leave_one_out", "add_one_in"),
        frozenset(): ("add_one_in",),
    }


@given(count=st.integers(1, 8), designs=st.lists(st.sampled_from(sorted(DESIGNS)), min_size=1, unique=True))
def test_a_union_holds_every_combination_of_its_designs_once(count, designs):
    components = [f"c{place}" for place in range(count)]
    made = combine(designs, components)
    for design in designs:
        own = DESIGNS[design].combine(components)
        assert len(set(own)) == len(own)
        assert {on for on, makers in made.items() if design in makers} == set(own)
    assert all(on <= set(components) for on in made)


@pytest.mark.parametrize("count", range(1, 8))
def test_a_factorial_has_all_combinations(count):
    assert len(set(DESIGNS["factorial"].combine(range(count)))) == 2**count


@pytest.mark.parametrize("count", range(1, 21))
def test_a_fraction_has_resolution_iv_and_no_smaller_one_has(count):
    """Resolution IV: the product of no one, two or three columns is constant. It needs 2k runs at least (Webb 1968)."""
    made = fractional(range(count))
    columns = [[1 if name in on else -1 for on in made] for name in range(count)]
    for size in (1, 2, 3):
        for chosen in combinations(columns, size):
            products = [-1 if row.count(-1) % 2 else 1 for row in zip(*chosen, strict=True)]
            assert sum(products) == 0
    smallest = next(2**power for power in range(20) if 2**power >= min(2 * count, 2**count))
    assert len(made) == len(set(made)) == smallest
    assert {frozenset(), frozenset(range(count))} <= set(made)
    assert all(len(effect) == 2 for group in aliases(range(count), made) for effect in group)


def test_aliases_of_designs_that_separate_less():
    assert aliases("ab", DESIGNS["factorial"].combine("ab")) == ()
    assert aliases("ab", DESIGNS["together"].combine("ab")) == ((frozenset("a"), frozenset("b"), frozenset("ab")),)
