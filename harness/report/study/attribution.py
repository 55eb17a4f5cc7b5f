"""Which component made how much of a difference, as far as the design of a family of variants can tell.

What is read together is judged together (Holm): the main effects of a family of variants are one family of tests, their
interactions another; where only brackets are known, all sides of them are one, and their interactions another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter

from harness.records import Plan
from harness.report.study.claims import BracketPart, FamilyAttribution, Part
from harness.report.study.judge import SplitComparisons, find_earlier_call, share_a_seed
from harness.report.study.over_looks import judge_over_looks
from harness.report.study.seeds import known
from harness.stats.attribution import Attribution, Combinations, attribute
from harness.stats.effects import Effect, Study
from harness.stats.looks import FEWEST_SEEDS, LookSchedule
from harness.stats.margins import HEADLINE
from harness.stats.verdicts import Key, Verdict


def make_attributions(
    plan: Plan, judged: Sequence[SplitComparisons], looks: LookSchedule
) -> tuple[FamilyAttribution, ...]:
    """Return the attribution of every family of variants with at least two combinations that have results.

    One for each of these splits, whose verdicts are families of their own.
    """
    families = tuple(dict.fromkeys(run.family for run in plan.runs if run.family and run.design))
    return tuple(made for item in judged for family in families for made in _attribute(plan, item, family, looks))


def _attribute(plan: Plan, judged: SplitComparisons, family: str, looks: LookSchedule) -> Iterator[FamilyAttribution]:
    found = {on: name for on, name in plan.combinations(family).items() if name in judged.study.variants}
    if len(found) < 2:
        return
    # Four families of tests, each corrected by itself: main effects, interactions, a component's two surroundings, and
    # the differences between these. Shapley shares are described, not tested.
    made = attribute(judged.study, found, HEADLINE)
    about = (judged.study, found, looks)
    main, interactions = (_judge_parts(*about, attrgetter(kind)) for kind in ("main", "interactions"))
    sides, opened = _judge_parts(*about, _sides), _judge_parts(*about, _opened)
    designs = tuple(dict.fromkeys(name for run in plan.runs if run.family == family for name in run.design))
    yield FamilyAttribution(
        family=family,
        split=judged.split,
        designs=designs,
        combinations=len(found),
        total=_part("all components", made.total) if made.total else None,
        main=tuple(_part(name, effect, main[name]) for name, effect in made.main.items()),
        interactions=tuple(
            _part(" x ".join(pair), effect, interactions[pair]) for pair, effect in made.interactions.items()
        ),
        shapley=tuple(_part(name, effect) for name, effect in made.shapley.items()),
        brackets=tuple(
            BracketPart(
                name=name,
                few_on=tuple(sorted(bracket.few_on)),
                few=_part(name, bracket.few, sides[name, "few"]),
                many_on=tuple(sorted(bracket.many_on)),
                many=_part(name, bracket.many, sides[name, "many"]),
                interaction=_part(name, bracket.interaction, opened[name]) if bracket.interaction else None,
            )
            for name, bracket in made.brackets.items()
        ),
        aliases=dict(made.aliases),
    )


def _judge_parts(
    study: Study, found: Combinations, looks: LookSchedule, choose: Callable[[Attribution], Mapping[Key, Effect]]
) -> dict[Key, Verdict]:
    """Return the verdicts of the parts that `choose` takes of an attribution: one family, over all looks.

    At earlier looks it is judged where all combinations had a seed in common.
    """

    def compare_then(studies: Sequence[Study]) -> Mapping[Key, Effect]:
        (then,) = studies
        return choose(attribute(then, found, HEADLINE)) if share_a_seed(then, found.values()) else {}

    effects = choose(attribute(study, found, HEADLINE))
    return judge_over_looks([study], effects, compare_then, looks, (0.0, FEWEST_SEEDS))


def _sides(made: Attribution) -> Mapping[tuple[str, str], Effect]:
    return {(name, side): getattr(found, side) for name, found in made.brackets.items() for side in ("few", "many")}


def _opened(made: Attribution) -> Mapping[str, Effect]:
    return {name: found.interaction for name, found in made.brackets.items() if found.interaction}


def _part(name: str, effect: Effect, verdict: Verdict | None = None) -> Part:
    # A margin of 0 calls equivalent only what differs nowhere.
    outcome = verdict.outcome if verdict and verdict.outcome != "equivalent" else "undecided" if verdict else None
    return Part(
        name=name,
        delta=effect.delta,
        low=known(effect.low),
        high=known(effect.high),
        p=known(effect.p),
        p_adjusted=known(verdict.p_adjusted) if verdict else None,
        outcome=outcome,
        called=find_earlier_call(effect, verdict, 0.0) if verdict else None,
        seeds=len(effect.by_seed),
        groups=effect.evaluated.groups,
    )
