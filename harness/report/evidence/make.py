"""Results -> evidence: regions, confusion flow and images behind the difference of two variants. Nothing is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from harness.records import Counts, RunResult
from harness.report.evidence.confusion_shift import confusion_change, find_shifts
from harness.report.evidence.records import Evidence, ImageChange, Paired, RegionDelta
from harness.report.study.file_names import make_slugs
from harness.report.study.seeds import known, make_difference, make_estimate, order_splits
from harness.report.study.variants import VariantRuns
from harness.scores import divide_where, iou_class, miou_dataset, sum_pixels

WHOLE = "all"
PICTURED_SPLIT = "val"
NAMED_IMAGES = 3
"""Images named on each side, and drawn on each side."""
MOST_FIGURES = 8
"""Comparisons that get figures: those whose headline moved most."""

Pixels = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


class Margins(NamedTuple):
    """Pixels of one run by image and class."""

    hit_NC: Pixels
    """Intersections."""
    union_NC: Pixels
    true_C: Pixels


def measure_margins(counts: Counts) -> Margins:
    """Return intersections, unions and true pixels."""
    images = len(counts.images)
    true_NC, predicted_NC, hit_NC = sum_pixels(counts, np.arange(images), images)
    return Margins(hit_NC, true_NC + predicted_NC - hit_NC, true_NC.sum(axis=0))


def contributions(here: Margins, against: Margins) -> Values:
    """Return each image's part in `here`'s miou_dataset minus `against`'s, [N]; the parts add up to the difference.

    For a class with intersection I and union U over all images, r = I / U, the difference d between two runs obeys
    d(I) = mean(r) d(U) + mean(U) d(r), with means over the two runs. So d(r) = (d(I) - mean(r) d(U)) / mean(U) exactly,
    and d(I) and d(U) are sums over images. The part of an image is that of its own d(I) and d(U), averaged over the
    classes in the ground truth: a pixel of a rare class weighs more, as it does in the score.
    """
    # Classes in the truth alone: with merged labels one of the two may have a last class more, which has none.
    seen = np.flatnonzero(here.true_C)
    hit_NC, hit0_NC, union_NC, union0_NC = (
        item[:, seen] for item in (here.hit_NC, against.hit_NC, here.union_NC, against.union_NC)
    )
    # No union is 0 here: it holds the truth. So nothing is undefined, and no image has to be left out.
    union_C, union0_C = union_NC.sum(axis=0), union0_NC.sum(axis=0)
    mean_iou_C = (hit_NC.sum(axis=0) / union_C + hit0_NC.sum(axis=0) / union0_C) / 2
    change_NC = hit_NC - hit0_NC - mean_iou_C * (union_NC - union0_NC)
    parts_N: Values = (change_NC / ((union_C + union0_C) / 2)).sum(axis=1) / max(len(seen), 1)
    return parts_N


class CountSums:
    """One result's counts on one split, each sum worked out once."""

    def __init__(self, result: RunResult, split: str) -> None:
        self.counts = result.counts[split]
        self.parts: dict[str, Counts] = {WHOLE: self.counts, **result.regions.get(split, {})}

    @cached_property
    def confusions(self) -> dict[str, Pixels]:
        """Return region -> confusion matrix, [C, C]."""
        return {name: counts.confusion_CC() for name, counts in self.parts.items()}

    @cached_property
    def scores(self) -> dict[str, dict[str, float | None]]:
        """Return region -> `miou_dataset` under an empty name, and the IoU of each class under its own."""
        return {
            name: {"": known(miou_dataset(confusion_CC))}
            | dict(zip(self.counts.classes, map(known, iou_class(confusion_CC).tolist()), strict=True))
            for name, confusion_CC in self.confusions.items()
        }

    @cached_property
    def margins(self) -> Margins:
        """Return pixels by image and class."""
        return measure_margins(self.counts)

    @cached_property
    def right_N(self) -> Values:
        """Return the share of each image's counted pixels that is right; NaN where all are ignored."""
        all_N = np.bincount(self.counts.image_K, weights=self.counts.pixels_K, minlength=len(self.counts.images))
        return divide_where(all_N, self.margins.hit_NC.sum(axis=1), all_N)


@dataclass(frozen=True)
class VariantPair:
    """Two variants on one split, over the seeds that both have."""

    here: Mapping[int, CountSums]
    against: Mapping[int, CountSums]


def make_evidence(groups: Sequence[VariantRuns], pairs: Sequence[tuple[str, str]]) -> tuple[Evidence, ...]:
    """Return the evidence of each pair (variant, the one it is compared with) on each split that both were judged on.

    The pairs must be comparable, in one label set. There is none without a common seed, and none on a split whose
    images differ.
    """
    by_name = {group.name: group for group in groups}
    # Counts are unpacked once for each run and split, for the reference enters every pair.
    counted = {
        (group.name, seed, split): CountSums(result, split)
        for group in groups
        for seed, result in group.results.items()
        for split in result.counts
    }
    slugs = make_slugs(by_name)
    found = []
    for variant, against in pairs:
        here, there = by_name[variant], by_name[against]
        # Paired by seed: only what both have, so that a seed that one lacks does not look like a difference.
        for split in _shared_splits(here, there):
            seeds = [seed for seed in sorted(here.results) if seed in there.results]
            both = VariantPair(*({seed: counted[name, seed, split] for seed in seeds} for name in (variant, against)))
            found.append(_make_one(both, (here, there), split))
    # All evidence is in the record; pictures are drawn of the most telling pairs only.
    shown = [place for place, item in enumerate(found) if item.split == PICTURED_SPLIT]
    ranked = sorted(shown, key=lambda place: -abs(found[place].regions[0].miou_dataset.delta or 0.0))
    for place in ranked[:MOST_FIGURES]:
        item = found[place]
        pair = f"{slugs[item.variant]}_vs_{slugs[item.against]}"
        pictures = {"images_figure": f"changed_{pair}.png"} if item.pictured_lost or item.pictured_gained else {}
        found[place] = item.model_copy(update={"flow_figure": f"flow_{pair}.png", **pictures})
    return tuple(found)


