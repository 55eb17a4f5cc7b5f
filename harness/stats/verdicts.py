"""Effects -> verdicts, with the error of a whole family of comparisons controlled.

A family is what is read together: the variants' headline comparisons are one, all cells of the class table are another.
Within a family, `improved` and `regressed` are called by Holm's step-down procedure (Holm 1979): the chance of even one
false call is at most 5 %, whatever the dependence between the comparisons. A comparison that is 0 in every run and
every group (a component that is off, a class that no model predicts) can have no small p-value and therefore is not
counted in the family (Tarone 1990). `equivalent` is called by two one-sided
tests at 5 % each (Schuirmann 1987), which is the same as the 90 % interval lying within the margin; it is judged first,
so a difference that is shown to be too small to matter is called equivalent even where it is not zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from harness.stats.effects import Effect

Outcome = Literal["improved", "regressed", "equivalent", "undecided"]
Reason = Literal["", "one seed", "few seeds", "one group", "only before correction", "noise"]
"""Why a verdict is undecided. `few seeds`: fewer than the family asks for. `only before correction`: its own interval
excludes 0, the family's does not."""

FAMILY_ERROR = 0.05
TOST_LEVEL = 0.90
CLASS_SEEDS = 3
"""Seeds below which no cell of a class table is called: with two, tables of equal variants hold a false call in up to a
quarter of the simulated studies (docs/statistics.md)."""

Key = TypeVar("Key")


@dataclass(frozen=True)
class Verdict:
    """What may be said of an effect."""

    outcome: Outcome
    reason: Reason
    p_holm: float
    """The p-value adjusted for the family; NaN where the effect is not judged."""
    family: int
    """Comparisons in the family that were judged and could have differed."""
    level: float
    """Level at which the first difference of the family is called: what `harness.stats.power` plans with."""
    tost: tuple[float, float]
    """The 90 % interval that is held against the margin."""


def judge(effects: Mapping[Key, Effect], margin: float, *, fewest_seeds: int = 2) -> dict[Key, Verdict]:
    """Return the verdict of each effect of one family.

    Effects that speak only for their weights or their images are outside the family and stay undecided. `margin` is the
    largest difference that does not matter (fraction); 0 where none is stated, as for classes. Effects of fewer than
    `fewest_seeds` are outside the family too.
    """
    judged = {
        key
        for key, effect in effects.items()
        if effect.scope == "new seeds and images" and effect.spread.seeds >= fewest_seeds
    }
    counted = [key for key in effects if key in judged and not effects[key].is_nothing]
    adjusted = dict(zip(counted, holm([effects[key].p for key in counted]), strict=True))
    family = len(counted)
    return {
        key: _judge_one(effect, adjusted.get(key, 1.0), family, margin) if key in judged else _silent(effect, family)
        for key, effect in effects.items()
    }


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted by Holm (1979): the k-th smallest of n times n - k + 1, made monotone, at most 1."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [1.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def _judge_one(effect: Effect, p_holm: float, family: int, margin: float) -> Verdict:
    tost = effect.interval(TOST_LEVEL)
    outcome: Outcome = "undecided"
    reason: Reason = ""
    if -margin <= tost[0] and tost[1] <= margin:
        outcome = "equivalent"
    elif p_holm <= FAMILY_ERROR:
        outcome = "improved" if effect.delta > 0 else "regressed"
    else:
        reason = "only before correction" if effect.p <= FAMILY_ERROR else "noise"
    return Verdict(outcome, reason, p_holm, family, FAMILY_ERROR / max(family, 1), tost)


def _silent(effect: Effect, family: int) -> Verdict:
    reason: Reason = "one group"
    if effect.spread.seeds == 1:
        reason = "one seed"
    elif effect.scope == "new seeds and images":
        reason = "few seeds"
    return Verdict("undecided", reason, math.nan, family, FAMILY_ERROR / max(family, 1), effect.interval(TOST_LEVEL))
