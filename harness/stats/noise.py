"""Training noise: the variance between seeds, and what the study's variants tell each other about it.

With three seeds a variance has two degrees of freedom and says little. Variants of one study are trained alike, so
their variances are drawn together (Smyth 2004, empirical Bayes): a contrast's own variance is averaged with the pooled
one, weighted by the degrees of freedom of each. How much the pool is worth (`prior`) follows from how well the
variances of all pairs of variants agree, and never exceeds `MOST_PRIOR`: a handful of variances cannot prove agreement.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from harness.stats.margins import Values

MOST_PRIOR = 4.0
"""Degrees of freedom that the pool is worth at most; at 3 seeds this halves the width of an interval."""


@dataclass(frozen=True)
class Noise:
    """Variance between seeds pooled over a study's variants, for each measure, [M]."""

    variance_M: Values
    """Variance of one variant's score around what its seed has in common with the other variants."""
    prior_M: Values
    """Degrees of freedom that the pool adds to a contrast's own; 0 where nothing can be pooled."""


def pool_noise(scores_VSM: Values) -> Noise:
    """Return the pooled noise of scores of variants and seeds; NaN marks a missing run.

    The variance of the paired differences of two variants, halved, is the unit: it holds whatever their seeds share.
    Pairs without two common seeds, and pairs that are the same runs under two names, are left out.
    """
    first, second = np.triu_indices(len(scores_VSM), k=1)
    differences_PSM = scores_VSM[first] - scores_VSM[second]
    seeds_P = (~np.isnan(differences_PSM)).any(axis=2).sum(axis=1)
    usable_P = (seeds_P > 1) & (np.nan_to_num(differences_PSM) != 0).any(axis=(1, 2))
    num_measures = scores_VSM.shape[2]
    if not usable_P.any():
        return Noise(np.zeros(num_measures), np.zeros(num_measures))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a measure that is NaN in all runs
        variance_PM = np.nanvar(differences_PSM[usable_P], axis=1, ddof=1) / 2
    degrees_P = seeds_P[usable_P] - 1.0
    pooled_M = np.nan_to_num((degrees_P @ variance_PM) / degrees_P.sum())
    members = np.unique(np.concatenate([first[usable_P], second[usable_P]]))
    own = float(degrees_P.mean())
    most = min(MOST_PRIOR, (len(members) - 2) * own)
    prior_M = [_prior_degrees(variance_P, degrees_P, len(members), most) for variance_P in variance_PM.T]
    return Noise(variance_M=pooled_M, prior_M=np.array(prior_M))


def _prior_degrees(variance_P: Values, degrees_P: Values, num_variants: int, most: float) -> float:
    """Return d0 of Smyth (2004, section 6.2) by the moments of log variances, at most `most`.

    Variances of pairs that share a variant are correlated (the differences by 1/2, their variances by 1/4), which
    shrinks the scatter of the log variances by a known factor.
    """
    positive_P = variance_P > 0
    if most <= 0 or positive_P.sum() < 2:
        return 0.0
    half_P = degrees_P[positive_P] / 2
    log_P = np.log(variance_P[positive_P]) - special.digamma(half_P) + np.log(half_P)
    others = num_variants * (num_variants - 1) / 2 - 1
    independent = 1 - 0.25 * 2 * (num_variants - 2) / others
    excess = log_P.var(ddof=1) / independent - special.polygamma(1, half_P).mean()
    if excess <= special.polygamma(1, most / 2):
        return most
    return 2 * float(optimize.brentq(lambda half: special.polygamma(1, half) - excess, 1e-4, most / 2))
