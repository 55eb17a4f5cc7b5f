"""A search as written (`read_tuning` checks how its settings go together), as asked for, its trials, and which won."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from harness.settings import Count, Positive, Settings, Whole
from harness.spec.space import SearchParameter, Values

IOU = "iou/"
SPEED, SECONDS = "images_per_s", "run_seconds"
TrialState = Literal["running", "finished", "pruned", "failed"]
SamplerName = Literal["tpe", "gp", "random", "cmaes"]
Side = Literal["at_least", "at_most"]
SIDES: tuple[Side, ...] = get_args(Side)


class KnobSettings(Settings):
    """One setting that is searched: how its values are drawn, and when it is searched at all."""

    log_uniform: tuple[Positive, Positive] | None = None
    """Lowest and highest value; each power of ten between them is as likely as the others."""
    uniform: tuple[float, float] | None = None
    """Lowest and highest value."""
    whole: Annotated[tuple[int, int] | None, Field(alias="int")] = None
    """Lowest and highest whole number."""
    choice: Annotated[list[Any], Field(min_length=2)] | None = None
    """Values, whole parts too, such as [{name: adam}, {name: sgd, momentum: 0.9}]."""
    step: Count = 1
    """Distance between two values of `int`."""
    when: dict[str, Any] = {}  # noqa: RUF012 - pydantic copies defaults
    """Dotted key -> value, or list of values, that it must have for this setting to be searched."""
    variants: list[str] | None = None
    """Variants in which it is searched; null: in all."""


class BoundSettings(Settings):
    """What a measure must keep."""

    at_least: float | None = None
    """Smallest value allowed."""
    at_most: float | None = None
    """Largest value allowed."""


class TuneSettings(Settings):
    """A search for each variant's best settings, with the same budget for each."""

    space: dict[str, KnobSettings]
    """Dotted key -> how it is searched; applied in the order written."""
    objective: str | list[str] = "miou_dataset"
    """Scores that are raised: of the contract, or iou/<class>, or images_per_s. Of several, the compromise wins that is
    nearest to the best of each."""
    constraints: dict[str, BoundSettings] = {}  # noqa: RUF012 - pydantic copies defaults
    """Measure -> what it must keep: a score, iou/<class>, images_per_s (training) or run_seconds."""
    sampler: SamplerName = "tpe"
    """Tree-structured Parzen estimator, Gaussian process, at random, or CMA-ES (numbers alone)."""
    pruner: Literal["median", "hyperband", "wilcoxon", "none"] = "median"
    """Stops trials early: below the median of the others at that epoch, hyperband, significantly behind the best trial
    over the groups of images (Wilcoxon), or never."""
    startup: Whole = 10
    """Trials that are drawn at random, and not pruned by the median, before the others are learnt from."""
    trials: Count = 30
    """Trials of each variant; the first has the settings as written, where they lie in the space."""
    hours: Positive | None = None
    """Hours after which a variant begins no further trial; null: no limit."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the sampler."""
    judge_on: Literal["held_out", "val"] = "held_out"
    """Images by which tuned variants are compared: those of val's groups that no trial was scored on (a third of the
    groups scores the trials and chooses best epochs); or all of val, on which trials were scored too."""


@dataclass(frozen=True)
class Bound:
    """What a measure must keep."""

    measure: str
    side: Side
    limit: float

    def excess(self, value: float) -> float:
        """Return by how much a value breaks the bound; 0 or less where it keeps it."""
        return self.limit - value if self.side == "at_least" else value - self.limit

    def __str__(self) -> str:
        return f"{self.measure} {self.side.replace('_', ' ')} {self.limit:g}"


@dataclass(frozen=True)
class Tuning:
    """A search as asked for."""

    knobs: tuple[SearchParameter, ...]
    objectives: tuple[str, ...]
    """Measures that are raised."""
    bounds: tuple[Bound, ...]
    settings: TuneSettings
    """How it is gone about: sampler, pruner, trials and hours of each variant, ..."""

    def knobs_of(self, variant: str, family: str) -> tuple[SearchParameter, ...]:
        """Return what is searched in a variant."""
        return tuple(item for item in self.knobs if item.variants is None or {variant, family} & set(item.variants))


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
    host: Annotated[str, Field(exclude=True)] = ""
    """Machine that began it; no report tells it."""

    @property
    def feasible(self) -> bool:
        """Return whether it is finished and keeps every bound."""
        return self.state == "finished" and all(excess <= 0 for excess in self.excess.values())


@dataclass(frozen=True)
class Importance:
    """Share of a setting in what sets the best quarter of the trials apart; all settings' shares sum to 1."""

    objective: str
    key: str
    share: float
    low: float
    """95 % interval of a bootstrap over trials."""
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
