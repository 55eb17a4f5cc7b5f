"""Image-group bootstrap of confusion counts: groups are drawn with replacement, the same draws for every run.

The independent answer that intervals of `harness.stats` are held against.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from harness.stats.margins import Margins, Values, class_scores

RESAMPLES_AT_ONCE = 1000


def draw_weights(num_groups: int, resamples: int, seed: int) -> npt.NDArray[np.float64]:
    """Return how often each group is drawn in each resample, [R, G]: multinomial, each row sums to G (Efron 1979)."""
    generator = np.random.default_rng(seed)
    even = np.full(num_groups, 1 / num_groups)
    return generator.multinomial(num_groups, even, size=resamples).astype(np.float64)


def bootstrap_scores(margins: Margins, resamples: int, seed: int) -> Values:
    """Return the measures of each run on each resample of the groups, [K, R, M] (fractions).

    All runs see the same resamples, so differences between runs are paired by group. A class whose groups are all
    missing from a resample has no IoU there: it is NaN in that resample, and the mean of that resample runs over the
    classes that are left, for all runs alike. Time and memory: one matrix product of R x G x 2C for each run.
    """
    weights_RG = draw_weights(len(margins.groups), resamples, seed)
    num_classes = len(margins.classes)
    result_KRM = np.empty((len(margins.runs), resamples, 1 + num_classes))
    for start in range(0, resamples, RESAMPLES_AT_ONCE):
        part = slice(start, start + RESAMPLES_AT_ONCE)
        weights = weights_RG[part]
        true_RC = weights @ margins.true_GC.astype(np.float64)
        for run, (hit_GC, predicted_GC) in enumerate(zip(margins.hit_KGC, margins.predicted_KGC, strict=True)):
            both = weights @ np.concatenate([hit_GC, predicted_GC], axis=1).astype(np.float64)
            result_KRM[run, part] = class_scores(both[:, :num_classes], both[:, num_classes:], true_RC)
    return result_KRM
