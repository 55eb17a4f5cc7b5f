"""Where an effect's uncertainty comes from: training again, and other images.

The scores form a crossed table: every seed is judged on every group. The variance of the mean over both is
(variance between seeds) / seeds + (variance between groups) / groups - (interaction) / (seeds groups), where the last
term is in both others and would be counted twice: the two-way random-effects analysis of readers and cases (Obuchowski
and Rockette 1995; Hillis 2007), with groups' moves in place of cases' scores. Neither of the first two terms is let
under the third, which both contain. Degrees of freedom after Satterthwaite (1946).

Satterthwaite's rule trusts each variance as measured. Where one of few degrees of freedom came out small by chance, the
rule takes over the many degrees of the other and the interval is too short. So the fewest degrees of three answers are
used: the rule as it stands; with the training's variance, where only the effect's own few seeds speak for it, at its
upper 75 % limit; with the groups' variance at its upper 90 % limit. The standard error is the same in all three. Both
limits are by simulation (docs/statistics.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import special

from harness.stats.influence import Influence, group_degrees
from harness.stats.margins import Values

Chosen = npt.NDArray[np.int64]
"""Indices of classes."""
TRAINING_TAIL, GROUPS_TAIL = 0.25, 0.10
"""Chance that a variance exceeds the limit at which its degrees of freedom are weighed."""
FEW_DEGREES = 2.5
"""Degrees of freedom of the training's variance below which what other variants lend is too little to rest on."""


@dataclass(frozen=True)
class Spread:
    """The parts of an effect's variance, each with its degrees of freedom."""

    seeds: int
    seed_variance: float
    """Between seeds, of one seed's paired effect, moderated by the study's other variants; 0 with one seed."""
    seed_degrees: float
    """Those borrowed from the other variants included."""
    own_seed_variance: float
    """The same from the effect's own seeds alone."""
    group_variance: float
    """Of the mean effect, from the scatter between groups of images, training noise included."""
    group_degrees: float
    """Near the number of groups that hold the classes, less one; 0 where no variance was measurable."""
    shared_variance: float
    """What training noise does to the scatter between groups: it is in `seed_variance / seeds` as well."""

    @property
    def training_variance(self) -> float:
        """Return the variance of the mean effect from training again."""
        return max(self.seed_variance / self.seeds, self.shared_variance)

    @property
    def sampling_variance(self) -> float:
        """Return the variance of the mean effect from other images, freed of training noise."""
        return max(self.group_variance - self.shared_variance, 0.0)

    @property
    def se(self) -> float:
        """Return the standard error of the mean effect."""
        return math.sqrt(self.training_variance + self.sampling_variance)

    @property
    def degrees(self) -> float:
        """Return the degrees of freedom of `se`, the fewest of three answers; infinite where nothing varies."""
        training, images = self.training_variance, self.sampling_variance
        answers = [self._plain_degrees]
        if training > 0 and self._rests_on_few_seeds:
            answers.append(self._combined_degrees(training * upper_limit(self.seed_degrees, TRAINING_TAIL), images))
        if training > 0 and self.group_degrees > 0:
            most = self.group_variance * upper_limit(self.group_degrees, GROUPS_TAIL)
            answers.append(self._combined_degrees(training, max(most - self.shared_variance, 0.0)))
        return min(answers)

    @property
    def _plain_degrees(self) -> float:
        """Return Satterthwaite's degrees of freedom, the three variances as measured."""
        between, within, shared = self.seed_variance / self.seeds, self.group_variance, self.shared_variance
        # Neither of the first two is let under the third, which both contain: one that is smaller gives way to it.
        times_shared = float(between <= shared) + float(within <= shared) - 1
        doubt = _doubt(
            (between if between > shared else 0.0, self.seed_degrees),
            (within if within > shared else 0.0, self.group_degrees),
            (times_shared * shared, self.group_degrees * (self.seeds - 1)),
        )
        return self.se**4 / doubt if doubt > 0 else math.inf

    @property
    def _rests_on_few_seeds(self) -> bool:
        """Return whether the other variants lend nothing to the training's variance, or next to nothing."""
        return math.isclose(self.seed_degrees, self.seeds - 1) or self.seed_degrees < FEW_DEGREES

    def _combined_degrees(self, training: float, images: float) -> float:
        """Return Satterthwaite's degrees of freedom of two independent variances, both of the mean effect."""
        return (training + images) ** 2 / _doubt((training, self.seed_degrees), (images, self.group_degrees))

    @property
    def most_seeds(self) -> float:
        """Return the seeds beyond which nothing can be planned."""
        return math.inf

    def planned(self, seeds: int, images: float) -> Spread:
        """Return what to expect of this many seeds and `images` times as many groups."""
        shared = self.shared_variance * self.seeds / seeds / images
        return replace(
            self,
            seeds=seeds,
            seed_variance=self.training_variance * self.seeds,
            seed_degrees=self.seed_degrees + seeds - self.seeds,
            group_variance=self.sampling_variance / images + shared,
            group_degrees=self.group_degrees * images,
            shared_variance=shared,
        )


