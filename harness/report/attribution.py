"""Which component made how much of a difference, as far as the design of a family of variants can tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.records import Plan
from harness.report.estimates import known
from harness.report.judge import HEADLINE, Judged
from harness.report.shares import BracketPart, FamilyAttribution, Part
from harness.stats.attribution import Attribution, attribute
from harness.stats.effects import Effect


def make_attributions(plan: Plan, judged: Sequence[Judged]) -> tuple[FamilyAttribution, ...]:
    """Return the attribution of every family of variants with at least two combinations that have results."""
    families = tuple(dict.fromkeys(run.family for run in plan.runs if run.family and run.design))
    return tuple(made for item in judged for family in families for made in _attribute(plan, item, family))


def _attribute(plan: Plan, judged: Judged, family: str) -> Iterator[FamilyAttribution]:
    found = {on: name for on, name in plan.combinations(family).items() if name in judged.study.variants}
    if len(found) < 2 or not frozenset.union(*found) - frozenset.intersection(*found):
        return
    made = attribute(judged.study, found, HEADLINE)
    designs = tuple(dict.fromkeys(name for run in plan.runs if run.family == family for name in run.design))
    yield FamilyAttribution(
        family=family,
        split=judged.split,
        designs=designs,
        combinations=len(found),
        total=_part("all components", made.total) if made.total else None,
        main=tuple(_part(name, effect) for name, effect in made.main.items()),
        interactions=tuple(_part(" x ".join(pair), effect) for pair, effect in made.interactions.items()),
        shapley=tuple(_part(name, effect) for name, effect in made.shapley.items()),
        brackets=_brackets(made),
        aliases=dict(made.aliases),
    )


def _brackets(made: Attribution) -> tuple[BracketPart, ...]:
    return tuple(
        BracketPart(
            name=name,
            few_on=tuple(sorted(bracket.few_on)),
            few=_part(name, bracket.few),
            many_on=tuple(sorted(bracket.many_on)),
            many=_part(name, bracket.many),
            interaction=_part(name, bracket.interaction) if bracket.interaction else None,
        )
        for name, bracket in made.brackets.items()
    )


def _part(name: str, effect: Effect) -> Part:
    return Part(
        name=name,
        delta=effect.delta,
        low=known(effect.low),
        high=known(effect.high),
        p=known(effect.p),
        seeds=len(effect.by_seed),
        groups=effect.held.groups,
    )
