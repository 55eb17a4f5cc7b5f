"""What a study can see: its noise floor, the smallest difference it would find, what would decide an open question."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special, stats

from harness.stats.effects import JUDGED, Effect, Study
from harness.stats.spread import Spread

POWER = 0.8
MOST_IMAGES = 100
"""Times as many groups of images as the study has."""


@dataclass(frozen=True)
class Levels:
    """At which levels a future look at a comparison is judged."""

    difference: float
    """Of the p-value below which a difference is called, the first of its family."""
    tost: float
    """Of the interval that is held against the margin."""


@dataclass(frozen=True)
class Outlook:
    """What more seeds and more images would do for a difference that is undecided.

    Probabilities average over what the measured difference says of the true one.
    """

    seeds: int
    """Seeds at a look that may follow: the first that would decide it with 80 % probability, else the last."""
    chance: float
    """Probability that they decide it on the present images."""
    groups: int | None
    """Image groups with which they decide it with 80 % probability: the present ones where seeds alone do; null where
    100 times as many would not do."""
    chance_most: float
    """Probability that they decide it with 100 times as many images."""


@dataclass(frozen=True)
class NoiseFloor:
    """What the reference does when nothing is changed but the seed (fractions)."""

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
    row, column = study.variants.index(reference), study.measures.index(measure)
    scores_S = study.scores_VSM[row, :, column]
    known_S = scores_S[~np.isnan(scores_S)]
    degrees = len(known_S) - 1
    sd = float(known_S.std(ddof=1)) if degrees > 0 else math.nan
    low, high = (sd * math.sqrt(degrees / stats.chi2.ppf(end, degrees)) for end in (0.975, 0.025))
    found = [smallest_detectable(effect.spread, alpha) for effect in effects if effect.scope in JUDGED]
    detectable = float(np.median(found)) if found else math.nan
    return NoiseFloor(len(known_S), sd, low, high, detectable)


def smallest_detectable(spread: Spread, alpha: float) -> float:
    """Return the true difference whose two-sided test at level `alpha` has 80 % power (noncentral t).

    NaN where no error is left to spend, `alpha` 0: nothing is called then.
    """
    if alpha <= 0:
        return math.nan
    if spread.se == 0:
        return 0.0
    critical = float(stats.t.ppf(1 - alpha / 2, spread.degrees))

    def lacking(shift: float) -> float:
        return float(stats.nct.sf(critical, spread.degrees, shift)) - POWER

    return spread.se * float(optimize.brentq(lacking, 0.0, 2 * critical + 5))


def forecast(effect: Effect, later: Sequence[int], levels: Callable[[int], Levels], margin: float) -> Outlook | None:
    """Return what would decide an effect; None where no look is left, or the noise of one seed or group is not known.

    None too where every fold has its seed: what repeating folds adds is not foretold.

    `later` are the numbers of seeds at which looks may follow, ascending, `levels` those of the next look by its seeds,
    and `margin` is the largest difference that does not matter. The measured difference is not taken for the true one:
    what more seeds will measure is drawn from what the present ones say of it (predictive power: Spiegelhalter,
    Freedman and Blackburn 1986).
    """
    later = [seeds for seeds in later if seeds <= effect.spread.most_seeds]
    if effect.scope not in JUDGED or not later:
        return None

    def chance(seeds: int, images: float = 1.0) -> float:
        return chance_of_decision(effect, effect.spread.planned(seeds, images), levels(seeds), margin)

    # First the fewest seeds that decide with the present images; where the last look does not either, how many groups
    # it would take, up to MOST_IMAGES times as many: by bisection, as more images never make a decision less likely.
    groups = effect.evaluated.groups
    seeds = next((seeds for seeds in later if chance(seeds) >= POWER), later[-1])
    alone, most = chance(seeds), chance(seeds, MOST_IMAGES)
    needed = groups if alone >= POWER else None
    if needed is None and most >= POWER:
        counts = range(groups, MOST_IMAGES * groups)
        needed = groups + bisect_left(counts, True, key=lambda count: chance(seeds, count / groups) >= POWER)
    return Outlook(seeds, alone, needed, most)


def chance_of_decision(effect: Effect, planned: Spread, levels: Levels, margin: float) -> float:
    """Return the probability that more data decide an effect: that it is called, or shown to lie within the margin.

    The planned data hold the present ones. Their difference lies around the present one with the variance that the
    added data take away; their standard error is as planned.
    """
    spread = effect.spread
    moved = math.sqrt(
        max(spread.training_variance - planned.training_variance, 0.0)
        + max(spread.sampling_variance - planned.sampling_variance, 0.0)
    )
    if moved == 0:
        return 0.0
    # Called: the planned difference is beyond `critical`. Equivalent: it is within `room` of 0, so that the interval
    # fits into the margin.
    critical = planned.se * float(special.stdtrit(planned.degrees, 1 - levels.difference / 2))
    room = margin - planned.se * float(special.stdtrit(planned.degrees, (1 + levels.tost) / 2))

    def below(value: float) -> float:
        return float(special.stdtr(effect.degrees, (value - effect.delta) / moved))

    if room <= 0:
        return below(-critical) + 1 - below(critical)
    inner = max(critical, room)  # what lies within the margin is equivalent, called or not
    return below(-inner) + 1 - below(inner) + below(room) - below(-room)


def power_of_difference(delta: float, spread: Spread, alpha: float) -> float:
    """Return how often a true difference of this size is called at a level (noncentral t, the far side left out)."""
    if spread.se == 0:
        return float(delta != 0)
    critical = special.stdtrit(spread.degrees, 1 - alpha / 2)
    return float(stats.nct.sf(critical, spread.degrees, abs(delta) / spread.se))
