"""Effects -> verdicts, with the error of a whole family of comparisons controlled.

A family is what is read together: the variants' headline comparisons are one, all cells of the class table are another.
Within a family, `improved` and `regressed` are called by Holm's step-down procedure (Holm 1979): the chance of even one
false call is at most 5 %, whatever the dependence between the comparisons. A comparison that is 0 in every run and
every group (a component that is off, a class that no model predicts) can have no small p-value and therefore is not
counted in the family (Tarone 1990). Comparisons of the same runs under several names are one test, and count once.
`equivalent` is called by two one-sided tests at 5 % each (Schuirmann 1987), which is the same as the 90 % interval
lying within the margin; it is judged first, so a difference that is shown to be too small to matter is called
equivalent even where it is not zero. Where a comparison is looked at repeatedly, both kinds of test have the level of
the look (`harness.stats.looks`), and Holm's procedure goes over the errors at which each look would call it (Maurer
and Bretz 2013).

A family that is judged look after look (`judge_in_order`) has from the first look that calls a comparison its verdict,
for good. That is how a group-sequential test is read: the levels of looks are those of a first crossing, and more data
of what was called, which other comparisons may bring, do not undo it. Holm's procedure goes on over what is left: with
r of m called, the others share 5 % by m - r. What was found equivalent stays among them, unless its p-value called a
difference at that look too: alone it is no such call, and what looks had spent on it stays spent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Literal, TypeVar

from harness.stats.effects import JUDGED, Effect
from harness.stats.looks import LookHistory

Outcome = Literal["improved", "regressed", "equivalent", "undecided"]
Reason = Literal[
    "",
    "one seed",
    "few seeds",
    "few folds",
    "one group",
    "few groups",
    "no look left",
    "seeds left out",
    "only before correction",
    "noise",
]
"""Why a verdict is undecided. `few seeds`: fewer than the family asks for. `few folds`: seeds of fewer than three.
`few groups`: two, or one that holds nearly all. `no look left`: all error was spent earlier. `seeds left out`: some of
those that an earlier look had seen. `only before correction`: its own interval excludes 0, that of the family and the
look does not."""

FAMILY_ERROR = 0.05
TOST_LEVEL = 0.90
FEWEST_GROUPS = 2
"""Groups up to which nothing is called: their variance has one degree of freedom, whatever their classes suggest."""
FEWEST_GROUP_DEGREES = 1.25
"""Degrees of freedom of the groups' variance below which nothing is called: with two groups, class tables of equal
variants hold a false call in 7 to 9 % of the simulated studies (docs/statistics.md)."""
CLASS_SEEDS = 3
"""Seeds below which no cell of a class table is called: with two, tables of equal variants hold a false call in up to a
quarter of the simulated studies (docs/statistics.md)."""

IN_FAMILY: tuple[Reason, ...] = ("", "no look left", "seeds left out")
"""Reasons with which an effect counts in its family: what earlier looks have spent on it stays spent."""

Key = TypeVar("Key")


@dataclass(frozen=True)
class Correction:
    """How p-values are adjusted for the family of comparisons that are read together."""

    name: str
    """As reports state it."""
    title: str
    """As people say it."""
    adjust: Callable[[Sequence[float]], list[float]]
    """p-values of a family -> adjusted ones, in the same order."""
    first_level: Callable[[int], float]
    """Comparisons that are left in a family -> level at which the first of them is called."""


@dataclass(frozen=True)
class Verdict:
    """What may be said of an effect."""

    outcome: Outcome
    reason: Reason
    p_adjusted: float
    """The p-value adjusted for the family; NaN where the effect is not judged."""
    family: int
    """Comparisons in the family that were judged, could have differed, and are not of the same runs as another."""
    tost: tuple[float, float]
    """The interval that is held against the margin."""
    tost_level: float
    """Its level: 90 % where there is one look."""
    left: int = 0
    """Comparisons of the family that no earlier look had called: Holm's first step shares the error among these."""
    look: LookHistory | None = None
    """The look that gave the verdict."""
    effect: Effect | None = None
    """What an earlier look measured, where that look gave the verdict."""


