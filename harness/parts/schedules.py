"""Schedules: pure functions of how far training has come, so that a resumed run follows the same one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from harness.registry import part
from harness.settings import Count, Fraction, NonNegative, Whole

Schedule = Callable[[float, Sequence[float]], float]
"""Position in epochs (0 at the start; parts of an epoch count) and the validation scores of the finished epochs, in
order -> factor on the learning rate, from 0 to 1."""


@part("schedule")
def constant() -> Schedule:
    """The learning rate as it is set."""
    return lambda position, scores: 1.0


@part("schedule")
def poly(epochs: int, /, *, power: NonNegative = 0.9) -> Schedule:
    """(1 - position / epochs) ** power, as segmentation networks are often trained (Chen et al. 2018, section 4.1)."""
    return lambda position, scores: max(0.0, 1 - position / epochs) ** power


@part("schedule")
def cosine(epochs: int, /) -> Schedule:
    """Half a cosine from 1 to 0 over all epochs (Loshchilov & Hutter 2017, eq. 5, without restarts)."""
    return lambda position, scores: (1 + math.cos(math.pi * min(1.0, position / epochs))) / 2


@part("schedule")
def step(*, every: Count = 10, gamma: Fraction = 0.1) -> Schedule:
    """Multiply by gamma after each `every` epochs."""
    return lambda position, scores: gamma ** math.floor(position / every)


@part("schedule")
def plateau(*, patience: Whole = 3, factor: Fraction = 0.5, threshold: NonNegative = 1e-4) -> Schedule:
    """Multiply by factor when the score of `evaluate.select_on` has not risen for more than `patience` epochs.

    The rule of torch's ReduceLROnPlateau (mode max, threshold_mode abs): a rise is one by more than threshold over the
    best score so far, and after each reduction the waiting begins anew. Counted afresh from all scores each time.
    """
    return lambda position, scores: factor ** _count_reductions(scores, patience, threshold)


def _count_reductions(scores: Sequence[float], patience: int, threshold: float) -> int:
    best, waited, reductions = -math.inf, 0, 0
    for score in scores:
        if score > best + threshold:
            best, waited = score, 0
        else:
            waited += 1
        if waited > patience:
            waited, reductions = 0, reductions + 1
    return reductions


def with_warmup(schedule: Schedule, warmup: float, floor: float) -> Schedule:
    """Return a schedule that is scaled by position / warmup over the first `warmup` epochs and never below `floor`.

    The schedule itself is not shifted: with a warmup it takes no longer.
    """

    def warmed(position: float, scores: Sequence[float]) -> float:
        share = min(1.0, position / warmup) if warmup > 0 else 1.0
        return max(floor, share * schedule(position, scores))

    return warmed
