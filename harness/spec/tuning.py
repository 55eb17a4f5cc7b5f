"""A search as asked for, its trials, and which of them won."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from harness.spec.space import Knob, Values
from harness.spec.tune_settings import JudgeOn, PrunerName, SamplerName

IOU = "iou/"
SPEED, SECONDS = "images_per_s", "run_seconds"
TrialState = Literal["running", "finished", "pruned", "failed"]


@dataclass(frozen=True)
class Bound:
    """What a measure must keep."""

    measure: str
    side: Literal["at_least", "at_most"]
    limit: float

    def excess(self, value: float) -> float:
        """Return by how much a value breaks the bound; 0 or less where it keeps it."""
        return self.limit - value if self.side == "at_least" else value - self.limit

    def __str__(self) -> str:
        return f"{self.measure} {self.side.replace('_', ' ')} {self.limit:g}"


@dataclass(frozen=True)
class Tuning:
    """A search as asked for."""

    knobs: tuple[Knob, ...]
    objectives: tuple[str, ...]
    """Measures that are raised."""
    bounds: tuple[Bound, ...]
    sampler: SamplerName
    pruner: PrunerName
    startup: int
    trials: int
    """Trials of each variant."""
    hours: float | None
    seed: int
    judge_on: JudgeOn

    def knobs_of(self, variant: str, family: str) -> tuple[Knob, ...]:
        """Return what is searched in a variant."""
        return tuple(knob for knob in self.knobs if knob.variants is None or {variant, family} & set(knob.variants))


@dataclass(frozen=True)
class Trial:
    """One training of a search."""

    number: int
    state: TrialState
    values: Values
    run_id: str
    scores: tuple[float, ...] = ()
    """Of each objective, at the best epoch; none unless finished."""
    excess: Mapping[str, float] = field(default_factory=dict)
    """Bound in words -> by how much it is broken."""
    epochs: Mapping[int, float] = field(default_factory=dict)
    """Epoch -> the first objective."""
    seconds: float = 0.0
    """Wall time, its process's start included."""
    reason: str = ""
    """Why it was pruned or failed."""
    host: str = ""
    """Machine that began it."""

    @property
    def feasible(self) -> bool:
        """Return whether it is finished and keeps every bound."""
        return self.state == "finished" and all(excess <= 0 for excess in self.excess.values())


@dataclass(frozen=True)
class Importance:
    """Share of a setting in what distinguishes the best quarter of the trials; all settings' shares sum to 1."""

    key: str
    share: float
    low: float
    """95 % interval over resampled trials."""
    high: float


def front(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """Return the feasible trials than which none is better in one objective and as good in the others."""
    feasible = [trial for trial in trials if trial.feasible]
    return tuple(trial for trial in feasible if not any(_dominates(other, trial) for other in feasible))


def _dominates(a: Trial, b: Trial) -> bool:
    return a.scores != b.scores and all(x >= y for x, y in zip(a.scores, b.scores, strict=True))


def winner(trials: Sequence[Trial]) -> Trial | None:
    """Return the best feasible trial, the earliest of equals; None where there is none.

    Of several objectives: the trial of the front that is nearest to the best of each, in units of the front's ranges.
    """
    candidates = front(trials)
    if not candidates:
        return None
    columns = list(zip(*(trial.scores for trial in candidates), strict=True))
    best, span = [max(column) for column in columns], [(max(column) - min(column)) or 1.0 for column in columns]

    def distance(trial: Trial) -> float:
        return math.fsum(((b - x) / s) ** 2 for x, b, s in zip(trial.scores, best, span, strict=True))

    return min(candidates, key=lambda trial: (distance(trial), trial.number))
