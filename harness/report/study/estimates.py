"""Values of single seeds -> mean, standard deviation, and differences paired by seed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping

from harness.report.study.record import Difference, Estimate

Values = Mapping[int, float | None]
"""Seed -> value; None where nothing defines it."""


def known(value: float | None) -> float | None:
    """Return the value, or None where it is NaN or infinite: JSON has no word for those."""
    return value if value is not None and math.isfinite(value) else None


def make_estimate(values: Values) -> Estimate:
    """Return mean and sample standard deviation over the seeds that have a value."""
    seeds, present, mean, sd = _describe(values)
    return Estimate(mean=mean, sd=sd, seeds=seeds, values=present)


def make_difference(here: Values, reference: Values) -> Difference:
    """Return `here - reference`, paired by seed over the seeds that both have."""
    paired: dict[int, float | None] = {}
    for seed, value in here.items():
        other = reference.get(seed)
        if value is not None and other is not None:
            paired[seed] = value - other
    seeds, present, mean, sd = _describe(paired)
    one_sided = all(value > 0 for value in present) or all(value < 0 for value in present)
    beyond = mean is not None and sd is not None and one_sided and abs(mean) > sd
    return Difference(mean=mean, sd=sd, seeds=seeds, values=present, within_spread=not beyond)


def _describe(values: Values) -> tuple[tuple[int, ...], tuple[float, ...], float | None, float | None]:
    present = {seed: value for seed, value in sorted(values.items()) if value is not None}
    mean = statistics.fmean(present.values()) if present else None
    sd = statistics.stdev(present.values()) if len(present) > 1 else None
    return tuple(present), tuple(present.values()), mean, sd
