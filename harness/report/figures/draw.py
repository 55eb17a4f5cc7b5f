"""The figures of a report, drawn from the Report record; confusion matrices and pictures also need the results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.records import Counts, Examples, Plan, RunResult
from harness.report.figures.attribution import draw_attributions
from harness.report.figures.curves import draw_curves, draw_scores
from harness.report.figures.evidence import draw_evidence
from harness.report.figures.examples import Strip, draw_strips, truth_strips
from harness.report.figures.heatmaps import draw_confusions, draw_delta, draw_iou
from harness.report.study.common_labels import find_common
from harness.report.study.file_names import confusion_name
from harness.report.study.record import Report
from harness.report.study.seeds import order_splits
from harness.report.study.variants import VariantRuns, group_runs


def draw_figures(report: Report, plan: Plan, results: Mapping[str, RunResult], folder: Path) -> None:
    """Draw every figure that the report lists, as PNG files in a folder."""
    groups = group_runs(plan, results)
    for name, paint in (
        ("attribution.png", _draw_attribution),
        ("curves.png", draw_curves),
        ("scores.png", draw_scores),
        ("iou_class.png", draw_iou),
        ("delta_class.png", draw_delta),
    ):
        if name in report.figures:
            paint(report, folder / name)
    if "examples.png" in report.figures:
        _draw_examples(groups, folder / "examples.png")
    common = find_common(groups)
    draw_evidence(report.evidence, groups if common is None else common.groups, folder)
    for variant, group in zip(report.variants, groups, strict=True):
        if confusion_name(variant) in report.figures:
            _draw_confusions(group, folder / confusion_name(variant))


def _draw_attribution(report: Report, path: Path) -> None:
    draw_attributions([item for item in report.attributions if item.shapley or item.brackets], path)


def _draw_confusions(group: VariantRuns, path: Path) -> None:
    """Draw a variant's confusion matrix of each split, counts summed over its seeds."""
    counts = [result.counts for result in group.results.values()]
    sums = {
        split: _summed([by_split[split] for by_split in counts if split in by_split])
        for split in order_splits(split for by_split in counts for split in by_split)
    }
    draw_confusions(sums, next(iter(counts[0].values())).classes, path)


def _summed(counts: list[Counts]) -> npt.NDArray[np.int64]:
    total: npt.NDArray[np.int64] = np.sum([item.confusion_CC() for item in counts], axis=0)
    return total


def _draw_examples(groups: tuple[VariantRuns, ...], path: Path) -> None:
    """Draw image, truth and each variant's prediction (its first seed that kept pictures), matched by image name.

    Variants in different label sets are shown in the one they merge into; where there is none, those that have the
    label set of the first.
    """
    common = find_common(groups)
    seen = groups if common is None else common.groups
    kept = [(group.name, result) for group in seen for result in [r for r in group.results.values() if r.examples][:1]]
    first = kept[0][1]
    shown, classes = first.examples, _classes(first)
    assert shown is not None
    predictions = [
        Strip(name, _matched(shown.names, result.examples))
        for name, result in kept
        if result.examples and _classes(result)[: len(first.colours)] == classes[: len(first.colours)]
    ]
    draw_strips((*truth_strips(shown), *predictions), shown.names, classes[: len(first.colours)], first.colours, path)


def _classes(result: RunResult) -> tuple[str, ...]:
    return next(iter(result.counts.values())).classes


def _matched(names: tuple[str, ...], examples: Examples) -> tuple[npt.NDArray[np.uint8] | None, ...]:
    by_name = dict(zip(examples.names, examples.predictions, strict=True))
    return tuple(by_name.get(name) for name in names)
