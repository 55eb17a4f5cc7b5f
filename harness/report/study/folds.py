"""What a split holds: one result's counts, or with folds those of all folds together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.records import Counts
from harness.report.study.seeds import order_splits
from harness.report.study.variants import VariantRuns


def counts_by_split(groups: Sequence[VariantRuns]) -> dict[str, Counts]:
    """Return split -> counts of the first result that has it; with folds, of all folds that its variant has."""
    found: dict[str, Counts] = {}
    for group in groups:
        for result in group.results.values():
            for split in result.counts.keys() - found.keys():
                found[split] = _over_folds(group, split) if group.folds else result.counts[split]
    return {split: found[split] for split in order_splits(found)}


def _over_folds(group: VariantRuns, split: str) -> Counts:
    found: dict[tuple[str, ...], Counts] = {}
    for result in group.results.values():
        if split in result.counts:
            found.setdefault(result.counts[split].images, result.counts[split])
    return join_images(tuple(found.values()))


def join_images(parts: Sequence[Counts]) -> Counts:
    """Return the counts of several sets of images, which share their classes, as one."""
    first = np.cumsum([0, *(len(part.images) for part in parts)])
    return Counts(
        image_K=np.concatenate([part.image_K + start for part, start in zip(parts, first[:-1], strict=True)]),
        true_K=np.concatenate([part.true_K for part in parts]),
        predicted_K=np.concatenate([part.predicted_K for part in parts]),
        pixels_K=np.concatenate([part.pixels_K for part in parts]),
        images=tuple(image for part in parts for image in part.images),
        groups=tuple(group for part in parts for group in part.groups),
        classes=parts[0].classes,
    )
