"""A variant's runs and results side by side, and which of them may be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.judged import is_evaluated_only
from harness.records import Plan, Run, RunResult
from harness.report.study.contracts import disagreements


@dataclass(frozen=True)
class VariantRuns:
    """One variant's runs in the order of the plan, and the results of those that finished."""

    name: str
    runs: tuple[Run, ...]
    results: Mapping[int, RunResult]
    """Seed -> result of a finished run."""

    @property
    def first(self) -> RunResult | None:
        """Return the finished result with which the others must agree, if any has finished."""
        return next(iter(self.results.values()), None)

    @property
    def folds(self) -> int | None:
        """Return the number of folds of its data, of which each seed validates on one; None without folds."""
        return self.runs[0].config.data.folds

    @property
    def is_evaluated_only(self) -> bool:
        """Tell whether nothing is trained: the scores are those of given weights, and no recipe's."""
        return is_evaluated_only(self.runs[0].config)

    @property
    def inner_conflicts(self) -> tuple[str, ...]:
        """Return in what the contracts of this variant's own seeds differ; such seeds are not averaged.

        With folds each seed is judged on images of its own, on purpose.
        """
        contracts = [dict(result.contract) for result in self.results.values()]
        if self.folds:
            contracts = [{key: value for key, value in item.items() if key != "splits"} for item in contracts]
        found = [disagreements(contract, contracts[0]) for contract in contracts]
        return tuple(dict.fromkeys(text for texts in found for text in texts))


def conflicts(here: VariantRuns, reference: VariantRuns) -> tuple[str, ...]:
    """Return in what the contracts of two variants differ, seed by seed; empty where they agree or have no results."""
    shared = [seed for seed in here.results if seed in reference.results]
    pairs = [(here.results[seed], reference.results[seed]) for seed in shared]
    if not pairs and here.first is not None and reference.first is not None:
        pairs = [(here.first, reference.first)]
    found = [disagreements(mine.contract, other.contract) for mine, other in pairs]
    return tuple(dict.fromkeys(text for texts in found for text in texts))


def comparable(here: VariantRuns, reference: VariantRuns | None) -> bool:
    """Tell whether differences between two variants have a meaning."""
    if reference is None or here.first is None or reference.first is None:
        return False
    return not (conflicts(here, reference) or here.inner_conflicts or reference.inner_conflicts)


def group_runs(plan: Plan, results: Mapping[str, RunResult]) -> tuple[VariantRuns, ...]:
    """Return the plan's variants, each with its runs and its finished results that have counts of their own."""
    return tuple(
        VariantRuns(name, runs, {run.seed: results[run.id] for run in runs if _is_finished(results.get(run.id))})
        for name in plan.variants
        if (runs := tuple(run for run in plan.runs if run.variant == name))
    )


def _is_finished(result: RunResult | None) -> bool:
    return result is not None and result.status == "finished" and bool(result.counts)