def _shared_splits(here: VariantRuns, there: VariantRuns) -> list[str]:
    """Return the splits on which both were judged, on the same images with every seed that both have."""
    shared = [group.results[seed].counts for seed in here.results if seed in there.results for group in (here, there)]
    names = order_splits(set.intersection(*(set(counts) for counts in shared))) if shared else []
    return [name for name in names if len({counts[name].images for counts in shared}) == 1]


def evidence_figures(evidence: Sequence[Evidence]) -> tuple[str, ...]:
    """Return the file names of all figures that evidence is drawn in."""
    names = [name for item in evidence for name in (item.flow_figure, item.images_figure)]
    return tuple(name for name in names if name)


def _make_one(both: VariantPair, groups: tuple[VariantRuns, VariantRuns], split: str) -> Evidence:
    seeds = tuple(both.here)
    first, other = both.here[seeds[0]], both.against[seeds[0]]
    classes = max(first.counts.classes, other.counts.classes, key=len)
    pairs = [(both.here[seed].confusions[WHOLE], both.against[seed].confusions[WHOLE]) for seed in seeds]
    change_KCC = np.array([confusion_change(*pair) for pair in pairs])
    # The first run may lack the last class of the other one: the one for predictions of what is ignored.
    pixels_C = np.pad(first.confusions[WHOLE].sum(axis=1), (0, len(classes) - len(first.counts.classes)))
    changes = _image_changes(both)
    counted = [*both.here.values(), *both.against.values()]
    shared = [name for name in first.parts if all(name in item.parts for item in counted)]
    seed, names = find_pictured(groups, split)
    pictured = [change for change in changes if change.image in names]
    lost, gained = _extremes(changes)
    pictured_lost, pictured_gained = _extremes(pictured)
    return Evidence(
        variant=groups[0].name,
        against=groups[1].name,
        split=split,
        seeds=seeds,
        regions=tuple(_region(both, name) for name in shared),
        moves=find_shifts(change_KCC, pixels_C, classes),
        lost=lost,
        gained=gained,
        images=len(first.counts.images),
        kept=len(names),
        pictured_lost=pictured_lost,
        pictured_gained=pictured_gained,
        pictured_seed=seed,
        flow_figure=None,
        images_figure=None,
    )


def _region(both: VariantPair, name: str) -> RegionDelta:
    first = next(iter(both.here.values()))
    total = first.confusions[WHOLE].sum()
    return RegionDelta(
        region=name,
        share=float(first.confusions[name].sum() / total) if total else None,
        miou_dataset=_pair(both, name, ""),
        iou_class={label: _pair(both, name, label) for label in first.counts.classes},
    )


def _pair(both: VariantPair, region: str, score: str) -> Paired:
    here, against = (
        {seed: item.scores[region].get(score) for seed, item in side.items()} for side in (both.here, both.against)
    )
    delta = make_difference(here, against)
    return Paired(
        here=make_estimate({seed: here[seed] for seed in delta.seeds}).mean,
        against=make_estimate({seed: against[seed] for seed in delta.seeds}).mean,
        delta=delta.mean,
        sd=delta.sd,
        seeds=delta.seeds,
        by_seed=delta.values,
    )


def _image_changes(both: VariantPair) -> list[ImageChange]:
    """Return the change of each image that has a counted pixel, those that lower the score most first."""
    pairs = [(both.here[seed], both.against[seed]) for seed in both.here]
    change_KN = np.array([contributions(here.margins, there.margins) for here, there in pairs])
    right_N = np.mean([here.right_N - there.right_N for here, there in pairs], axis=0)
    names, mean_N = pairs[0][0].counts.images, change_KN.mean(axis=0)
    # A stable sort: images that change alike stand in the order of the split.
    order = [place for place in np.argsort(mean_N, kind="stable").tolist() if not np.isnan(right_N[place])]
    return [
        ImageChange(
            image=names[n], change=float(mean_N[n]), by_seed=tuple(change_KN[:, n].tolist()), right=float(right_N[n])
        )
        for n in order
    ]


def _extremes(changes: Sequence[ImageChange]) -> tuple[tuple[ImageChange, ...], tuple[ImageChange, ...]]:
    """Return those that lower the score most and those that raise it most, each side's largest first."""
    lost = [change for change in changes[:NAMED_IMAGES] if change.change < 0]
    gained = [change for change in reversed(changes[-NAMED_IMAGES:]) if change.change > 0]
    return tuple(lost), tuple(gained)


def find_pictured(groups: tuple[VariantRuns, VariantRuns], split: str) -> tuple[int | None, frozenset[str]]:
    """Return the first seed of which both variants kept predictions, and the images that both kept; None where none."""
    for seed in sorted(groups[0].results) if split == PICTURED_SPLIT else ():
        predictions = [group.results[seed].predictions for group in groups if seed in group.results]
        names = [frozenset(item.names) for item in predictions if item is not None]
        if len(names) == 2 and names[0] & names[1]:
            return seed, names[0] & names[1]
    return None, frozenset()
