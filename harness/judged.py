"""Which weights of a run are judged: those of one of the epochs that it trained, its best or its last.

What a run began with is never judged under its name. Results of older versions may have nothing else: those versions
took epoch 0 of a warm-started run for its best where no trained epoch beat it, and kept no counts of the last epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from harness.records import Counts, Plan, RunConfig, RunResult, Which

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
