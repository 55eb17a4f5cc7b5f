"""Which classes are shown where there are more than a reader takes in; the record and the CSV tables hold all."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

MOST_CLASSES = 60
"""So many are shown all, in their own order."""
EACH_END = 20
"""Of more, so many with the lowest values are shown, and so many with the highest."""


def extremes(values: Mapping[str, float | None]) -> tuple[str, ...]:
    """Return the names to show: all, or of too many those with the lowest and the highest values, the lowest first.

    Classes without a value are then left out.
    """
    if len(values) <= MOST_CLASSES:
        return tuple(values)
    known = {name: value for name, value in values.items() if value is not None}
    names = sorted(known, key=lambda name: known[name])
    return tuple(names if len(names) <= 2 * EACH_END else [*names[:EACH_END], *names[-EACH_END:]])


def mean_known(values: list[float | None]) -> float | None:
    """Return the mean of the values that there are; None without any."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def tell_left_out(shown: int, classes: int, what: str, table: str) -> str:
    """Return which classes are shown, and where the others are; nothing where all are."""
    if classes <= MOST_CLASSES:
        return ""
    chosen = f"the {EACH_END} with the lowest and the {EACH_END} with the highest {what}"
    chosen = chosen if shown == 2 * EACH_END else "those that have a value, the lowest first"
    return f"{shown} of {classes} classes are shown: {chosen}. All are in `{table}`."


def most_wrong(confusion_CC: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """Return the indices of the classes to show of a confusion matrix (pixels): of too many, those most often wrong."""
    if len(confusion_CC) <= MOST_CLASSES:
        return np.arange(len(confusion_CC))
    right_C = confusion_CC.diagonal()
    wrong_C = confusion_CC.sum(axis=0) + confusion_CC.sum(axis=1) - 2 * right_C
    # Of equally wrong classes the one with more right pixels comes first; a class that does not occur never does.
    order_C = np.lexsort((-right_C, -wrong_C))[: 2 * EACH_END]
    return np.sort(order_C[(wrong_C + right_C)[order_C] > 0])
