"""What a model card says of a run: intervals, weak classes and worst pictures; its tables as Markdown.

Scores are fractions. Letters: N, C.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.apply.choose import ChosenRun
from harness.data.taxonomy import IGNORE, Taxonomy
from harness.judged import counts_at
from harness.predictions import PredictedImage, unpack
from harness.records import Counts, Plan, RunResult
from harness.report.page.text import NOTHING, code, counted, escape, percent, setting, table
from harness.scores import all_scores, iou_class
from harness.stats.effects import Effect, contrast, make_study
from harness.stats.folds import study_of
from harness.stats.margins import HEADLINE, sum_margins

WORST = 6
CONFUSED = 2
"""Classes that a weak class is said to be taken for."""
LEAST_SHARE = 0.01
WEAK = 5
"""Classes told in sentences."""


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
    seen: PredictedImage


def own_intervals(counts: Counts) -> dict[str, Interval]:
    """Return `miou_dataset` and each class's IoU of one run; intervals speak for its weights on new images."""
    effects = contrast(make_study(sum_margins({("run", 0): counts})), {"run": 1.0})
    return {name: clipped(effect) for name, effect in effects.items()}


def seed_interval(plan: Plan, chosen: ChosenRun, split: str, results: Mapping[str, RunResult]) -> Effect | None:
    """Return the variant's mean score over its seeds, speaking for new seeds and images; None with fewer than two.

    Over folds it speaks for new data as well.
    """
    runs = [run for run in plan.runs if run.variant == chosen.variant and run.id in results]
    found = {run.seed: counts_at(results[run.id], chosen.which) for run in runs}
    counts = {("variant", seed): by_split[split] for seed, by_split in found.items() if split in by_split}
    if len(counts) < 2:
        return None
    return contrast(study_of(counts, split, chosen.config.data.folds), {"variant": 1.0})[HEADLINE]


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
                images=len(np.unique(counts.image_K[counts.true_K == index])),
            )
        )
    return tuple(sorted(found, key=lambda item: math.inf if item.iou is None else item.iou.value))


def find_worst(result: RunResult) -> tuple[WorstPicture, ...]:
    """Return the val pictures of lowest mean IoU, of those whose predictions are kept with the run."""
    if result.predictions is None:
        return ()
    counts, recorded = result.counts["val"], set(result.predictions.names)
    confusions = zip(counts.images, counts.confusion_NCC(), strict=True)
    scores = {name: _image_miou(matrix_CC) for name, matrix_CC in confusions if name in recorded and matrix_CC.any()}
    worst = sorted(scores, key=lambda name: (scores[name], name))[:WORST]
    return tuple(WorstPicture(name, scores[name], unpack(result.predictions, name)) for name in worst)


def _image_miou(confusion_CC: npt.NDArray[np.int64]) -> float:
    """Return the mean IoU over the classes in an image's truth or prediction, as `miou_image` does."""
    seen_C = (confusion_CC.sum(axis=0) + confusion_CC.sum(axis=1)) > 0
    return float(np.nan_to_num(iou_class(confusion_CC)[seen_C]).mean())


def bracket(interval: Interval) -> str:
    """Return ` (95 % interval 41.2 to 48.9)`, or nothing where there is none."""
    span = _span(interval)
    return f" (95 % interval {span})" if span else ""


def _span(interval: Interval) -> str:
    return "" if math.isnan(interval.low) else f"{percent(interval.low)} to {percent(interval.high)}"


def score_table(counts: Counts) -> str:
    """Return every score of a split, in percent."""
    return table(("Score", "%"), [(name, percent(value)) for name, value in all_scores(counts).items()])


def weak_sentences(counts: Counts) -> list[str]:
    """Return a sentence for each of the weakest classes, and one that names classes nothing is known of."""
    classes, lines = describe_classes(counts), []
    known = [(item, item.iou) for item in classes if item.iou is not None]
    for item, iou in known[:WEAK]:
        found = f"{percent(item.share)} % of the pixels, in {counted(item.images, 'image')}"
        text = f"**{escape(item.name)}**: IoU {percent(iou.value)} %{bracket(iou)}; {found}"
        taken = " and ".join(f"{escape(name)} ({percent(share)} %)" for name, share in item.taken_for)
        lines.append(f"{text}; its pixels are taken for {taken}." if taken else f"{text}.")
    absent = [item.name for item in classes if item.iou is None]
    if absent:
        lines.append(f"Not in val, so nothing is known of: {', '.join(map(escape, absent))}.")
    return lines


def class_table(counts: Counts) -> str:
    """Return each class's IoU with its interval, how much of it there is, and what it is taken for."""
    rows = [
        (
            escape(item.name),
            percent(item.iou.value) if item.iou else NOTHING,
            (_span(item.iou) if item.iou else "") or NOTHING,
            percent(item.share),
            f"{item.images:,}",
            ", ".join(f"{escape(name)} {percent(share)}" for name, share in item.taken_for) or NOTHING,
        )
        for item in describe_classes(counts)
    ]
    return table(("Class", "IoU %", "Interval", "Pixels %", "Images", "Taken for (% of its pixels)"), rows)


def taxonomy_table(taxonomy: Taxonomy) -> str:
    """Return index, name, colour and raw ids of each class."""
    rows = [
        (str(index), escape(name), code("#{:02x}{:02x}{:02x}".format(*colour)), _ids(taxonomy, index))
        for index, (name, colour) in enumerate(zip(taxonomy.classes, taxonomy.colours, strict=True))
    ]
    rows.append((str(IGNORE), "ignored", NOTHING, _ids(taxonomy, IGNORE)))
    return table(("Index", "Class", "Colour", "Raw ids"), rows, numeric_from=9)


def _ids(taxonomy: Taxonomy, index: int) -> str:
    return ", ".join(map(str, taxonomy.raw_ids(index))) or NOTHING


def data_table(chosen: ChosenRun) -> str:
    """Return the data's settings, and the digests of what was judged and trained on."""
    config, contract = chosen.config, chosen.result.contract
    inputs: Mapping[str, str] = chosen.result.provenance.get("run", {}).get("inputs", {})
    rows = [("data set", code(config.data.name))]
    rows += [(f"{escape(key)}", setting(value)) for key, value in config.data.settings.items()]
    rows += [(f"digest of {escape(name)}", code(digest)) for name, digest in contract["splits"].items()]
    rows += [(f"digest of all it reads: {escape(name)}", code(digest)) for name, digest in inputs.items()]
    return table(("What", "Value"), rows, numeric_from=9)


def environment_table(provenance: Mapping[str, Any]) -> str:
    """Return what the run was made with."""
    git, device = provenance.get("git") or {}, provenance.get("device", {})
    commit = f"{git['commit']}{', with uncommitted changes' if git['dirty'] else ''}" if git else "no git repository"
    rows = [
        ("commit", commit),
        ("python", provenance.get("python", "")),
        *((name, version) for name, version in provenance.get("packages", {}).items()),
        ("system", provenance.get("system", "")),
        ("cpu", provenance.get("cpu", "")),
        ("device", device.get("name", "")),
        *provenance.get("environment", {}).items(),
    ]
    return table(("What", "Value"), [(escape(name), code(str(value))) for name, value in rows], numeric_from=9)
