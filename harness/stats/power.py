"""What a study can see: its noise floor, the smallest difference it would find, what would decide an open question."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from harness.stats.effects import Effect, Study
from harness.stats.spread import Spread

POWER = 0.8
MOST_SEEDS = 100
MOST_IMAGES = 100
"""Times as many groups of images as the study has."""
MANY_SEEDS = 10
"""Seeds that are assumed when more seeds alone decide nothing."""


@dataclass(frozen=True)
class Needed:
    """What would decide a comparison with 80 % probability, if the measured difference and noise are the true ones."""

    seeds: int
    groups: int
    """More than the study has where the sampling of images dominates; only then."""


@dataclass(frozen=True)
class NoiseFloor:
    """What the reference does when nothing is changed but the seed (fractions)."""

    measure: str
    seeds: int
    sd: float
    """Standard deviation between the reference's seeds; NaN with one seed."""
    sd_low: float
    sd_high: float
    """95 % interval of `sd`, by chi-square."""
    detectable: float
    """Smallest true difference that is called with 80 % probability, in the median comparison; NaN without one."""


def measure_floor(study: Study, reference: str, measure: str, effects: Iterable[Effect], alpha: float) -> NoiseFloor:
    """Return the noise floor of a measure; `effects` are the comparisons that are judged at level `alpha`."""
    row, column = study.variants.index(reference), study.margins.measures.index(measure)
    scores_S = study.scores_VSM[row, :, column]
    known_S = scores_S[~np.isnan(scores_S)]
    degrees = len(known_S) - 1
    sd = float(known_S.std(ddof=1)) if degrees > 0 else math.nan
    low, high = (
        sd * math.sqrt(degrees / stats.chi2.ppf(end, degrees)) if degrees > 0 else sd for end in (0.975, 0.025)
    )
    found = [smallest_detectable(effect.spread, alpha) for effect in effects if effect.scope == "new seeds and images"]
    detectable = float(np.median(found)) if found else math.nan
    return NoiseFloor(measure, len(known_S), sd, low, high, detectable)


def smallest_detectable(spread: Spread, alpha: float) -> float:
    """Return the true difference whose two-sided test at level `alpha` has 80 % power (noncentral t)."""
    if spread.se == 0:
        return 0.0
    critical = float(stats.t.ppf(1 - alpha / 2, spread.degrees))

    def lacking(shift: float) -> float:
        return float(stats.nct.sf(critical, spread.degrees, shift)) - POWER

    return spread.se * float(optimize.brentq(lacking, 0.0, 2 * critical + 5))


def find_needed(effect: Effect, alpha: float, margin: float) -> Needed | None:
    """Return the seeds, or seeds and groups, that would decide an effect; None where nothing within reach would.

    None, too, for an effect whose noise cannot be measured: that of one seed or one group.

    `alpha` is the level at which a difference is called, `margin` the largest difference that does not matter.
    """

    def decides(seeds: int, images: float) -> bool:
        spread = effect.spread.planned(seeds, images)
        differs = _power_of_difference(effect.delta, spread, alpha)
        return max(differs, _power_of_margin(effect.delta, spread, margin)) >= POWER

    if effect.scope != "new seeds and images":
        return None
    seeds_now, groups = effect.spread.seeds, effect.held.groups
    if decides(MOST_SEEDS, 1.0):
        return Needed(_first(lambda seeds: decides(seeds, 1.0), seeds_now, MOST_SEEDS), groups)
    seeds = max(seeds_now, MANY_SEEDS)
    if decides(seeds, MOST_IMAGES):
        return Needed(seeds, _first(lambda count: decides(seeds, count / groups), groups, MOST_IMAGES * groups))
    return None


def _first(holds: Callable[[int], bool], low: int, high: int) -> int:
    """Return the smallest whole number at which a condition holds that holds at `high` and, once true, stays true."""
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def _power_of_difference(delta: float, spread: Spread, alpha: float) -> float:
    if spread.se == 0:
        return float(delta != 0)
    critical = stats.t.ppf(1 - alpha / 2, spread.degrees)
    return float(stats.nct.sf(critical, spread.degrees, abs(delta) / spread.se))


def _power_of_margin(delta: float, spread: Spread, margin: float) -> float:
    """Return how often two one-sided tests at 5 % put the difference within the margin (Student approximation)."""
    if margin == 0:
        return 0.0
    if spread.se == 0:
        return float(abs(delta) <= margin)
    critical = stats.t.ppf(0.95, spread.degrees)
    upper = stats.t.cdf((margin - delta) / spread.se - critical, spread.degrees)
    lower = stats.t.cdf((margin + delta) / spread.se - critical, spread.degrees)
    return max(float(upper + lower - 1), 0.0)
