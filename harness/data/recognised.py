"""Records of recognising a data set: what was found, what was nearly found, and which ids its label files hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from harness.data.images import read_ids
from harness.data.resampled_masks import Mixture, measure_mixture
from harness.data.source import RawIds, Source
from harness.data.taxonomy import IGNORE, join_runs
from harness.errors import InputError

Item = TypeVar("Item")
MEASURED = 24
"""Masks whose ids' places are looked at."""


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
    guesses: Mapping[str, str] = field(default_factory=dict)
    """What was guessed: topic, such as `classes` -> what and why, in words for the user."""


@dataclass(frozen=True)
class Miss:
    """A layout that is nearly there: its name and what it lacks, in words for the user."""

    told: str


@dataclass(frozen=True)
class KnownLayout:
    """A layout that is recognised."""

    shown: str
    """Name of the data part, and the folders that belong to it."""
    find: Callable[[Path], Iterator[Layout | Miss]]
    """Folder -> the data sets of this layout in it, and what nearly is one. Nothing in it is changed."""


@dataclass(frozen=True)
class MaskIds:
    """What the masks of a data set hold."""

    pixels: Mapping[int, int]
    """Raw id -> pixels."""
    mixture: Mixture
    """How the ids lie in a few of the masks."""
    read: int
    """Masks that were read."""
    unread: tuple[InputError, ...]
    """Why others could not be."""


def read_mask_ids(masks: Sequence[Path], most: int) -> MaskIds:
    """Return what at most `most` label files hold, spread evenly over those given."""
    total, unread = np.zeros(1 << 16, np.int64), list[InputError]()
    chosen = spread(masks, most)
    measured = set(spread(chosen, MEASURED))

    def read() -> Iterator[RawIds]:
        for path in chosen:
            try:
                ids_HW = read_ids(path)
            except InputError as error:
                unread.append(error)
                continue
            np.add(total, np.bincount(ids_HW.ravel(), minlength=1 << 16), out=total)
            if path in measured:
                yield ids_HW

    # One pass: the mixture is measured on a few of the masks while the ids of all are counted.
    mixture = measure_mixture(read())
    pixels = {int(raw): int(total[raw]) for raw in np.flatnonzero(total)}
    return MaskIds(pixels, mixture, len(chosen) - len(unread), tuple(unread))


def name_below(root: Path, folder: Path) -> str:
    """Return a folder's path below the data's, as messages show it."""
    return f"{folder.relative_to(root).as_posix()}/"


def spread(items: Sequence[Item], most: int) -> list[Item]:
    """Return at most `most` items, evenly spread."""
    step = max(len(items) / most, 1)
    return [items[int((k + 0.5) * step)] for k in range(min(most, len(items)))]


def subfolders(place: Path) -> list[Path]:
    """Return the folders in a folder, by name, without hidden ones."""
    return sorted(path for path in place.iterdir() if path.is_dir() and not path.name.startswith("."))


def tell_guesses(layout: Layout, source: Source) -> dict[str, str]:
    """Return topic -> what was taken for granted, and why; `source` is the data set opened as it is.

    Topics: division, classes, ignored, groups, and what of the files is left out or was not looked at.
    """
    taxonomy = source.taxonomy
    void = taxonomy.raw_ids(IGNORE)
    published: dict[str, str] = {
        "division": "as published",
        "classes": f"the {len(taxonomy.classes)} of the label set {taxonomy.name} (harness parts data {layout.name})",
        **({"ignored": f"ids {join_runs(void)}, as that label set says"} if void else {}),
    }
    told = dict(layout.guesses) if layout.name == "folder" else published
    counted = ", ".join(f"{len(split.names):,} {name}" for name, split in source.splits.items())
    told["division"] = f"{counted}: {told['division']}"
    told["groups"] = _tell_groups(layout, source)
    if source.listed:
        first, number = source.listed[0], len(source.listed)
        told["left out"] = f"{number} {'file' if number == 1 else 'files'} without a counterpart, first {first.told}"
    return told


def _tell_groups(layout: Layout, source: Source) -> str:
    val = source.splits["val"]
    number = len(set(val.groups))
    if number == len(val.names):
        setting = " (data.groups)" if layout.name == "folder" else ""
        return f"each picture counts as independent; frames of one film or drive are not{setting}"
    made = f" by {layout.settings['groups']}" if "groups" in layout.settings else ""
    return f"val has {number} that can be resampled{made}, such as {val.groups[0]}"
