"""What a tuning report says, as a record: searches, what mattered in them, and what the winners gained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from pydantic import JsonValue

from harness.report.study.base import Record
from harness.report.study.chances import turn_chances
from harness.report.study.claims import Claim, EarlierCall, Outcome
from harness.report.study.record import Report
from harness.spec.tuning import Importance, Trial, Tuning, front
from harness.tune.optuna_study import measure_importance
from harness.tune.winners import TUNED, SearchOutcome

Value = int | float | str


class KnobRecord(Record):
    """One searched setting."""

    key: str
    kind: str
    low: float | None
    high: float | None
    choices: tuple[str, ...]
    written: Value | None
    """Its value as written; null where that lies outside the space, or it is not searched there."""
    best: Value | None
    """Its value in the winning trial; null where it was not searched there."""


class TunedVariant(Record):
    """One variant's search and what it gained."""

    name: str
    search: str
    """Name of the search in its database."""
    trials: tuple[Trial, ...]
    """Numbered from 1, as readers count."""
    best: int | None
    """Number of the winning trial."""
    front: tuple[int, ...]
    """Numbers of the trials than which none is better in every objective."""
    knobs: tuple[KnobRecord, ...]
    importance: tuple[Importance, ...]
    gains: tuple[Claim, ...]
    """Tuned variant minus the variant as written, miou_dataset, on each split."""
    search_hours: float
    final_hours: float
    """Of the tuned variant's runs on all seeds."""


class TuningRecord(Record):
    """A study's tuning."""

    study: str
    objectives: tuple[str, ...]
    bounds: tuple[str, ...]
    sampler: str
    pruner: str
    startup: int
    trials: int
    hours: float | None
    seed: int
    judge_on: str
    margin: float
    command: str
    variants: tuple[TunedVariant, ...]


def make_record(tuning: Tuning, searches: Sequence[SearchOutcome], report: Report) -> TuningRecord:
    """Return what a tuning report says."""
    return TuningRecord(
        study=report.study,
        objectives=tuning.objectives,
        bounds=tuple(map(str, tuning.bounds)),
        **{name: value for name, value in tuning.settings if name in TuningRecord.model_fields},
        margin=report.margin,
        command=report.command,
        variants=tuple(_make_variant(tuning, item, report) for item in searches),
    )


def _make_variant(tuning: Tuning, search: SearchOutcome, report: Report) -> TunedVariant:
    name, tuned, best = search.variant.name, f"{search.variant.name}{TUNED}", search.winner
    minutes = [seed.minutes for item in report.variants if item.name == tuned for seed in item.seeds]
    # A report compares each pair once, in either order.
    claims = [item.headline for item in report.comparisons if {item.variant, item.against} == {tuned, name}]
    return TunedVariant(
        name=name,
        search=search.name,
        trials=tuple(replace(trial, number=trial.number + 1) for trial in search.trials),
        best=None if best is None else best.number + 1,
        front=tuple(trial.number + 1 for trial in front(search.trials)),
        knobs=tuple(
            KnobRecord(
                key=knob.key,
                kind=knob.kind,
                low=None if knob.kind == "choice" else knob.low,
                high=None if knob.kind == "choice" else knob.high,
                choices=knob.labels,
                written=(search.written or {}).get(knob.key),
                best=best.values.get(knob.key) if best else None,
            )
            for knob in search.knobs
        ),
        importance=measure_importance(search.knobs, search.trials, tuning.objectives),
        gains=tuple(claim if claim.variant == tuned else _turned(claim) for claim in claims),
        search_hours=sum(trial.seconds for trial in search.trials) / 3600,
        final_hours=sum(minutes) / 60,
    )


def _turned(claim: Claim) -> Claim:
    """Return the same claim with the two variants in the other order."""
    # Minus turns an interval round: its upper end becomes the lower one.
    outcomes: dict[Outcome, Outcome] = {"improved": "regressed", "regressed": "improved"}
    changes = {
        "variant": claim.against,
        "against": claim.variant,
        **_negated(claim),
        "low_margin": _minus(claim.high_margin),
        "high_margin": _minus(claim.low_margin),
        "by_seed": tuple(-value for value in claim.by_seed),
        "outcome": outcomes.get(claim.outcome, claim.outcome),
        "called": claim.called and claim.called.model_copy(update=_negated(claim.called)),
        "chances": turn_chances(claim.chances),
    }
    return claim.model_copy(update=changes)


def _negated(found: Claim | EarlierCall) -> dict[str, float | None]:
    return {"delta": -found.delta, "low": _minus(found.high), "high": _minus(found.low)}


def _minus(value: float | None) -> float | None:
    return None if value is None else -value


def as_setting(knob: KnobRecord, value: Value | None) -> JsonValue:
    """Return a searched value as a spec would write it: numbers with four digits, whole parts as mappings."""
    if knob.kind == "choice" and value is not None:
        return choice_of(str(value))
    return float(f"{value:.4g}") if isinstance(value, float) else value


def choice_of(label: str) -> JsonValue:
    """Return the choice that a label stands for: labels are texts as they are, all else as JSON."""
    try:
        value: JsonValue = json.loads(label)
    except ValueError:
        return label
    return value
