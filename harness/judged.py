"""What is judged: weights of one of the epochs that a run trained, its best or its last; and on which split.

What a run began with is never judged under its name. Results of older versions may have nothing else: those versions
took epoch 0 of a warm-started run for its best where no trained epoch beat it, and kept no counts of the last epoch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from harness.fingerprint import digest_bytes
from harness.records import Counts, JudgedSplit, Plan, Run, RunConfig, RunResult, Which

INHERITED = (
    "an older version of harness took the weights that it started from for its best epoch, so its own training was not "
    "judged; harness run trains it again"
)
NO_LAST = (
    "an older version of harness kept no counts of its last epoch, which compare.epoch asks for; remove its folder, "
    "and harness run trains it again"
)


def is_evaluated_only(config: RunConfig) -> bool:
    """Tell whether a run trains nothing: its scores are those of given weights, and no recipe's."""
    return config.train.epochs == 0


def last_epoch(result: RunResult) -> int:
    """Return the last finished epoch of a result that has any."""
    return result.history[-1].epoch


def is_inherited(result: RunResult) -> bool:
    """Tell whether the counts of the best epoch are those of weights that the run began with, though it trained."""
    return result.best_epoch == 0 and any(item.epoch > 0 for item in result.history)


def judged_results(plan: Plan, results: Mapping[str, RunResult]) -> dict[str, RunResult]:
    """Return the results with `counts` of the epoch that the plan compares; twice is the same as once.

    A finished result that has none of its own loses its counts, and its `reason` says why. Regions are kept of the best
    epoch alone, and so are predictions.
    """
    return {id_: _judge(plan, result) for id_, result in results.items()}


def _judge(plan: Plan, result: RunResult) -> RunResult:
    if result.status != "finished" or not result.counts:
        return result
    # The weights that a run began with would be taken for what it learned: no score is better than such a one.
    counts = counts_at(result, plan.epoch)
    if not counts and is_inherited(result):
        return _without_counts(replace(result, best_epoch=None), INHERITED)
    if not counts:
        return _without_counts(result, NO_LAST)
    if plan.epoch == "best":
        return result
    return replace(
        result,
        counts=counts,
        regions={},
        predictions=result.predictions if result.best_epoch == last_epoch(result) else None,
        contract={**result.contract, "checkpoint": "last"},
    )


def _without_counts(result: RunResult, reason: str) -> RunResult:
    return replace(result, counts={}, regions={}, examples=None, predictions=None, reason=reason)


def counts_at(result: RunResult, which: Which) -> Mapping[str, Counts]:
    """Return a run's counts of the best, or of the last, of the epochs that it trained; none where none were kept."""
    if not result.counts or is_inherited(result):
        return {}
    if which == "best":
        return result.counts
    return result.last_counts or (result.counts if result.best_epoch == last_epoch(result) else {})


def digest_counts(result: RunResult) -> str:
    """Return a digest of what a finished run counted, the same for all epochs that a plan may compare."""
    counts = result.last_counts or result.counts
    return digest_bytes(part for name in sorted(counts) for part in (name.encode(), counts[name].pixels_K.tobytes()))


BLIND_SCHEDULES = ("constant", "cosine", "poly", "step")
"""Schedules that look at no score."""


def primary_split(plan: Plan, splits: Collection[str]) -> JudgedSplit:
    """Return the split that verdicts are given on: the one that the study names, or else by rule.

    By rule: val where it chose nothing of what is compared, else test where it is among `splits`, the splits that
    there are counts of, else val.
    """
    if plan.split is not None:
        return plan.split
    return "test" if "test" in splits and any(_was_chosen_on_val(plan, run) for run in plan.runs) else "val"


def _was_chosen_on_val(plan: Plan, run: Run) -> bool:
    """Tell whether images that are reported as val had a say in a run's weights: in its epoch, its rate, its start.

    Of a start that the plan does not hold nothing is known, so it is taken to be chosen.
    """
    # Three ways in: the best epoch, a rule that stops or slows by the score, and a start that was chosen so.
    train, evaluate = run.config.train, run.config.evaluate
    if evaluate.select_split == "val" and train.epochs:
        looks = train.early_stop is not None or run.config.schedule.name not in BLIND_SCHEDULES
        if looks or plan.epoch == "best":
            return True
    if run.start is None:
        return False
    parent = next((other for other in plan.runs if other.id == run.start.run_id), None)
    if parent is None:
        return True
    is_chosen = parent.config.evaluate.select_split == "val" and parent.config.train.epochs > 0
    return is_chosen and run.start.which == "best"
