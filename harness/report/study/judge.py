"""Results -> claims: paired intervals and verdicts from `harness.stats`, each family of comparisons judged as one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.errors import InputError
from harness.records import Counts
from harness.report.study.chances import give_chances
from harness.report.study.claims import Claim, Comparison, EarlierCall, Floor
from harness.report.study.over_looks import judge_over_looks, look_at
from harness.report.study.seeds import known, order_splits
from harness.report.study.variants import VariantRuns, comparable
from harness.stats.effects import Effect, Study, compare
from harness.stats.folds import study_of
from harness.stats.looks import FEWEST_SEEDS, LookHistory, LookSchedule
from harness.stats.margins import HEADLINE, RunKey
from harness.stats.power import Levels, Outlook, forecast, measure_floor, power_of_difference
from harness.stats.verdicts import CLASS_SEEDS, CORRECTION, FAMILY_ERROR, TOST_LEVEL, Verdict, judge

Pair = tuple[str, str]
"""Variant, and the one it is compared with."""
Effects = Mapping[Pair, Mapping[str, Effect]]
"""Pair -> measure -> effect."""


@dataclass(frozen=True)
class SplitComparisons:
    """One split of a study: its statistics, and what they say of each pair of variants."""

    split: str
    study: Study
    effects: Effects


@dataclass(frozen=True)
class Statistics:
    """The splits on which variants can be compared, and why others cannot."""

    judged: tuple[SplitComparisons, ...] = ()
    notes: tuple[str, ...] = ()


def judge_splits(groups: Sequence[VariantRuns], reference: str) -> Statistics:
    """Return the statistics of every split on which variants were judged alike.

    Variants that train nothing are left out, unless one is the reference. Of two variants that are each other's change,
    one comparison is told. With folds, a split is judged over folds where seeds have images of their own.
    """
    # Who may be compared: those judged under one contract. The reference stays even if it trains nothing.
    by_name = {group.name: group for group in groups}
    base = by_name.get(reference)
    if base is None or base.first is None:
        return Statistics()
    alike = [group for group in groups if group is base or (comparable(group, base) and not group.is_evaluated_only)]
    names = {group.name for group in alike}
    others = [group for group in alike if group is not base]
    # Each variant with the reference and with the one whose change it is; a pair the other way round tells nothing new,
    # and one without a common seed nothing at all.
    pairs = [(group.name, other) for group in others for other in _others(group, reference) if other in names]
    pairs = [pair for place, pair in enumerate(pairs) if pair[::-1] not in pairs[:place]]
    pairs = [pair for pair in pairs if by_name[pair[0]].results.keys() & by_name[pair[1]].results.keys()]
    judged, notes = [], []
    # A split whose images differ after all costs its verdicts, not the report.
    for split in order_splits(base.first.counts):
        try:
            study = study_of(_counts(alike, split), split, base.folds)
        except InputError as error:
            notes.append(f"No intervals or verdicts are given on {split}, though the contracts agree: {error}.")
        else:
            judged.append(SplitComparisons(split, study, {pair: compare(study, *pair) for pair in pairs}))
    return Statistics(tuple(judged), tuple(notes))


def share_a_seed(study: Study, variants: Iterable[str]) -> bool:
    """Tell whether some variants of a study have a seed in common."""
    return any(all((name, seed) in study.row_of for name in variants) for seed in study.seeds)


def _others(group: VariantRuns, reference: str) -> tuple[str, ...]:
    """Return what a variant is compared with: the reference, and the one whose settings it changes.

    Combinations of a design are compared with the reference alone: the attribution sets them against each other.
    """
    run = group.runs[0]
    is_combination = bool(run.design) and run.design != ("together",)
    found = (reference, "" if is_combination else run.settings_from)
    return tuple(dict.fromkeys(name for name in found if name and name != group.name))


def _counts(groups: Sequence[VariantRuns], split: str) -> dict[tuple[str, int], Counts]:
    return {
        (group.name, seed): result.counts[split]
        for group in groups
        for seed, result in group.results.items()
        if split in result.counts
    }


def make_comparisons(
    judged: Sequence[SplitComparisons],
    margin: float,
    looks: LookSchedule | None,
    primary: str,
    expected: float | None = None,
) -> tuple[Comparison, ...]:
    """Return the claims of all pairs. On the primary split, headlines are one family and all class IoUs another one.

    On other splits there are differences and intervals, and nothing is judged. `looks` are those at the study so far;
    without it the levels are those of a single look, as a gate's are. `expected` is the size of the differences that
    the study expects; without it no probabilities are given.
    """
    found = []
    for item in judged:
        verdicts, cell_verdicts = _judge(item, margin, looks) if item.split == primary else ({}, {})
        for pair, effect in _headlines(item.effects).items():
            judging = (None if looks is None else look_at(effect, looks), margin)
            classes = tuple(
                make_claim(item.split, pair, cell, cell_verdicts.get((pair, name)), judging)
                for name, cell in item.effects[pair].items()
                if name != HEADLINE
            )
            headline = make_claim(item.split, pair, effect, verdicts.get(pair), judging)
            headline = headline.model_copy(update={"chances": give_chances(headline, effect, margin, expected)})
            found.append(
                Comparison(variant=pair[0], against=pair[1], split=item.split, headline=headline, classes=classes)
            )
    return tuple(found)


def _judge(
    item: SplitComparisons, margin: float, looks: LookSchedule | None
) -> tuple[dict[Pair, Verdict], dict[tuple[Pair, str], Verdict]]:
    """Return the verdicts of all headlines, and those of all class IoUs; what was at earlier looks is compared once."""
    compared: dict[tuple[RunKey, ...], Effects] = {}

    def compare_then(studies: Sequence[Study]) -> Effects:
        (study,) = studies
        if study.runs not in compared:
            pairs = [pair for pair in item.effects if share_a_seed(study, pair)]
            compared[study.runs] = {pair: compare(study, *pair) for pair in pairs}
        return compared[study.runs]

    def heads_then(studies: Sequence[Study]) -> Mapping[Pair, Effect]:
        return _headlines(compare_then(studies))

    def cells_then(studies: Sequence[Study]) -> Mapping[tuple[Pair, str], Effect]:
        return _cells(compare_then(studies))

    # Two families: a variant is judged by its headline whatever the number of classes is.
    return (
        judge_over_looks([item.study], _headlines(item.effects), heads_then, looks, (margin, FEWEST_SEEDS)),
        judge_over_looks([item.study], _cells(item.effects), cells_then, looks, (0.0, CLASS_SEEDS)),
    )


def _headlines(effects: Effects) -> dict[Pair, Effect]:
    return {pair: found[HEADLINE] for pair, found in effects.items()}


def _cells(effects: Effects) -> dict[tuple[Pair, str], Effect]:
    return {
        (pair, name): effect for pair, found in effects.items() for name, effect in found.items() if name != HEADLINE
    }


def make_claim(
    split: str, pair: Pair, effect: Effect, verdict: Verdict | None, judging: tuple[LookHistory | None, float]
) -> Claim:
    """Return what is claimed of an effect; without a verdict it is not judged. `judging` is its look and margin."""
    if verdict is None:
        nothing = Verdict("undecided", "", math.nan, 0, (math.nan, math.nan), TOST_LEVEL)
        claim = make_claim(split, pair, effect, nothing, (None, 0.0))
        return claim.model_copy(update={"outcome": "not judged", "reason": "other split"})
    look, margin = judging
    look = verdict.look or look
    low_margin, high_margin = verdict.tost if verdict.effect is None else effect.interval(verdict.tost_level)
    return Claim(
        variant=pair[0],
        against=pair[1],
        split=split,
        measure=effect.measure,
        delta=effect.delta,
        low=known(effect.low),
        high=known(effect.high),
        p=known(effect.p),
        scope=effect.scope,
        outcome=verdict.outcome,
        reason=verdict.reason,
        p_adjusted=known(verdict.p_adjusted),
        family=verdict.family,
        low_margin=known(low_margin),
        high_margin=known(high_margin),
        margin_level=verdict.tost_level,
        look=len(look.counts) if look else 1,
        looks=len({*look.declared, *look.counts}) if look and look.declared else None,
        look_level=look.level(FAMILY_ERROR) if look else FAMILY_ERROR,
        seeds=tuple(effect.by_seed),
        by_seed=tuple(effect.by_seed.values()),
        left_out=verdict.look.missing if verdict.look else (),
        **vars(effect.evaluated),
        called=find_earlier_call(effect, verdict, margin),
        power=_find_power(verdict.effect or effect, verdict) if verdict.outcome in ("improved", "regressed") else None,
        outlook=_look_ahead(effect, verdict, judging),
        chances=None,
    )


def find_earlier_call(effect: Effect, verdict: Verdict, margin: float) -> EarlierCall | None:
    """Return which earlier look, at fewer seeds than an effect has now, gave its verdict; None where none did."""
    then = verdict.effect
    if then is None or verdict.look is None or then.by_seed.keys() == effect.by_seed.keys():
        return None
    if verdict.outcome == "equivalent":
        low, high = effect.interval(verdict.tost_level)
        agrees = -margin <= low and high <= margin
    else:
        agrees = effect.low > 0 if verdict.outcome == "improved" else effect.high < 0
    return EarlierCall(
        seeds=tuple(then.by_seed), delta=then.delta, low=known(then.low), high=known(then.high), agrees=agrees
    )


def _find_power(effect: Effect, verdict: Verdict) -> float:
    alpha = CORRECTION.first_level(verdict.left)
    return power_of_difference(effect.delta, effect.spread, verdict.look.level(alpha) if verdict.look else alpha)


def _look_ahead(effect: Effect, verdict: Verdict, judging: tuple[LookHistory | None, float]) -> Outlook | None:
    """Return what would decide a headline that is undecided; `judging` is the look at it and the margin."""
    look, margin = judging
    if look is None or verdict.reason not in ("noise", "only before correction") or effect.measure != HEADLINE:
        return None

    def levels(seeds: int) -> Levels:
        after = look.after(seeds)
        return Levels(after.level(CORRECTION.first_level(verdict.left)), 1 - after.level(1 - TOST_LEVEL))

    return forecast(effect, look.later, levels, margin)


def make_floors(judged: Sequence[SplitComparisons], reference: str, looks: LookSchedule) -> tuple[Floor, ...]:
    """Return the noise floor of the reference on each of these splits.

    The smallest difference that it would find is that of the correction's first step, in the family of all headlines
    that the present look judges.
    """
    floors = []
    for item in judged:
        headlines = _headlines(item.effects)
        # The smallest detectable difference depends on the level at which a headline would be called today: the error
        # that is left at this look, shared among those that are still open.
        now = {pair: look_at(effect, looks) for pair, effect in headlines.items()}
        family = max((verdict.left for verdict in judge(headlines, 0.0, looks=now).values()), default=0)
        chosen = {pair: effect for pair, effect in headlines.items() if pair[1] == reference}
        levels = [now[pair].level(CORRECTION.first_level(family)) for pair in chosen]
        floor = measure_floor(item.study, reference, HEADLINE, chosen.values(), min(levels, default=FAMILY_ERROR))
        folds = next((effect.evaluated.folds for effect in headlines.values()), None)
        found = {name: known(value) for name, value in vars(floor).items()}
        floors.append(Floor.model_validate({"variant": reference, "split": item.split, "folds": folds, **found}))
    return tuple(floors)
