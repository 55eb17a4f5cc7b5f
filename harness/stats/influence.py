"""How much each group of images moves a score: the linearised (delta-method) counterpart of the group bootstrap.

The IoU of a class is a ratio of sums over groups, hit / union. Group g moves it by (hit_g - IoU union_g) / union
(Woodruff 1971; Binder 1983). Dividing by sqrt(1 - union_g / union) undoes, under a working model in which a group's
own IoU scatters equally around the whole's, that the group pulled the ratio towards itself: the CR2 correction of Bell
and McCaffrey (2002) for a weighted mean. A delete-one-group jackknife would divide by the same term without the root.
Nothing is undefined when a class is rare, because no group is ever left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.stats.margins import Margins, Values


@dataclass(frozen=True)
class Influence:
    """Moves of each run's class IoUs by each group, and how much a variance made of them is worth."""

    moves_KGC: Values
    """Sums of squares over G estimate sampling variances; 0 for a class that is absent or in one group only."""
    trace_C: Values
    """Trace of the working covariance of a class's moves; 0 where the class is in fewer than two groups."""
    overlap_CC: Values
    """Trace of the product of two classes' working covariances."""


def measure_influence(margins: Margins) -> Influence:
    """Return the moves of all groups: O(K G C), and O(G C C) for the working model."""
    # First-order change of IoU = hit / union when a group's pixels are left out: (hit_g - IoU union_g) / union.
    union_KGC = margins.true_GC + margins.predicted_KGC - margins.hit_KGC
    union_K1C = np.maximum(union_KGC.sum(axis=1, keepdims=True), 1)
    iou_K1C = margins.hit_KGC.sum(axis=1, keepdims=True) / union_K1C
    # A group that makes up a share h of the union pulls the IoU towards itself, so its residual is too small by sqrt(1
    # - h) (leverage, as in regression); a class in one group alone would divide by 0 and shows no scatter.
    share_KGC = union_KGC / union_K1C
    raw_KGC = (margins.hit_KGC - iou_K1C * union_KGC) / union_K1C
    moves_KGC = np.zeros_like(raw_KGC)
    sampled_C = (margins.true_GC > 0).sum(axis=0) > 1
    np.divide(raw_KGC, np.sqrt(1 - share_KGC), out=moves_KGC, where=sampled_C)
    trace_C, overlap_CC = _working_traces(margins.true_GC * sampled_C)
    return Influence(moves_KGC=moves_KGC, trace_C=trace_C, overlap_CC=overlap_CC)


def group_degrees(variance_C: Values, influence: Influence) -> float:
    """Return the degrees of freedom of a sum of class variances, after Bell and McCaffrey (2002).

    `variance_C` is each class's share of the variance; classes are taken as independent. G - 1 where all groups hold
    equally much of a class; near (groups that hold the class) - 1 where few do; 0 where no variance was measurable.
    """
    scale_C = np.zeros_like(variance_C)
    np.divide(variance_C, influence.trace_C, out=scale_C, where=influence.trace_C > 0)
    spread = float(scale_C @ influence.overlap_CC @ scale_C)
    return float(scale_C @ influence.trace_C) ** 2 / spread if spread > 0 else 0.0


def _working_traces(true_GC: Values) -> tuple[Values, Values]:
    """Return traces of Q_c and of Q_c Q_d, where Q_c is the covariance of a class's moves under the working model.

    With a_g the share of group g in the class's pixels, b = sum a_g^2 and p_g = a_g / sqrt(1 - a_g), it is
    Q_gh = p_g p_h ([g = h] + b - a_g - a_h). The sums over g and h are written out, so that no G x G array is needed.
    """
    # Names follow the formula above: share a, pull p, square b.
    share_GC = true_GC / np.maximum(true_GC.sum(axis=0), 1)
    pull_GC = share_GC / np.sqrt(1 - share_GC)
    square_C = (share_GC**2).sum(axis=0)
    trace_C = (pull_GC**2 * (1 + square_C - 2 * share_GC)).sum(axis=0)
    num_classes = len(trace_C)
    overlap_CC = np.empty((num_classes, num_classes))
    for c in range(num_classes):
        # sum over g, h of Q_c[g, h] Q_d[g, h]: the terms with g = h (diagonal), then those of the product of the two
        # brackets off the diagonal, each a product of sums over g and over h.
        both_GC = pull_GC[:, [c]] * pull_GC
        total_C, mine_C = both_GC.sum(axis=0), (both_GC * share_GC[:, [c]]).sum(axis=0)
        other_C, joint_C = (both_GC * share_GC).sum(axis=0), (both_GC * share_GC * share_GC[:, [c]]).sum(axis=0)
        diagonal_GC = both_GC**2 * (1 + square_C + square_C[c] - 2 * share_GC - 2 * share_GC[:, [c]])
        product_C = square_C[c] * square_C * total_C**2 - 2 * total_C * (square_C[c] * other_C + square_C * mine_C)
        overlap_CC[c] = diagonal_GC.sum(axis=0) + product_C + 2 * total_C * joint_C + 2 * mine_C * other_C
    return trace_C, overlap_CC
