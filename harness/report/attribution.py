"""Which component made how much of a difference, as far as the design of a family of variants can tell.

What is read together is judged together (Holm): the main effects of a family of variants are one family of tests, their
interactions another; where only brackets are known, all sides of them are one, and their interactions another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from harness.records import Plan
from harness.report.estimates import known
from harness.report.judge import HEADLINE, Judged
from harness.report.shares import BracketPart, FamilyAttribution, Part
from harness.stats.attribution import Attribution, attribute
from harness.stats.effects import Effect
from harness.stats.looks import Look, Looks
from harness.stats.verdicts import Verdict, judge

LookAt = Callable[[Effect], Look]
Key = TypeVar("Key")


def make_attributions(plan: Plan, judged: Sequence[Judged], looks: Looks) -> tuple[FamilyAttribution, ...]:
    """Return the attribution of every family of variants with at least two combinations that have results.

    One for each of these splits, whose verdicts are families of their own.
    """
    families = tuple(dict.fromkeys(run.family for run in plan.runs if run.family and run.design))
    return tuple(made for item in judged for family in families for made in _attribute(plan, item, family, looks))


def _attribute(plan: Plan, judged: Judged, family: str, looks: Looks) -> Iterator[FamilyAttribution]:
    found = {on: name for on, name in plan.combinations(family).items() if name in judged.study.variants}
    if len(found) < 2 or not frozenset.union(*found) - frozenset.intersection(*found):
        return
    made = attribute(judged.study, found, HEADLINE)

    def look_at(effect: Effect) -> Look:
        return looks.at(found.values(), len(effect.by_seed))

    designs = tuple(dict.fromkeys(name for run in plan.runs if run.family == family for name in run.design))
    yield FamilyAttribution(
        family=family,
        split=judged.split,
        designs=designs,
        combinations=len(found),
        total=_part("all components", made.total) if made.total else None,
        main=_parts(made.main, look_at),
        interactions=_parts({" x ".join(pair): effect for pair, effect in made.interactions.items()}, look_at),
        shapley=tuple(_part(name, effect) for name, effect in made.shapley.items()),
        brackets=_brackets(made, look_at),
        aliases=dict(made.aliases),
    )


def _parts(effects: Mapping[str, Effect], look_at: LookAt) -> tuple[Part, ...]:
    """Return parts that are read together, judged as one family."""
    verdicts = _judge(effects, look_at)
    return tuple(_part(name, effect, verdicts[name]) for name, effect in effects.items())


def _judge(effects: Mapping[Key, Effect], look_at: LookAt) -> dict[Key, Verdict]:
    return judge(effects, 0.0, looks={key: look_at(effect) for key, effect in effects.items()})


def _brackets(made: Attribution, look_at: LookAt) -> tuple[BracketPart, ...]:
    sides = {(name, side): getattr(found, side) for name, found in made.brackets.items() for side in ("few", "many")}
    opened = {name: found.interaction for name, found in made.brackets.items() if found.interaction}
    verdicts, opened_verdicts = _judge(sides, look_at), _judge(opened, look_at)
    return tuple(
        BracketPart(
            name=name,
            few_on=tuple(sorted(bracket.few_on)),
            few=_part(name, bracket.few, verdicts[name, "few"]),
            many_on=tuple(sorted(bracket.many_on)),
            many=_part(name, bracket.many, verdicts[name, "many"]),
            interaction=_part(name, opened[name], opened_verdicts[name]) if name in opened else None,
        )
        for name, bracket in made.brackets.items()
    )


def _part(name: str, effect: Effect, verdict: Verdict | None = None) -> Part:
    # a margin of 0 calls equivalent only what differs nowhere
    outcome = verdict.outcome if verdict and verdict.outcome != "equivalent" else "undecided" if verdict else None
    return Part(
        name=name,
        delta=effect.delta,
        low=known(effect.low),
        high=known(effect.high),
        p=known(effect.p),
        p_holm=known(verdict.p_holm) if verdict else None,
        outcome=outcome,
        seeds=len(effect.by_seed),
        groups=effect.held.groups,
    )
