"""The figures of a report, drawn from the Report record; confusion matrices and pictures also need the results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.records import Examples, Plan, RunResult
from harness.report.figures import charts
from harness.report.figures.evidence import draw_evidence
from harness.report.figures.examples import Strip, class_legend, draw_strips, truth_strips
from harness.report.figures.heatmaps import draw_confusions, draw_grids
from harness.report.figures.marks import Sheet
from harness.report.figures.png import draw_sheet
from harness.report.study.common_labels import find_common
from harness.report.study.file_names import confusion_name
from harness.report.study.record import Report
from harness.report.study.seeds import order_splits
from harness.report.study.variants import VariantRuns, group_runs


def draw_figures(report: Report, plan: Plan, results: Mapping[str, RunResult], folder: Path) -> None:
    """Draw every figure that the report lists, as PNG files in a folder."""
    groups = group_runs(plan, results)
    for chart in charts.CHARTS:
        if chart.name in report.figures:
            sheet = chart.make(report)
            path = folder / chart.name
            draw_sheet(sheet, path) if isinstance(sheet, Sheet) else draw_grids(sheet, path)
    if "examples.png" in report.figures:
        _draw_examples(groups, folder / "examples.png")
    common = find_common(groups)
    draw_evidence(report.evidence, groups if common is None else common.groups, folder)
    for variant, group in zip(report.variants, groups, strict=True):
        if confusion_name(variant) in report.figures:
            _draw_confusions(group, folder / confusion_name(variant))


def _draw_confusions(group: VariantRuns, path: Path) -> None:
    """Draw a variant's confusion matrix of each split, counts summed over its seeds."""
    counts = [result.counts for result in group.results.values()]
    sums = {
        split: np.sum([by_split[split].confusion_CC() for by_split in counts if split in by_split], axis=0)
        for split in order_splits(split for by_split in counts for split in by_split)
    }
    draw_confusions(sums, next(iter(counts[0].values())).classes, path)


def _draw_examples(groups: tuple[VariantRuns, ...], path: Path) -> None:
    """Draw image, truth and each variant's prediction (its first seed that kept pictures), matched by image name.

    Variants in different label sets are shown in the one they merge into; where there is none, those that have the
    label set of the first.
    """
    common = find_common(groups)
    seen = groups if common is None else common.groups
    kept = [(group.name, result) for group in seen for result in [r for r in group.results.values() if r.examples][:1]]
    shown, colours = kept[0][1].examples, kept[0][1].colours
    classes = _classes(kept[0][1])[: len(colours)]
    assert shown is not None
    predictions = [
        Strip(name, _matched(shown.names, result.examples))
        for name, result in kept
        if result.examples and _classes(result)[: len(colours)] == classes
    ]
    strips = (*truth_strips(shown), *predictions)
    draw_strips(strips, shown.names, colours, class_legend(strips, classes, colours), path)


def _classes(result: RunResult) -> tuple[str, ...]:
    return next(iter(result.counts.values())).classes


def _matched(names: tuple[str, ...], examples: Examples) -> tuple[npt.NDArray[np.uint8] | None, ...]:
    by_name = dict(zip(examples.names, examples.predictions, strict=True))
    return tuple(by_name.get(name) for name in names)
