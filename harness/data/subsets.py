"""Parts of a data set: chosen images of a split, nested fractions of the training split, folds of groups.

Letters: N image, C class.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from heapq import heapreplace
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.digests import remember
from harness.data.source import Depth, Source, Split
from harness.errors import InputError
from harness.fingerprint import digest
from harness.settings import EvaluateSettings

HELD_OUT = 3
"""One group in so many of val chooses the best epoch, where a study asks for that."""
CANDIDATES = 32
"""Images drawn at most at each step of the order, of which the one that fits best comes next; never more than a quarter
of those left, so that seeds differ on small data sets too."""


def take(split: Split, chosen: Sequence[int]) -> Split:
    """Return the split of some of a split's images, in the order given."""
    # All images in their order are the split itself, with its digest: ids of runs do not change for nothing.
    indices = tuple(chosen)
    if indices == tuple(range(len(split.names))):
        return split
    return _gather((split,), [(split, index) for index in indices], [split.digest, list(indices)])


def join(first: Split, second: Split) -> Split:
    """Return the images of train and val as one split; where they share names, these say which of the two."""
    if set(first.names) & set(second.names):
        first, second = _told_apart(first, "train"), _told_apart(second, "val")
    members = [(split, index) for split in (first, second) for index in range(len(split.names))]
    return _gather((first, second), members, [first.digest, second.digest])


def _gather(splits: Sequence[Split], members: Sequence[tuple[Split, int]], content: list[Any]) -> Split:
    """Return a split of images of some splits, each (its split, its place there); `content` decides its digest."""

    def depth_of(k: int) -> Depth:
        split, index = members[k]
        assert split.read_depth is not None
        return split.read_depth(index)

    def require_all() -> None:
        for split in splits:
            split.require_unchanged()

    known = all(split.recordings for split in splits)
    return Split(
        names=tuple(split.names[index] for split, index in members),
        groups=tuple(split.groups[index] for split, index in members),
        read_image=lambda k: members[k][0].read_image(members[k][1]),
        read_label=lambda k: members[k][0].read_label(members[k][1]),
        read_ids=lambda k: members[k][0].read_ids(members[k][1]),
        digest=digest(content),
        read_depth=depth_of if all(split.read_depth is not None for split in splits) else None,
        recordings=tuple(split.recordings[index] for split, index in members) if known else (),
        require_unchanged=require_all,
    )


def _told_apart(split: Split, prefix: str) -> Split:
    names = tuple(f"{prefix}/{name}" for name in split.names)
    alone = zip(names, split.names, split.groups, strict=True)
    return replace(split, names=names, groups=tuple(new if group == old else group for new, old, group in alone))


def fold(source: Source, folds: int, number: int) -> Source:
    """Return a data set whose val is one of `folds` folds of train and val together, and whose train is the others.

    A fold holds whole recordings where these are known and enough, else whole groups. The folds are the same for every
    study: units in the order of their names' hashes, each to the fold that is smallest so far.

    Raises:
        InputError: there are fewer units than folds.
    """
    joined = join(source.splits["train"], source.splits["val"])
    units = joined.recordings if len(set(joined.recordings)) >= folds else joined.groups
    ranked = sorted(set(units), key=lambda unit: hashlib.sha256(unit.encode()).digest())
    if len(ranked) < folds:
        raise InputError(f"data.folds: {folds} folds of {len(ranked)} groups; give at most {len(ranked)}")
    images = Counter(units)
    # The largest units come first and each goes to the smallest fold, so that folds end up nearly equal. `filled` is a
    # heap of (images of a fold, its number): its first entry is the smallest.
    filled = [(0, place) for place in range(folds)]
    fold_of: dict[str, int] = {}
    for unit in sorted(ranked, key=images.__getitem__, reverse=True):
        size, fold_of[unit] = filled[0]
        heapreplace(filled, (size + images[unit], fold_of[unit]))
    train, val = _part(joined, [fold_of[unit] == number for unit in units])
    return replace(source, splits={**source.splits, "train": train, "val": val})


