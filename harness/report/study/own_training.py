"""Start -> own training: what a warm-started variant's training made of the weights it began with, and in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress

from harness.errors import InputError
from harness.judged import last_epoch
from harness.records import Counts, Plan, RunResult
from harness.report.page.sentences import earlier_call, interval, left_out
from harness.report.page.text import counted, escape, percent, points
from harness.report.study.judge import make_claim
from harness.report.study.over_looks import START, judge_over_looks, look_at
from harness.report.study.record import OwnTraining, Report
from harness.report.study.seeds import known, make_estimate, order_splits
from harness.report.study.variants import VariantRuns, flat_texts
from harness.scores import miou_dataset
from harness.spec.plan import name_start
from harness.stats.effects import Effect, Study, compare
from harness.stats.folds import study_of
from harness.stats.looks import FEWEST_SEEDS, LookSchedule
from harness.stats.margins import HEADLINE, RunKey


def make_own_training(
    plan: Plan, groups: Sequence[VariantRuns], looks: LookSchedule, primary: str
) -> tuple[OwnTraining, ...]:
    """Return, on each split, the effect of each warm-started variant's own training.

    All of the primary split are one family; on others none is judged. A variant that trains nothing has none, and
    neither has one without counts of its start.
    """
    found: list[OwnTraining] = []
    for split in order_splits(name for group in groups for item in group.results.values() for name in item.counts):
        studies = _make_studies(groups, split)
        effects = _compare(studies)
        # One family over all warm-started variants, on the split that verdicts are given on; elsewhere the effects are
        # shown without one.
        limits = (plan.margin, FEWEST_SEEDS)
        verdicts = judge_over_looks(studies, effects, _compare, looks, limits) if split == primary else {}
        for group in (group for group in groups if group.name in effects):
            effect, start = effects[group.name], str(name_start(plan, group.runs[0]))
            judging = (look_at(effect, looks), plan.margin)
            kept_start, scores = _keep_if_better(plan, group, split)
            found.append(
                OwnTraining(
                    variant=group.name,
                    start=start,
                    split=split,
                    claim=make_claim(split, (group.name, start), effect, verdicts.get(group.name), judging),
                    kept=make_estimate(scores),
                    kept_start=kept_start,
                )
            )
    return tuple(found)


def _compare(studies: Sequence[Study]) -> dict[str, Effect]:
    """Return the effect of the own training of each variant that has a start."""
    warm = [(study, name) for study in studies for name in study.variants if name + START in study.variants]
    return {name: compare(study, name, name + START, only=[HEADLINE])[HEADLINE] for study, name in warm}


def _make_studies(groups: Sequence[VariantRuns], split: str) -> list[Study]:
    """Return, for variants that were judged alike, a study of them and of their starts, where any has one.

    All are in it, not the warm-started alone: each seed of the study tells how much training differs from seed to seed.
    """
    alike: dict[tuple[tuple[str, str], ...], list[VariantRuns]] = {}
    for group in groups:
        if group.first is not None and not group.inner_conflicts and not group.is_evaluated_only:
            alike.setdefault(tuple(flat_texts(group.first.contract).items()), []).append(group)
    studies = []
    for pool in alike.values():
        counts: dict[RunKey, Counts] = {}
        for group in pool:
            for seed, own, start in _counts(group, split):
                counts |= {(group.name, seed): own} | ({} if start is None else {(group.name + START, seed): start})
        if not any(name.endswith(START) for name, _ in counts):
            continue
        with suppress(InputError):  # the notes on comparisons say what differs
            studies.append(study_of(counts, split, pool[0].folds))
    return studies


def _counts(group: VariantRuns, split: str) -> Iterator[tuple[int, Counts, Counts | None]]:
    """Yield seed, counts after training and counts of the start, where the split was reported."""
    for seed, result in group.results.items():
        if split in result.counts:
            yield seed, result.counts[split], result.start_counts.get(split)


def _keep_if_better(plan: Plan, group: VariantRuns, split: str) -> tuple[tuple[int, ...], dict[int, float | None]]:
    """Return the seeds with which the start is kept, and the score of each seed's choice."""
    kept_start, scores = [], {}
    for seed, own, start in _counts(group, split):
        if start is None:
            continue
        if not _is_higher(group, group.results[seed], plan):
            kept_start.append(seed)
        scores[seed] = known(miou_dataset((start if seed in kept_start else own).confusion_CC()))
    return tuple(kept_start), scores


def _is_higher(group: VariantRuns, result: RunResult, plan: Plan) -> bool:
    """Tell whether the score that selects epochs is higher after training than before; one that is undefined is not."""
    by_epoch = {item.epoch: item.metrics[f"val/{group.runs[0].config.evaluate.select_on}"] for item in result.history}
    own = by_epoch[result.best_epoch if plan.epoch == "best" and result.best_epoch else last_epoch(result)]
    return own > by_epoch[0] or (math.isnan(by_epoch[0]) and not math.isnan(own))


def own_training_lines(report: Report) -> Iterator[str]:
    """Yield two lines for each warm-started variant, on the primary split.

    The first says what its own training did, the second what keeping the start gives.
    """
    for item in (item for item in report.own_training if item.split == report.primary):
        who, start = escape(item.variant), escape(item.start)
        seeds = f"{len(item.kept_start)} of {counted(len(item.kept.seeds), 'seed')}"
        yield f"Start -> own training: {_tell(item)}"
        yield (
            f"Kept if better: whoever keeps, with each seed, the better of {who} and {start} has "
            f"{percent(item.kept.mean)} %; it is the start with {seeds}."
        )


def _tell(item: OwnTraining) -> str:
    """Return the claim in short: what stands behind it, and what would decide it, is told of the comparisons."""
    claim, who, start = item.claim, escape(item.variant), f"its start {escape(item.start)}"
    if claim.low == claim.high == 0:
        return f"**{who} scores exactly like** {start} with every seed."
    size = f"{points(claim.delta)} points of miou_dataset{interval(claim)}"
    then = f" {earlier_call(claim)}" if claim.called else ""
    left = f", {left_out(claim)}" if claim.left_out else ""
    if claim.outcome in ("improved", "regressed"):
        return f"**{who} {claim.outcome}** against {start}: {size}.{then}"
    if claim.outcome == "equivalent":
        return f"**{who} is equivalent** to {start}: {size}.{then}"
    return f"**undecided** whether {who} is better or worse than {start}: {size}{left}."
