"""What recognising a data set ends in, and a look at its label files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from harness.data.images import ColourMaskError, read_ids
from harness.errors import InputError

Item = TypeVar("Item")


@dataclass(frozen=True)
class Layout:
    """A data set that was recognised in a folder."""

    name: str
    """Name of the data part, as in a spec's `data.name`."""
    settings: Mapping[str, Any]
    """Its settings: `root`, and what differs from the defaults."""
    why: str
    """What was found, in a sentence."""
    pixels: Mapping[int, int] = field(default_factory=dict)
    """Raw id -> pixels in the masks that were read; empty where the data part itself knows the ids."""


@dataclass(frozen=True)
class Miss:
    """What speaks for a layout, and why it is none; in words for the user."""

    told: str


def count_ids(masks: Sequence[Path], most: int) -> dict[int, int]:
    """Return raw id -> pixels of at most `most` label files, spread evenly over those given; damaged ones are passed
    over.

    Raises:
        ColourMaskError: a file holds colours, and none holds ids.
        InputError: none can be read; says why the first one cannot.
    """
    total, colours, unread = np.zeros(1 << 16, np.int64), None, None
    for path in spread(masks, most):
        try:
            ids_HW = read_ids(path)
        except ColourMaskError as error:
            colours = colours or error
        except InputError as error:
            unread = unread or error
        else:
            total += np.bincount(ids_HW.ravel(), minlength=1 << 16)
    if colours is not None and not total.any():
        raise colours
    if unread is not None and not total.any():
        raise InputError(f"no mask can be read; the first: {unread}")
    return {int(raw): int(total[raw]) for raw in np.flatnonzero(total)}


def spread(items: Sequence[Item], most: int) -> list[Item]:
    """Return at most `most` items, evenly spread."""
    step = max(len(items) / most, 1)
    return [items[int((k + 0.5) * step)] for k in range(min(most, len(items)))]


def subfolders(place: Path) -> list[Path]:
    """Return the folders in a folder, by name, without hidden ones."""
    return sorted(path for path in place.iterdir() if path.is_dir() and not path.name.startswith("."))
