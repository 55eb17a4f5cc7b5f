"""The figures of a report, drawn from the Report record; confusion matrices and pictures also need the results."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from harness.records import RunResult
from harness.report.figures.charts import Sheets
from harness.report.figures.evidence import draw_evidence
from harness.report.figures.examples import (
    Strip,
    class_legend,
    draw_strips,
    match_pictures,
    pictured_runs,
    truth_strips,
)
from harness.report.figures.heatmaps import draw_confusions, draw_grids
from harness.report.figures.marks import Sheet
from harness.report.figures.png import draw_sheet
from harness.report.study.common_labels import find_common
from harness.report.study.file_names import confusion_name
from harness.report.study.record import Report
from harness.report.study.seeds import order_splits
from harness.report.study.variants import VariantRuns


def draw_figures(report: Report, sheets: Sheets, groups: tuple[VariantRuns, ...], folder: Path) -> None:
    """Draw every figure that the report lists, as PNG files in a folder; `sheets` are its charts."""
    for name, sheet in sheets.items():
        draw_sheet(sheet, folder / name) if isinstance(sheet, Sheet) else draw_grids(sheet, folder / name)
    common = find_common(groups)
    in_one_set = groups if common is None else common.groups
    if "examples.png" in report.figures:
        _draw_examples(in_one_set, folder / "examples.png")
    draw_evidence(report.evidence, in_one_set, folder)
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

    `groups` are in the label set that all merge into; where there is none, those are shown that have the first one's.
    """
    runs = pictured_runs(groups)
    _, _, first, shown = runs[0]
    colours, classes = first.colours, _classes(first)[: len(first.colours)]
    predictions = [
        Strip(name, match_pictures(shown.names, examples.names, examples.predictions))
        for name, _, result, examples in runs
        if _classes(result)[: len(colours)] == classes
    ]
    strips = (*truth_strips(shown), *predictions)
    draw_strips(strips, shown.names, colours, class_legend(strips, classes, colours), path)


def _classes(result: RunResult) -> tuple[str, ...]:
    return next(iter(result.counts.values())).classes
