"""A variant's runs and results side by side, which of them may be compared, and what their splits hold.

Results may be compared whose contracts agree: split, evaluated size, ignore rule, taxonomy and so on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.fingerprint import canonical, flatten
from harness.judged import is_evaluated_only
from harness.records import Counts, Plan, Run, RunResult
from harness.report.study.seeds import order_splits

LONGEST = 40
DETAILS = ("classes", "class_of")
"""What a taxonomy's name stands for."""


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
    pairs = [(mine, reference.results[seed]) for seed, mine in here.results.items() if seed in reference.results]
    # Without a common seed there is no pair; whether the two could be compared at all is still to be told.
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


def flat_texts(value: Mapping[str, Any]) -> dict[str, str]:
    """Return dotted key -> canonical text for nested mappings, in the order of the keys; lists are single values."""
    return {key: item if isinstance(item, str) else canonical(item) for key, item in sorted(flatten(value).items())}


def disagreements(here: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[str, ...]:
    """Return, for each key in which two contracts differ, `<key> is <here>, there <other>`."""
    mine, theirs = flat_texts(here), flat_texts(other)
    if mine.get("taxonomy") != theirs.get("taxonomy"):  # the name says it: its classes differ, of course
        mine, theirs = ({key: text for key, text in flat.items() if key not in DETAILS} for flat in (mine, theirs))
    return tuple(
        f"{key} is {_short(mine.get(key))} here and {_short(theirs.get(key))} there"
        for key in sorted(mine.keys() | theirs.keys())
        if mine.get(key) != theirs.get(key)
    )


def _short(text: str | None) -> str:
    if text is None:
        return "not stated"
    return text if len(text) <= LONGEST else f"{text[:12]}..."


def counts_by_split(groups: Sequence[VariantRuns]) -> dict[str, Counts]:
    """Return split -> counts of the first result that has it; with folds, of all folds that its variant has."""
    found: dict[str, Counts] = {}
    for group in groups:
        for result in group.results.values():
            for split in result.counts.keys() - found.keys():
                found[split] = _over_folds(group, split) if group.folds else result.counts[split]
    return {split: found[split] for split in order_splits(found)}


def _over_folds(group: VariantRuns, split: str) -> Counts:
    """Return the counts of a variant's folds as one; of seeds on the same images, those of the first."""
    found: dict[tuple[str, ...], Counts] = {}
    for result in group.results.values():
        if split in result.counts:
            found.setdefault(result.counts[split].images, result.counts[split])
    folds = tuple(found.values())
    # Images of a later fold are numbered on after those of the earlier ones.
    first = np.cumsum([0, *(len(fold.images) for fold in folds)])
    return Counts(
        image_K=np.concatenate([fold.image_K + start for fold, start in zip(folds, first[:-1], strict=True)]),
        true_K=np.concatenate([fold.true_K for fold in folds]),
        predicted_K=np.concatenate([fold.predicted_K for fold in folds]),
        pixels_K=np.concatenate([fold.pixels_K for fold in folds]),
        images=tuple(image for fold in folds for image in fold.images),
        groups=tuple(name for fold in folds for name in fold.groups),
        classes=folds[0].classes,
    )
