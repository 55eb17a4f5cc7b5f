"""What a model card says of a run's scores: intervals, weak classes, worst pictures. Fractions. Letters: N, C."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from harness.apply.choose import Chosen
from harness.judged import counts_at
from harness.predictions import Seen, unpack
from harness.records import Counts, Plan, RunResult
from harness.scores import iou_class
from harness.stats.effects import Effect, contrast, make_study
from harness.stats.folds import study_of
from harness.stats.margins import HEADLINE, sum_margins

WORST = 6
CONFUSED = 2
"""Classes that a weak class is said to be taken for."""
LEAST_SHARE = 0.01


class Interval(NamedTuple):
    """A score with its 95 % interval, which is NaN where nothing can be said."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ClassFacts:
    """One class on the val split."""

    name: str
    iou: Interval | None
    """None for a class that the split's ground truth lacks."""
    share: float
    """Of the split's labelled pixels."""
    taken_for: tuple[tuple[str, float], ...]
    """The classes that most of its missed pixels were taken for, each with the share of the class's pixels."""
    images: int
    """Images that hold it."""


@dataclass(frozen=True)
class WorstPicture:
    """A picture that the model does badly on."""

    name: str
    miou: float
    """Mean IoU over the classes in its truth or prediction."""
    seen: Seen


def own_intervals(counts: Counts) -> dict[str, Interval]:
    """Return `miou_dataset` and each class's IoU of one run; intervals speak for its weights on new images."""
    return _intervals(contrast(make_study(sum_margins({("run", 0): counts})), {"run": 1.0}))


def seed_interval(plan: Plan, chosen: Chosen, split: str, results: Mapping[str, RunResult]) -> Effect | None:
    """Return the variant's mean score over its seeds, speaking for new seeds and images; None with fewer than two.

    Over folds it speaks for new data as well.
    """
    runs = [run for run in plan.runs if run.variant == chosen.variant and run.id in results]
    found = {run.seed: counts_at(results[run.id], chosen.which) for run in runs}
    counts = {("variant", seed): by_split[split] for seed, by_split in found.items() if split in by_split}
    if len(counts) < 2:
        return None
    return contrast(study_of(counts, split, chosen.config.data["folds"]), {"variant": 1.0})[HEADLINE]


def _intervals(effects: Mapping[str, Effect]) -> dict[str, Interval]:
    return {name: clipped(effect) for name, effect in effects.items()}


def clipped(effect: Effect) -> Interval:
    """Return a score's interval within 0 and 1; none for a score of 0 or 1, of whose scatter nothing is seen."""
    if effect.delta in (0, 1):
        return Interval(effect.delta, math.nan, math.nan)
    low, high = (value if math.isnan(value) else min(max(value, 0.0), 1.0) for value in (effect.low, effect.high))
    return Interval(effect.delta, low, high)


def describe_classes(counts: Counts) -> tuple[ClassFacts, ...]:
    """Return the facts of each class, lowest IoU first, those without true pixels last."""
    confusion_CC, intervals = counts.confusion_CC(), own_intervals(counts)
    true_C = confusion_CC.sum(axis=1)
    found = []
    for index, name in enumerate(counts.classes):
        row_C = confusion_CC[index] / max(int(true_C[index]), 1)
        others = [place for place in np.argsort(-row_C, kind="stable").tolist() if place != index]
        held = {int(image) for image in counts.image_K[counts.true_K == index]}
        found.append(
            ClassFacts(
                name=name,
                iou=intervals[name] if true_C[index] else None,
                share=float(true_C[index] / max(int(true_C.sum()), 1)),
                taken_for=tuple(
                    (counts.classes[place], float(row_C[place]))
                    for place in others[:CONFUSED]
                    if row_C[place] >= LEAST_SHARE
                ),
                images=len(held),
            )
        )
    return tuple(sorted(found, key=lambda item: math.inf if item.iou is None else item.iou.value))


def find_worst(result: RunResult) -> tuple[WorstPicture, ...]:
    """Return the val pictures of lowest mean IoU, of those whose predictions are kept with the run."""
    if result.predictions is None:
        return ()
    counts, kept = result.counts["val"], set(result.predictions.names)
    scores = {}
    for name, confusion_CC in zip(counts.images, counts.confusion_NCC(), strict=True):
        if name in kept and confusion_CC.any():
            scores[name] = _image_miou(confusion_CC)
    worst = sorted(scores, key=lambda name: (scores[name], name))[:WORST]
    return tuple(WorstPicture(name, scores[name], unpack(result.predictions, name)) for name in worst)


def _image_miou(confusion_CC: npt.NDArray[np.int64]) -> float:
    """Return the mean IoU over the classes in an image's truth or prediction, as `miou_image` does."""
    seen_C = (confusion_CC.sum(axis=0) + confusion_CC.sum(axis=1)) > 0
    return float(np.nan_to_num(iou_class(confusion_CC)[seen_C]).mean())
