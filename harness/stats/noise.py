"""Training noise: the variance between seeds, and what the study's variants tell each other about it.

With three seeds a variance has two degrees of freedom and says little. Variants of one study are trained alike, and the
classes of one contrast scatter together, so the variance of a contrast w in measure m is modelled as

    |w|^2 * loudness(w) * unit_m

`unit_m` is pooled over all pairs of variants: every seed of the study speaks for it. `loudness` is what this contrast's
classes scatter as a multiple of that, averaged over classes, and drawn towards 1 in the logarithm (normal, empirical
Bayes). No variant is taken to be as noisy as another: a loud reference is measured as loud, on many classes at once.
What the model cannot hold, a variant whose noise has another profile over the classes, is measured by the scatter of
log variances that pair and class leave over: it gives the model its worth against the contrast's own variance in
degrees of freedom (Smyth 2004, eq. 10), as in moderated t-tests.

The logarithm of a variance of n degrees of freedom has variance trigamma(n / 2), which is zeta(2, n / 2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from harness.stats.margins import Values

LOUDNESS_VARIANCE = 2.0
"""Variance of log loudness between contrasts, before anything is measured: standard deviations commonly differ by a
factor of two."""
ROUNDING = 1e-24
"""Variances of scores (fractions) below this are the rounding of sums: such scores do not differ."""
SURE = 1e6
"""Degrees of freedom of what is as good as known."""


@dataclass(frozen=True)
class Noise:
    """Variance between seeds, pooled over a study's variants."""

    variance_M: Values
    """Variance of one variant's score between seeds, freed of what its seed does to all variants alike; by measure."""
    degrees: float
    """Of `variance_M`; 0 where nothing can be pooled."""
    classes: float
    """Number of independent classes that scatter as much together as the measured ones do."""
    agreement: float
    """Degrees of freedom (d0 of Smyth) that the profile over classes is worth for one contrast's variance."""


@dataclass(frozen=True)
class Moderated:
    """A contrast's variance between seeds, own and pooled together."""

    own_M: Values
    variance_M: Values
    degrees: float


def pool_noise(scores_VSM: Values) -> Noise:
    """Return the pooled noise of scores of variants and seeds; NaN marks a missing run or an undefined measure.

    The variance of the paired differences of two variants, halved, is the unit: it holds whatever their seeds share.
    Pairs without two common seeds are left out, and so are variants whose runs are an earlier variant's under another
    name: they know nothing more. Measure 0 is the mean of the others, the classes.
    """
    scores_VSM = _distinct(scores_VSM)
    first, second = np.triu_indices(len(scores_VSM), k=1)
    differences_PSM = scores_VSM[first] - scores_VSM[second]
    seeds_P = (~np.isnan(differences_PSM[:, :, 0])).sum(axis=1)
    usable_P = seeds_P > 1
    members = np.unique(np.concatenate([first[usable_P], second[usable_P]]))
    nothing = Noise(np.zeros(scores_VSM.shape[2]), 0.0, 0.0, 0.0)
    if len(members) < 3:
        return nothing
    degrees_P = seeds_P[usable_P] - 1.0
    variance_PM = _variance(differences_PSM[usable_P], seeds_P[usable_P]) / 2
    if not variance_PM.any():
        return nothing
    likeness, classes = _likeness(scores_VSM[members][:, :, 1:])
    return Noise(
        variance_M=(degrees_P @ variance_PM) / degrees_P.sum(),
        degrees=(len(members) - 1) * float(degrees_P.mean()),
        classes=classes / (1 + (classes - 1) * likeness),
        agreement=_agreement(variance_PM[:, 1:], degrees_P, len(members), likeness),
    )


def moderate(noise: Noise, values_SM: Values, size: float) -> Moderated:
    """Return the variance between seeds of a contrast whose squared weights sum to `size`.

    `values_SM` is the contrast within each seed. Of one seed nothing is known: zeros.
    """
    degrees = len(values_SM) - 1.0
    if degrees == 0:
        return Moderated(np.zeros(values_SM.shape[1]), np.zeros(values_SM.shape[1]), 0.0)
    # Two answers for the same variance: what this contrast's own seeds say, and what all pairs of variants say of a
    # contrast of this size.
    own_M = _rounded(np.nan_to_num(values_SM.var(axis=0, ddof=1)))
    pooled_M = size * noise.variance_M
    known_C = pooled_M[1:] > 0
    # Loudness: how much noisier this contrast is than the pool, over its classes. Few seeds make the ratio uncertain
    # (`doubt`, the variance of its logarithm), so it is drawn towards 1 on the logarithmic scale, as far as contrasts
    # are known to differ in loudness at all.
    measured = float((own_M[1:][known_C] / pooled_M[1:][known_C]).mean()) if known_C.any() else 0.0
    if measured == 0:
        return Moderated(own_M, own_M, degrees)
    doubt = float(special.zeta(2, degrees * noise.classes / 2))
    loudness = measured ** (LOUDNESS_VARIANCE / (LOUDNESS_VARIANCE + doubt))
    loudness_degrees = _degrees_of(LOUDNESS_VARIANCE * doubt / (LOUDNESS_VARIANCE + doubt))
    # Smyth (2004): the pool counts like `agreement` more seeds, because classes agree with the model that well.
    share = noise.agreement / (noise.agreement + degrees)
    # a product's relative variance is the sum of its factors', and a variance's relative variance is 2 / degrees
    model_doubt = 1 / noise.degrees + 1 / loudness_degrees + 1 / noise.agreement
    # The measures whose pool is empty keep their own variance.
    variance_M = np.where(pooled_M > 0, share * loudness * pooled_M + (1 - share) * own_M, own_M)
    together = 1 / (share**2 * model_doubt + (1 - share) ** 2 / degrees)
    if together <= degrees:  # few classes, or a study of few distinct variants: the model knows less than the seeds do
        return Moderated(own_M, own_M, degrees)
    return Moderated(own_M, variance_M, together)