def judge(
    effects: Mapping[Key, Effect],
    margin: float,
    *,
    fewest_seeds: int = 2,
    looks: Mapping[Key, LookHistory] | None = None,
    called: int = 0,
    settled: int = 0,
) -> dict[Key, Verdict]:
    """Return the verdict of each effect of one family.

    Effects that speak only for their weights or their images are outside the family and stay undecided. `margin` is the
    largest difference that does not matter (fraction); 0 where none is stated, as for classes. Effects of fewer than
    `fewest_seeds` are outside the family too. `looks` says for each effect which look at it this is; without it there
    is one look. `called` is the number of comparisons that earlier looks called: they belong to the family, and their
    steps of Holm's procedure are done. `settled` is the number that earlier looks found equivalent: they keep their
    share of the error.
    """
    looks = {} if looks is None else looks
    # Who is in the family: what may be judged at all, and could have differed.
    reasons = {key: _unjudged(effect, fewest_seeds, looks.get(key)) for key, effect in effects.items()}
    counted = [key for key, effect in effects.items() if reasons[key] in IN_FAMILY and not effect.is_nothing]
    # Two effects of the same runs under two names are one test, and count once. Equivalent ones of earlier looks keep
    # their share as p-values of 1.
    tests = {key: _test(effects[key], looks.get(key)) for key in counted}
    distinct = tuple(dict.fromkeys(tests.values()))
    left = len(distinct) + settled
    adjusted = dict(zip(distinct, CORRECTION.adjust([p for *_, p in distinct] + [1.0] * settled), strict=False))
    verdicts = {}
    for key, effect in effects.items():
        level = 1 - looks[key].level(1 - TOST_LEVEL) if key in looks else TOST_LEVEL
        tost = effect.interval(level)
        p_adjusted = math.nan if reasons[key] else adjusted[tests[key]] if key in tests else 1.0
        outcome, reason = _call(effect, p_adjusted, tost, margin)
        if reasons[key]:
            outcome, reason = "undecided", reasons[key]
        verdicts[key] = Verdict(outcome, reason, p_adjusted, left + called, tost, level, left, looks.get(key))
    return verdicts


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted by Holm (1979): the k-th smallest of n times n - k + 1, made monotone, at most 1."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [1.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


CORRECTION = Correction("holm", "Holm", holm, lambda left: FAMILY_ERROR / max(left, 1))
"""The correction of every family. Another one that steps down, as `judge_in_order` needs it, goes in here."""


def _test(effect: Effect, look: LookHistory | None) -> tuple[float, float, float]:
    """Return what two effects of the same runs have in common; the last entry is the p-value, adjusted for the look."""
    spent = effect.p
    if look is not None:
        spent = 1.0 if look.missing or not look.level(FAMILY_ERROR) else look.adjusted(effect.p)
    return abs(effect.delta), effect.se, spent


def _unjudged(effect: Effect, fewest_seeds: int, look: LookHistory | None) -> Reason:
    """Return why an effect is not judged; empty where it is."""
    if effect.scope == "these folds":
        return "few folds"
    if effect.spread.seeds == 1:
        return "one seed"
    if effect.scope not in JUDGED:
        return "one group"
    if effect.spread.seeds < fewest_seeds:
        return "few seeds"
    if effect.evaluated.groups <= FEWEST_GROUPS or 0 < effect.spread.group_degrees < FEWEST_GROUP_DEGREES:
        return "few groups"
    if look is None:
        return ""
    return "no look left" if not look.level(FAMILY_ERROR) else "seeds left out" if look.missing else ""


def _call(effect: Effect, p_adjusted: float, tost: tuple[float, float], margin: float) -> tuple[Outcome, Reason]:
    if -margin <= tost[0] and tost[1] <= margin:
        return "equivalent", ""
    if p_adjusted <= FAMILY_ERROR:
        return ("improved" if effect.delta > 0 else "regressed"), ""
    return "undecided", "only before correction" if effect.p <= FAMILY_ERROR else "noise"


@dataclass(frozen=True)
class FamilyAtLook(Generic[Key]):
    """A family as it was at one look."""

    effects: Mapping[Key, Effect]
    looks: Mapping[Key, LookHistory]
    """Which look at each this was."""


def judge_in_order(moments: Sequence[FamilyAtLook[Key]], margin: float, *, fewest_seeds: int = 2) -> dict[Key, Verdict]:
    """Return the verdict of each present comparison by the first look that called it, else by the present one.

    The moments are in the order of time, the present one last. What differs in no run and no group is judged again at
    each look, since nothing was seen of it. The other arguments are those of `judge`.
    """
    closed: dict[Key, Verdict] = {}
    for moment in moments:
        left = {key: effect for key, effect in moment.effects.items() if key not in closed}
        called, settled = _count(closed)
        verdicts = judge(left, margin, fewest_seeds=fewest_seeds, looks=moment.looks, called=called, settled=settled)
        closed |= {
            key: replace(verdict, effect=left[key])
            for key, verdict in verdicts.items()
            if verdict.outcome != "undecided" and not left[key].is_nothing
        }
    return {key: verdicts[key] if key in verdicts else closed[key] for key in moments[-1].effects}


def _count(closed: Mapping[Key, Verdict]) -> tuple[int, int]:
    """Return how many comparisons were called, and how many were only found equivalent; the same runs count once."""
    found = {
        (abs(verdict.effect.delta), verdict.effect.se, verdict.look): verdict.p_adjusted <= FAMILY_ERROR
        for verdict in closed.values()
        if verdict.effect is not None
    }
    return sum(found.values()), len(found) - sum(found.values())
