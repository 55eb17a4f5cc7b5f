"""Confusion flow: how the predictions of each true class moved between two variants. Letters: C class, K seed.

Everything is a difference of confusion matrices, row by row: entry (t, p) is the share of class t's pixels predicted as
p by the one variant, minus the same share of the other. Each row sums to zero. What a row does not hold is which pixel
went where: a class that lost 2 % may have lost them to any of those that gained, and pixels that swapped places cancel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from harness.report.evidence_record import Move

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
    shares_CC = np.full(counts_CC.shape, np.nan)
    np.divide(counts_CC, sums_C1, out=shares_CC, where=sums_C1 > 0)
    return shares_CC


def find_moves(change_KCC: Matrix, pixels_C: Confusion, classes: Sequence[str]) -> tuple[Move, ...]:
    """Return the largest moves of the change averaged over seeds; `change_KCC` holds that of each seed.

    In a row let `lost` be what a class lost, `gained` what another gained, and `total` the sum of all losses, which is
    that of all gains. The move between the two is lost * gained / total; it cannot be more than either, nor less than
    lost + gained - total.
    """
    change_CC = change_KCC.mean(axis=0)
    found = []
    for t in np.flatnonzero(~np.isnan(change_CC).any(axis=1)).tolist():
        row = change_CC[t]
        total = row[row > 0].sum()
        for source in np.flatnonzero(row < 0).tolist():
            for target in np.flatnonzero(row > 0).tolist():
                lost, gained = -row[source], row[target]
                same_K = (change_KCC[:, t, source] < 0) & (change_KCC[:, t, target] > 0)
                found.append(
                    Move(
                        true=classes[t],
                        source=classes[source],
                        target=classes[target],
                        share=float(lost * gained / total),
                        least=float(max(0.0, lost + gained - total)),
                        most=float(min(lost, gained)),
                        pixels=int(pixels_C[t]),
                        agreeing=int(same_K.sum()),
                    )
                )
    largest = sorted(found, key=lambda move: -move.share)[:MOST_MOVES]
    return tuple(move for move in largest if move.share >= SMALLEST_MOVE)
