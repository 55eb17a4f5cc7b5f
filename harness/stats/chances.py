"""How likely a variant is the better one: probabilities of the true difference, given a stated prior.

Before the study, the true difference d is 0 with probability SAME, else Student's t with PRIOR_DEGREES degrees of
freedom times the size of the differences that the study's author expects. The measured difference is normal around d;
its variance is se^2 f / x, where x is chi-square of the effect's f degrees of freedom. (Without a prior on d, this is
the report's own interval.) Student's t is a normal whose variance is drawn as well (Gelman et al. 2013, Bayesian Data
Analysis, ch. 17.2). Given both variances, d is normal, so the integral is over these two alone, on grids of their
logarithms.

A prior is needed: without one, as few as two in three of the statements "better with 80 to 90 %" are true where
differences are as small as the noise. SAME is needed: without it, and without a margin, up to one in ten comparisons of
equal variants is said to be better or worse with 95 %. The probabilities do not depend on looks (docs/statistics.md).

Letters: U variances of the measured difference, V of the prior, W between seeds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy import special, stats

from harness.stats.effects import Effect
from harness.stats.margins import Values

SAME = 0.1
"""Probability, before the study, that two variants do not differ."""
PRIOR_DEGREES = 5.0
FEWEST_SEEDS = 5
"""Seeds below which no prior makes the probabilities right (docs/statistics.md)."""
FEWEST_SEED_DEGREES = 4.5
"""Degrees of freedom of the training's variance below which nothing is said of a new seed: five seeds of two variants
have four (docs/statistics.md)."""
NODES = 36
"""Of each grid: with these, probabilities are right to 0.0002 from two degrees of freedom on."""
TAIL = 1e-12
"""Probability that a grid of variances leaves out at each end."""


@dataclass(frozen=True)
class Chances:
    """Probabilities of the true difference, given a prior; `better`, `within` and `worse` add up to 1."""

    better: float
    """That the variant is better by more than the margin."""
    within: float
    """That they differ by no more than the margin; 0 where the study states none."""
    worse: float
    new_seed: float | None
    """That the variant, trained with one new seed, beats the other trained with the same one, both judged on endlessly
    many images; null where too little is known of the noise between seeds."""
    margin: float
    prior: float
    """Size of the differences that the study expects: the scale of the prior."""


def find_chances(effect: Effect, margin: float, expected: float) -> Chances | None:
    """Return the probabilities; None where none are right: few seeds, one group of images, or nothing that varies.

    `margin` is the largest difference that does not matter, `expected` the scale of the prior (fractions).
    """
    if effect.spread.seeds < FEWEST_SEEDS or effect.scope != "new seeds and images" or effect.se == 0:
        return None
    chances = chances_by_prior(effect, margin, expected)
    if effect.spread.seed_degrees < FEWEST_SEED_DEGREES:
        return replace(chances, new_seed=None)
    return chances


def chances_by_prior(effect: Effect, margin: float, expected: float) -> Chances:
    """Return the probabilities that the prior and an effect with a standard error above 0 give, right or not."""
    # Two unknown variances are integrated over a grid: U for the sampling variance of the measured difference (its
    # degrees of freedom say how uncertain it is), V for the prior variance of the true one.
    ratio_U, weight_U = inverse_chi_square(effect.degrees)
    ratio_V, weight_V = inverse_chi_square(PRIOR_DEGREES)
    # The first variance of the prior is 0: that the two do not differ at all.
    prior_V, weight_V = np.r_[0.0, expected**2 * ratio_V], np.r_[SAME, (1 - SAME) * weight_V]
    noise_U = effect.se**2 * ratio_U
    total_VU = prior_V[:, None] + noise_U
    # Posterior weight of each grid point: prior weight times the density of the measured difference under it. The
    # largest logarithm is taken off first, so that nothing underflows.
    log_VU = np.log(weight_V)[:, None] + np.log(weight_U) - (np.log(total_VU) + effect.delta**2 / total_VU) / 2
    posterior_VU = np.exp(log_VU - log_VU.max())
    posterior_VU /= posterior_VU.sum()
    # Given both variances, the true difference is normal, shrunk towards 0.
    mean_VU = effect.delta * prior_V[:, None] / total_VU
    variance_VU = prior_V[:, None] * noise_U / total_VU
    better = _mean(_above(margin, mean_VU, variance_VU), posterior_VU)
    worse = _mean(_above(margin, -mean_VU, variance_VU), posterior_VU)
    # One more seed adds its own training noise; W is the grid of that variance.
    ratio_W, weight_W = inverse_chi_square(effect.spread.seed_degrees)
    one_seed_W = effect.spread.training_variance * effect.spread.seeds * ratio_W
    above_VUW = _above(0.0, mean_VU[..., None], variance_VU[..., None] + one_seed_W)
    new_seed = _mean(above_VUW @ weight_W, posterior_VU)
    return Chances(better, max(1 - better - worse, 0.0), worse, new_seed, margin, expected)


def inverse_chi_square(degrees: float) -> tuple[Values, Values]:
    """Return values of degrees / chi-square, even in the logarithm, and their probabilities, which add up to 1."""
    if math.isinf(degrees):
        return np.ones(1), np.ones(1)
    law = stats.chi2(degrees)
    log_N = np.linspace(math.log(law.ppf(TAIL) / degrees), math.log(law.isf(TAIL) / degrees), NODES)
    log_weight_N = degrees / 2 * (log_N - np.exp(log_N))
    weight_N = np.exp(log_weight_N - log_weight_N.max())
    return np.exp(-log_N), weight_N / weight_N.sum()


def _above(margin: float, mean: Values, variance: Values) -> Values:
    """Return the probability that normals are above the margin; one that is the margin itself counts half."""
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (mean - margin) / np.sqrt(variance)
    chance: Values = special.ndtr(np.nan_to_num(z, nan=0.0))
    return chance


def _mean(chance: Values, weight: Values) -> float:
    return min(float((weight * chance).sum()), 1.0)