def _distinct(scores_VSM: Values) -> Values:
    """Return the variants that differ from every earlier one in a run that both have."""
    distinct: list[Values] = []
    for scores_SM in scores_VSM:
        if not any(_same_runs(scores_SM, earlier_SM) for earlier_SM in distinct):
            distinct.append(scores_SM)
    return np.stack(distinct)


def _same_runs(first_SM: Values, second_SM: Values) -> bool:
    there_SM = ~np.isnan(first_SM - second_SM)
    return bool(there_SM.any() and (first_SM == second_SM)[there_SM].all())


def _variance(differences_PSM: Values, seeds_P: Values) -> Values:
    """Return the sample variance over the seeds that are there, [P, M]; 0 for a measure that is undefined."""
    # NaN marks a missing seed: it is filled with 0 for the sums and left out of the scatter.
    there_PS1 = ~np.isnan(differences_PSM[:, :, :1])
    filled_PSM = np.nan_to_num(differences_PSM)
    mean_P1M = filled_PSM.sum(axis=1, keepdims=True) / seeds_P[:, None, None]
    apart_PSM = np.where(there_PS1, filled_PSM - mean_P1M, 0.0)
    return _rounded((apart_PSM**2).sum(axis=1) / (seeds_P[:, None] - 1))


def _rounded(variance: Values) -> Values:
    return np.where(variance < ROUNDING, 0.0, variance)


def _likeness(scores_VSC: Values) -> tuple[float, int]:
    """Return the mean squared correlation of two classes' noise, freed of what chance adds, and the number of classes.

    From the seeds that all variants have; 1, the most careful answer, where these are fewer than two.
    """
    # A correlation needs complete columns: only the seeds at which every defined class has a score.
    defined_C = ~np.isnan(scores_VSC).all(axis=(0, 1))
    there_S = ~np.isnan(scores_VSC[:, :, defined_C]).any(axis=(0, 2))
    complete_VSC = scores_VSC[:, there_S][:, :, defined_C]
    if complete_VSC.shape[1] < 2:
        return 1.0, 1
    # Centre by variant and by seed, so that neither a better variant nor a lucky seed counts as correlation.
    apart_VSC = complete_VSC - complete_VSC.mean(axis=0)
    apart_VSC -= apart_VSC.mean(axis=1, keepdims=True)
    flat_KC = apart_VSC.reshape(-1, apart_VSC.shape[2])
    norm_C = np.linalg.norm(flat_KC, axis=0)
    moves_C = norm_C**2 > ROUNDING
    unit_KC = flat_KC[:, moves_C] / norm_C[moves_C]
    classes = unit_KC.shape[1]
    if classes < 2:
        return 0.0, 1
    # The diagonal holds each class with itself. Unrelated noise has squared correlations of 1 / degrees on average:
    # that much is taken off, and the rest scaled so that 1 stays 1.
    squared = float(((unit_KC.T @ unit_KC) ** 2).sum() - classes) / (classes * (classes - 1))
    chance = 1 / ((apart_VSC.shape[0] - 1) * (apart_VSC.shape[1] - 1))
    return float(np.clip((squared - chance) / (1 - chance), 0, 1)), classes


def _agreement(variance_PC: Values, degrees_P: Values, num_variants: int, likeness: float) -> float:
    """Return d0 of Smyth (2004) by the moments of log variances, of what pair and class leave over.

    Pairs that share a variant are correlated (their differences by 1/2, the variances by 1/4), and so are the classes:
    both shrink what chance leaves over, by known factors.
    """
    log_PC = np.log(variance_PC[:, (variance_PC > 0).all(axis=0)])
    pairs, classes = log_PC.shape
    if classes < 2:
        return SURE
    # Additive on the logarithmic scale: one level for each pair and one for each class. What is left is disagreement
    # and chance.
    left_PC = log_PC - log_PC.mean(axis=1, keepdims=True) - log_PC.mean(axis=0) + log_PC.mean()
    independent = (1 - 0.5 * (num_variants - 2) / (pairs - 1)) * max(1 - likeness, 0.2)
    # Chance alone scatters the logarithm of a variance by trigamma(degrees / 2) = zeta(2, degrees / 2); the excess is
    # disagreement.
    scatter = float((left_PC**2).sum()) / ((pairs - 1) * (classes - 1)) / independent
    return _degrees_of(scatter - float(special.zeta(2, degrees_P / 2).mean()))


def _degrees_of(log_variance: float) -> float:
    """Return the degrees of freedom of a variance whose logarithm has this variance; at most `SURE`."""
    least, most = 1e-2, SURE / 2
    if log_variance <= special.zeta(2, most):
        return SURE
    if log_variance >= special.zeta(2, least):
        return 2 * least
    return 2 * float(optimize.brentq(lambda half: special.zeta(2, half) - log_variance, least, most))
