"""Confusion flow: how the predictions of each true class moved between two variants. Letters: C class, K seed.

Everything is a difference of confusion matrices, row by row: entry (t, p) is the share of class t's pixels predicted as
p by the one variant, minus the same share of the other. Each row sums to zero. What a row does not hold is which pixel
went where: a class that lost 2 % may have lost them to any of those that gained, and pixels that swapped places cancel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from harness.report.evidence.records import Move
from harness.scores import divide_where

MOST_MOVES = 6
SMALLEST_MOVE = 0.002
"""Share of a class below which a move is not named."""

Confusion = npt.NDArray[np.int64]
Matrix = npt.NDArray[np.float64]


def confusion_change(here_CC: Confusion, against_CC: Confusion) -> Matrix:
    """Return the difference of two confusion matrices, each row divided by its sum; NaN where a class is absent.

    One of them may have a last class more: the one that stands for predictions of what a common label set ignores.
    """
    size = max(len(here_CC), len(against_CC))
    return _by_row(here_CC, size) - _by_row(against_CC, size)


def _by_row(counts_CC: Confusion, size: int) -> Matrix:
    counts_CC = np.pad(counts_CC, (0, size - len(counts_CC)))
    sums_C1 = counts_CC.sum(axis=1, keepdims=True)
    return divide_where(sums_C1, counts_CC, sums_C1)


def find_shifts(change_KCC: Matrix, pixels_C: Confusion, classes: Sequence[str]) -> tuple[Move, ...]:
    """Return the largest moves, averaged over seeds; `change_KCC` holds the change of each seed.

    In a row of one seed let `lost` be what one class lost, `gained` what another gained, and `total` the sum of all
    losses, which is that of all gains. The move between the two is lost * gained / total; it cannot be more than the
    lesser of the two, nor less than lost + gained - total. Where seeds disagree about the direction, moves cancel.
    """
    found = []
    for t in np.flatnonzero(~np.isnan(change_KCC).any(axis=(0, 2))).tolist():
        share_CC, least_CC, most_CC, agreeing_CC = _moves_of_class(change_KCC[:, t])
        for source, target in np.argwhere(share_CC >= SMALLEST_MOVE).tolist():
            found.append(
                Move(
                    true=classes[t],
                    source=classes[source],
                    target=classes[target],
                    share=float(share_CC[source, target]),
                    least=float(least_CC[source, target]),
                    most=float(most_CC[source, target]),
                    pixels=int(pixels_C[t]),
                    agreeing=int(agreeing_CC[source, target]),
                )
            )
    return tuple(sorted(found, key=lambda move: -move.share)[:MOST_MOVES])


def _moves_of_class(change_KC: Matrix) -> tuple[Matrix, Matrix, Matrix, Confusion]:
    """Return moves from one prediction (rows) to another, their bounds, and the seeds that have them, [C, C] each."""
    # Spread in proportion: of what one class lost, each other class got its part of all that was gained.
    lost_KC1, gained_K1C = np.maximum(-change_KC, 0)[:, :, None], np.maximum(change_KC, 0)[:, None]
    total_K11 = lost_KC1.sum(axis=1, keepdims=True)
    share_KCC = lost_KC1 * gained_K1C / np.maximum(total_K11, np.finfo(float).tiny)
    # No more can have gone between two than one lost and the other gained. At least went what all others cannot have
    # taken.
    most_KCC = np.minimum(lost_KC1, gained_K1C)
    least_KCC = np.where(most_KCC > 0, np.maximum(lost_KC1 + gained_K1C - total_K11, 0), 0)
    # Net of the opposite direction, which seeds that disagree have: the bounds swap places when they are taken off.
    back = (0, 2, 1)
    return (
        (share_KCC - share_KCC.transpose(back)).mean(axis=0),
        (least_KCC - most_KCC.transpose(back)).mean(axis=0),
        (most_KCC - least_KCC.transpose(back)).mean(axis=0),
        (most_KCC > 0).sum(axis=0),
    )
