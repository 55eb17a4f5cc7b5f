"""Designs: which combinations of a variant's components run. A combination is the set of the components that are on.

Each design is a function of the components in the order written. None of them knows what a component changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

Combination = frozenset[str]

TOGETHER = "together"
FACTORIAL = "factorial"
FRACTIONAL = "fractional"


def together(components: Sequence[str]) -> tuple[Combination, ...]:
    """All components on: one combination, whose effect cannot be divided among them."""
    return (frozenset(components),)


def one_at_a_time(components: Sequence[str]) -> tuple[Combination, ...]:
    """No component on, and each alone.

    The combination without any is a run of its own, although its settings may be those of the variant it starts from:
    it continues from the same weights for the same epochs. Compared with the weights themselves, a component would be
    credited with what the longer training brings.
    """
    return (frozenset(), *(frozenset({name}) for name in components))


def add_one_in(components: Sequence[str]) -> tuple[Combination, ...]:
    """No component, the first, the first two, ... all, in the order written. On the first, see `one_at_a_time`."""
    return tuple(frozenset(components[:count]) for count in range(len(components) + 1))


def leave_one_out(components: Sequence[str]) -> tuple[Combination, ...]:
    """All components, and all but each."""
    everything = frozenset(components)
    return (everything, *(everything - {name} for name in components))


def factorial(components: Sequence[str]) -> tuple[Combination, ...]:
    """All 2^k combinations, fewer components first."""
    return tuple(frozenset(on) for count in range(len(components) + 1) for on in combinations(components, count))


def fractional(components: Sequence[str]) -> tuple[Combination, ...]:
    """A regular fraction of the factorial of resolution IV or higher: no main effect is aliased with another one or
    with an interaction of two; interactions of two may be aliased with each other.

    The first m components run through their 2^m combinations, m as small as k <= 2^(m-1) allows; each further one is
    on where an odd number of some of them (three, or five, ...) is. A product of three columns that are each a product
    of an odd number of columns is one again, so that no three of them cancel (Box and Hunter 1961, "The 2^(k-p)
    fractional factorial designs I"). The fraction holds the combination without components and the one with all. Up to
    three components it is the factorial: a smaller one of resolution IV does not exist.
    """
    import pyDOE3  # here, because it imports SciPy

    return tuple(
        frozenset(name for name, level in zip(components, row, strict=True) if level > 0)
        for row in pyDOE3.fracfact(_generators(len(components)))
    )


def _generators(count: int) -> str:
    """Return each column as a product of the first ones, which are letters: `a b c d abc abd`."""
    if count == 1:
        return "a"
    # The words of an odd number of letters, three or more, are 2^(m-1) - m: with the m letters 2^(m-1) columns.
    size = next(m for m in range(2, count + 1) if count <= 2 ** (m - 1) or m == count)
    letters = [chr(ord("a") + place) for place in range(size)]
    products = ["".join(product) for length in range(3, size + 1, 2) for product in combinations(letters, length)]
    return " ".join([*letters, *products[: count - size]])


class Design(NamedTuple):
    """Which combinations run, and how many those are, which is asked before any is made."""

    combine: Callable[[Sequence[str]], tuple[Combination, ...]]
    count: Callable[[int], int]
    """Components -> combinations, or a few less."""


DESIGNS: Mapping[str, Design] = {
    TOGETHER: Design(together, lambda k: 1),
    "one_at_a_time": Design(one_at_a_time, lambda k: k + 1),
    "add_one_in": Design(add_one_in, lambda k: k + 1),
    "leave_one_out": Design(leave_one_out, lambda k: k + 1),
    FACTORIAL: Design(factorial, lambda k: 1 << k),
    FRACTIONAL: Design(fractional, lambda k: 2 * k),
}


def combine(designs: Sequence[str], components: Sequence[str]) -> dict[Combination, tuple[str, ...]]:
    """Return the union of some designs' combinations, in the order made: each with the names of those that make it."""
    made: dict[Combination, tuple[str, ...]] = {}
    for design in designs:
        for on in DESIGNS[design].combine(components):
            made[on] = (*made.get(on, ()), design)
    return made
