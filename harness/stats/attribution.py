"""Which component made how much of a difference: what the combinations that ran can say, and what they leave open.

Every number is a linear contrast of variants and gets its interval and p-value from `harness.stats.effects`. The mean
of a combination is written m(on), where `on` is the set of components that are on.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.errors import InputError
from harness.stats.effects import Effect, Study, contrast

On = frozenset[str]
Combinations = Mapping[On, str]
"""Components that are on -> the variant that ran so."""
Weights = dict[str, float]

MOST_ALIASED = 3
"""Interactions of up to this many components are listed as aliases."""


@dataclass(frozen=True)
class Bracket:
    """A component's effect in the two most different surroundings in which it was switched on."""

    few: Effect
    """What it adds where the fewest others are on: nothing but itself, or what the order of the design had added."""
    few_on: On
    """The others that are on there."""
    many: Effect
    """What it adds where the most others are on; leave-one-out where that is all of them."""
    many_on: On
    interaction: Effect | None
    """`many - few`: how far the component's effect depends on the others; None where there is one surrounding only."""


@dataclass(frozen=True)
class Attribution:
    """What a design says about components, on one measure. Effects are empty where the design does not give them."""

    total: Effect | None
    """All components on, less all off."""
    main: Mapping[str, Effect]
    """Mean of m(component on) less mean of m(component off), over all other settings alike."""
    interactions: Mapping[tuple[str, str], Effect]
    """How much the effect of one component changes by switching on the other (difference of differences)."""
    shapley: Mapping[str, Effect]
    """Shares that add up to `total` (Shapley 1953): the component's effect, averaged over all orders to switch on."""
    brackets: Mapping[str, Bracket]
    aliases: Mapping[str, tuple[str, ...]]
    """For each main effect, the interactions it cannot be told from, such as `b:c:d`, or `-b:c:d` if they oppose it."""


def attribute(study: Study, combinations: Combinations, measure: str) -> Attribution:
    """Return all that the combinations that ran say about the components.

    A full factorial gives everything; a fraction in which the components are orthogonal gives main effects and their
    aliases; any design gives brackets where two combinations differ in one component alone.

    Raises:
        InputError: fewer than two combinations, or a combination's variant has no counts.
    """
    if len(combinations) < 2:
        raise InputError("attribution needs at least two combinations of components with counts")
    always_on, ever_on = frozenset.intersection(*combinations), frozenset.union(*combinations)
    components = tuple(sorted(ever_on - always_on))
    full = len(combinations) == 2 ** len(components)
    balanced = _is_balanced(combinations, components)

    # Where all combinations enter, every effect is of the seeds that all of them have; otherwise shares do not add up.
    silent = dict.fromkeys(combinations.values(), 0.0) if balanced else {}

    def effect(weights: Weights) -> Effect:
        return contrast(study, silent | weights)[measure]

    has_total = {ever_on, always_on} <= combinations.keys()
    pairs = tuple(itertools.combinations(components, 2)) if full else ()
    return Attribution(
        total=effect(_step(combinations, always_on, ever_on)) if has_total else None,
        main={name: effect(_signed(combinations, (name,))) for name in components} if balanced else {},
        interactions={pair: effect(_signed(combinations, pair)) for pair in pairs},
        shapley={name: effect(_shapley(combinations, name, components)) for name in components} if full else {},
        brackets=_brackets(combinations, components, effect),
        aliases={name: _aliases(combinations, components, name) for name in components} if balanced else {},
    )


def _step(combinations: Combinations, before: On, after: On) -> Weights:
    return {combinations[after]: 1.0, combinations[before]: -1.0}


def _signs(combinations: Combinations, names: Iterable[str]) -> npt.NDArray[np.int64]:
    """Return the product of the components' columns of +1 (on) and -1 (off), an entry for each combination."""
    columns = [[1 if name in on else -1 for on in combinations] for name in names]
    return np.asarray(np.array(columns, np.int64).prod(axis=0))


def _signed(combinations: Combinations, names: tuple[str, ...]) -> Weights:
    """Return the contrast of one component, or of the interaction of two, over all combinations."""
    scale = 2 ** len(names) / len(combinations)
    return dict(zip(combinations.values(), (scale * _signs(combinations, names)).tolist(), strict=True))


def _shapley(combinations: Combinations, name: str, components: tuple[str, ...]) -> Weights:
    """Return Shapley's contrast: m(T and name) - m(T), weighted by the share of orders in which T comes before it."""
    weights: Weights = {}
    always_on = frozenset.intersection(*combinations)
    for before in (on for on in combinations if name not in on):
        size = len(before - always_on)
        share = 1 / (len(components) * math.comb(len(components) - 1, size))
        weights |= {combinations[before | {name}]: share, combinations[before]: -share}
    return weights


def _brackets(
    combinations: Combinations, components: tuple[str, ...], effect: Callable[[Weights], Effect]
) -> dict[str, Bracket]:
    brackets = {}
    for name in components:
        # Places where the design ran both with and without the component, all else equal.
        found = [on for on in combinations if name not in on and on | {name} in combinations]
        if not found:
            continue
        # The two most different of them; with one place only, both are that one, and there is no interaction.
        few, *_, many = sorted([*found, *found], key=lambda on: (len(on), sorted(on)))
        steps = [_step(combinations, on, on | {name}) for on in (few, many)]
        opened = {variant: steps[1].get(variant, 0.0) - steps[0].get(variant, 0.0) for variant in steps[0] | steps[1]}
        brackets[name] = Bracket(
            few=effect(steps[0]),
            few_on=few,
            many=effect(steps[1]),
            many_on=many,
            interaction=effect(opened) if few != many else None,
        )
    return brackets


def _is_balanced(combinations: Combinations, components: tuple[str, ...]) -> bool:
    """Return whether each component is on in half of the combinations, and no two go together."""
    singles = all(not _signs(combinations, (name,)).sum() for name in components)
    return singles and all(not _signs(combinations, pair).sum() for pair in itertools.combinations(components, 2))


def _aliases(combinations: Combinations, components: tuple[str, ...], name: str) -> tuple[str, ...]:
    """Return the interactions of two or three components whose column is that of `name`, up to its sign."""
    own = _signs(combinations, (name,))
    aliases = []
    for size in range(2, MOST_ALIASED + 1):
        for names in itertools.combinations(components, size):
            agreement = int(own @ _signs(combinations, names))
            if abs(agreement) == len(combinations):
                aliases.append(f"{'-' if agreement < 0 else ''}{':'.join(names)}")
    return tuple(aliases)