def _doubt(*parts: tuple[float, float]) -> float:
    """Return half the variance of a sum of variances, each given with its degrees of freedom (Satterthwaite 1946)."""
    return sum(variance**2 / degrees for variance, degrees in parts if variance)


def upper_limit(degrees: float, tail: float) -> float:
    """Return the limit that the ratio of the true variance to the measured one exceeds with chance `tail`; at least 1.

    Chi-square: degrees / its `tail` quantile.
    """
    return max(degrees / (2 * float(special.gammaincinv(degrees / 2, tail))), 1.0)


def make_spread(
    moves_SGC: Values, between: tuple[float, float, float], influence: Influence, chosen_C: Chosen
) -> Spread:
    """Return the spread of an effect from the moves of its classes by each group within each seed.

    `between` is its variance between seeds: moderated, the degrees of freedom of that, and own; zeros with one seed. A
    class that one group alone holds shows no scatter between groups: among other classes it is given their scatter.
    """
    seeds = len(moves_SGC)
    # Groups scatter for two reasons: they differ (seen in the mean over seeds), and each seed is wrong elsewhere (seen
    # in what is left, `apart`). The second is training noise and must not be counted twice.
    mean_GC = moves_SGC.mean(axis=0)
    variance_C = np.zeros(len(influence.trace_C))
    variance_C[chosen_C] = (mean_GC**2).sum(axis=0)
    apart_SGC = moves_SGC - mean_GC
    rounds = max(seeds - 1, 1) * seeds
    trace_C = influence.trace_C[chosen_C]
    return Spread(
        seeds=seeds,
        seed_variance=between[0],
        seed_degrees=between[1],
        own_seed_variance=between[2],
        group_variance=float((mean_GC.sum(axis=1) ** 2).sum()) + _borrowed(variance_C[chosen_C], trace_C),
        group_degrees=group_degrees(variance_C, influence),
        shared_variance=float((apart_SGC.sum(axis=2) ** 2).sum()) / rounds
        + _borrowed((apart_SGC**2).sum(axis=(0, 1)) / rounds, trace_C),
    )


def _borrowed(variance_C: Values, trace_C: Values) -> float:
    """Return the variance of the classes that one group alone holds (no trace), as the others suggest it."""
    sampled_C = trace_C > 0
    if sampled_C.all() or not sampled_C.any():
        return 0.0
    return float((~sampled_C).sum() * (variance_C[sampled_C] / trace_C[sampled_C]).mean())


def t_interval(delta: float, se: float, degrees: float, level: float) -> tuple[float, float]:
    """Return the two-sided Student interval of a level (fraction); a point where `se` is 0, NaN where it is NaN."""
    half = float(special.stdtrit(degrees, 0.5 + level / 2)) * se
    return delta - half, delta + half


def p_value(delta: float, se: float, degrees: float) -> float:
    """Return the two-sided p-value of a delta of 0, consistent with `t_interval`; NaN where `se` is NaN."""
    if se == 0:
        return float(delta == 0)
    return float(2 * special.stdtr(degrees, -abs(delta) / se))