def _part(split: Split, chosen: Sequence[bool]) -> tuple[Split, Split]:
    """Return the images of a split that are not chosen, and those that are."""
    others = take(split, [index for index, is_chosen in enumerate(chosen) if not is_chosen])
    return others, take(split, [index for index, is_chosen in enumerate(chosen) if is_chosen])


def hold_out(source: Source) -> Source:
    """Return a data set with a split `select`: a third of val's groups, in the order of their names' hashes.

    Raises:
        InputError: val has fewer than three groups.
    """
    val = source.splits["val"]
    ranked = sorted(set(val.groups), key=lambda group: hashlib.sha256(group.encode()).digest())
    if len(ranked) < HELD_OUT:
        raise InputError(
            f"evaluate.select_split: val has {len(ranked)} {'group' if len(ranked) == 1 else 'groups'} of images, too "
            f"few to hold a third of them out; write select_split: val"
        )
    chosen = set(ranked[: len(ranked) // HELD_OUT])
    rest, select = _part(val, [group in chosen for group in val.groups])
    return replace(source, splits={**source.splits, "select": select, "val": rest})


def divide_val(source: Source, evaluate: EvaluateSettings) -> Source:
    """Return a data set as a run uses it: with a split `select` where part of val is held out to choose the epoch.

    Raises:
        InputError: val has too few groups to hold any out.
    """
    return hold_out(source) if evaluate.select_split == "held_out" else source


def shrink(source: Source, fraction: float, rng: np.random.Generator) -> Source:
    """Return a data set with a fraction of its training images: a beginning of one order, so that fractions are nested.

    In every beginning of the order, each class occurs in about as large a share of the images as in all of them.
    """
    split = source.splits["train"]
    order = _balanced_order(_presence(split, source), rng)
    number = max(1, round(fraction * len(order)))
    return replace(source, splits={**source.splits, "train": take(split, sorted(order[:number]))})


def _presence(split: Split, source: Source) -> npt.NDArray[np.bool_]:
    """Return whether each class occurs in each image, [N, C]; every label is read once for one content."""
    num_classes = len(source.taxonomy.classes)
    key = digest([split.digest, sorted(source.taxonomy.class_of.items())])

    def work_out() -> str:
        found = [np.unique(split.read_label(index)).tolist() for index in range(len(split.names))]
        split.require_unchanged()
        return json.dumps([[c for c in classes if c < num_classes] for classes in found])

    present_NC = np.zeros((len(split.names), num_classes), np.bool_)
    for row_C, classes in zip(present_NC, json.loads(remember("presence", key, work_out)), strict=True):
        row_C[classes] = True
    return present_NC


def _balanced_order(present_NC: npt.NDArray[np.bool_], rng: np.random.Generator) -> list[int]:
    """Return an order of images; each is the one, of a few drawn at random, that keeps classes' shares most even.

    Deviations count relative to a class's share, so that rare classes are not left to chance (stratification in the
    sense of Sechidis et al. 2011, made greedy so that every beginning of the order is stratified).
    """
    # Classes in no image get no weight; without the lower limit they would divide by zero before that is known.
    share_C = present_NC.mean(axis=0)
    weight_C = np.where(share_C > 0, 1 / np.maximum(share_C, 1e-9), 0.0)
    left: list[int] = rng.permutation(len(present_NC)).tolist()
    order: list[int] = []
    seen_C = np.zeros(present_NC.shape[1])
    while left:
        # Candidates come first, and the best of them second: an order by classes alone would be the same for all seeds.
        drawn = rng.choice(len(left), size=min(CANDIDATES, -(-len(left) // 4)), replace=False)
        wanted_C = share_C * (len(order) + 1)
        miss = (((seen_C + present_NC[[left[k] for k in drawn]]) - wanted_C) ** 2 * weight_C).sum(axis=1)
        chosen = left.pop(int(drawn[miss.argmin()]))
        seen_C += present_NC[chosen]
        order.append(chosen)
    return order
