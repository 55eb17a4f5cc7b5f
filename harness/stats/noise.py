"""Training noise: the variance between seeds, and what the study's variants tell each other about it.

With three seeds a variance has two degrees of freedom and says little. Variants of one study are trained alike, so
their variances are drawn together (Smyth 2004, empirical Bayes): a contrast's own variance is averaged with the pooled
one, weighted by the degrees of freedom of each. How many the pool is worth follows from how well the variances of all
pairs of variants agree, over all measures together. Where they do not agree, two rules keep the intervals wide enough:

- The pool is worth at most as many degrees of freedom as there are variants: few variances cannot prove agreement.
- A contrast is `loud` by the factor by which its classes scatter more between seeds than the pool, averaged over
  classes. A loud contrast's pool is raised by that factor and its worth falls with the fifth power; a quiet one's worth
  falls in proportion, and its pool is left alone. (Phipson et al. 2016 lower the worth for outliers alike.) The powers
  are not derived: they are the ones that calibrate, see docs/statistics.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from harness.stats.margins import Values


@dataclass(frozen=True)
class Noise:
    """Variance between seeds, pooled over a study's variants."""

    variance_M: Values
    """Of one variant's score, around what its seed has in common with the other variants; by measure."""
    prior: float
    """Degrees of freedom that the pool adds to a contrast's own; 0 where nothing can be pooled."""


@dataclass(frozen=True)
class Moderated:
    """A contrast's variance between seeds, own and pooled together."""

    own_M: Values
    variance_M: Values
    degrees: float


def pool_noise(scores_VSM: Values) -> Noise:
    """Return the pooled noise of scores of variants and seeds; NaN marks a missing run or an undefined measure.

    The variance of the paired differences of two variants, halved, is the unit: it holds whatever their seeds share.
    Pairs without two common seeds, and pairs that are the same runs under two names, are left out.
    """
    first, second = np.triu_indices(len(scores_VSM), k=1)
    differences_PSM = scores_VSM[first] - scores_VSM[second]
    seeds_P = (~np.isnan(differences_PSM[:, :, 0])).sum(axis=1)
    usable_P = (seeds_P > 1) & (np.nan_to_num(differences_PSM) != 0).any(axis=(1, 2))
    members = np.unique(np.concatenate([first[usable_P], second[usable_P]]))
    if len(members) < 2:
        return Noise(np.zeros(scores_VSM.shape[2]), 0.0)
    degrees_P = seeds_P[usable_P] - 1.0
    variance_PM = _variance(differences_PSM[usable_P], seeds_P[usable_P]) / 2
    most = min(float(len(members)), (len(members) - 2) * float(degrees_P.mean()))
    return Noise(
        (degrees_P @ variance_PM) / degrees_P.sum(), _prior_degrees(variance_PM, degrees_P, len(members), most)
    )


def moderate(noise: Noise, values_SM: Values, size: float) -> Moderated:
    """Return the variance between seeds of a contrast whose squared weights sum to `size`.

    `values_SM` is the contrast within each seed. Of one seed nothing is known: zeros.
    """
    degrees = len(values_SM) - 1
    if degrees == 0:
        return Moderated(np.zeros(values_SM.shape[1]), np.zeros(values_SM.shape[1]), 0.0)
    own_M = np.nan_to_num(values_SM.var(axis=0, ddof=1))
    pooled_M = size * noise.variance_M
    known_C = pooled_M[1:] > 0
    if noise.prior == 0 or not known_C.any():
        return Moderated(own_M, own_M, float(degrees))
    loudness = float((own_M[1:][known_C] / pooled_M[1:][known_C]).mean())
    worth = noise.prior / max(loudness**5, 1 / loudness) if loudness > 0 else 0.0
    variance_M = (worth * max(loudness, 1.0) * pooled_M + degrees * own_M) / (worth + degrees)
    return Moderated(own_M, variance_M, worth + degrees)


def _variance(differences_PSM: Values, seeds_P: Values) -> Values:
    """Return the sample variance over the seeds that are there, [P, M]; 0 for a measure that is undefined."""
    there_PS1 = ~np.isnan(differences_PSM[:, :, :1])
    filled_PSM = np.nan_to_num(differences_PSM)
    mean_P1M = filled_PSM.sum(axis=1, keepdims=True) / seeds_P[:, None, None]
    apart_PSM = np.where(there_PS1, filled_PSM - mean_P1M, 0.0)
    return np.asarray((apart_PSM**2).sum(axis=1) / (seeds_P[:, None] - 1))


def _prior_degrees(variance_PM: Values, degrees_P: Values, num_variants: int, most: float) -> float:
    """Return d0 of Smyth (2004) by the moments of log variances, at most `most`.

    The excess of their scatter over what equal variances show is averaged over measures. Pairs that share a variant
    are correlated (their differences by 1/2, the variances by 1/4), which shrinks the scatter by a known factor.
    """
    positive_M = (variance_PM > 0).all(axis=0)
    if most <= 0 or not positive_M.any():
        return 0.0
    half_P = degrees_P / 2
    log_PM = np.log(variance_PM[:, positive_M]) - (special.digamma(half_P) - np.log(half_P))[:, None]
    others = num_variants * (num_variants - 1) / 2 - 1
    independent = 1 - 0.25 * 2 * (num_variants - 2) / others
    excess = float(log_PM.var(axis=0, ddof=1).mean() / independent - special.polygamma(1, half_P).mean())
    if excess <= special.polygamma(1, most / 2):
        return most
    return 2 * float(optimize.brentq(lambda half: special.polygamma(1, half) - excess, 1e-4, most / 2))
