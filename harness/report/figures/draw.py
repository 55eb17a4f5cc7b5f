"""The figures of a report, drawn from the Report record; confusions, pictures and evidence also need the results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.artist import Artist

from harness.predictions import PredictedImage, unpack
from harness.records import RunResult
from harness.report.evidence.confusion_shift import confusion_change
from harness.report.evidence.records import Evidence
from harness.report.figures import examples, heatmaps, marks, png, style
from harness.report.figures.charts import Sheets
from harness.report.figures.examples import IGNORED, Pixels, Strip
from harness.report.figures.grid import GridSheet
from harness.report.page.many_classes import most_wrong
from harness.report.page.text import points
from harness.report.study import common_labels, file_names, seeds
from harness.report.study.record import Report
from harness.report.study.variants import VariantRuns

NUMBERED_CLASSES = 20
"""Cells of up to so many classes hold numbers."""
OUTCOMES = (
    ("right in both", (236, 236, 236)),
    ("wrong in both", (150, 150, 150)),
    ("became right", (0, 114, 178)),
    ("became wrong", (213, 94, 0)),
)
"""Name and colour of what may have become of a pixel; blue and orange are those of Okabe and Ito."""


def draw_figures(report: Report, sheets: Sheets, groups: tuple[VariantRuns, ...], folder: Path) -> None:
    """Draw every figure that the report lists, as PNG files in a folder; `sheets` are its charts."""
    for name, sheet in sheets.items():
        if isinstance(sheet, marks.Sheet):
            png.draw_sheet(sheet, folder / name)
        else:
            heatmaps.draw_grids(sheet, folder / name)
    common = common_labels.find_common(groups)
    in_one_set = groups if common is None else common.groups
    if "examples.png" in report.figures:
        _draw_examples(in_one_set, folder / "examples.png")
    draw_evidence(report.evidence, in_one_set, folder)
    for variant, group in zip(report.variants, groups, strict=True):
        if file_names.confusion_name(variant) in report.figures:
            _draw_confusions(group, folder / file_names.confusion_name(variant))


def _draw_confusions(group: VariantRuns, path: Path) -> None:
    """Draw a variant's confusion matrix of each split, counts summed over its seeds."""
    counts = [result.counts for result in group.results.values()]
    sums = {
        split: np.sum([by_split[split].confusion_CC() for by_split in counts if split in by_split], axis=0)
        for split in seeds.order_splits(split for by_split in counts for split in by_split)
    }
    heatmaps.draw_confusions(sums, next(iter(counts[0].values())).classes, path)


def _draw_examples(groups: tuple[VariantRuns, ...], path: Path) -> None:
    """Draw image, truth and each variant's prediction (its first seed that kept pictures), matched by image name.

    `groups` are in the label set that all merge into; where there is none, those are shown that have the first one's.
    """
    runs = examples.pictured_runs(groups)
    _, _, first, shown = runs[0]
    colours, classes = first.colours, _classes(first)[: len(first.colours)]
    predictions = [
        Strip(name, examples.match_pictures(shown.names, pictures.names, pictures.predictions))
        for name, _, result, pictures in runs
        if _classes(result)[: len(colours)] == classes
    ]
    strips = (*examples.truth_strips(shown), *predictions)
    examples.draw_strips(strips, shown.names, colours, examples.class_legend(strips, classes, colours), path)


def _classes(result: RunResult) -> tuple[str, ...]:
    return next(iter(result.counts.values())).classes


def draw_evidence(evidence: Sequence[Evidence], groups: Sequence[VariantRuns], folder: Path) -> None:
    """Draw every figure that the evidence names, as PNG files in a folder; `groups` are those it was made from."""
    by_name = {group.name: group for group in groups}
    for item in evidence:
        pair = (by_name[item.variant], by_name[item.against])
        if item.flow_figure:
            _draw_flow(item, pair, folder / item.flow_figure)
        if item.images_figure:
            _draw_images(item, pair, folder / item.images_figure)


def _draw_flow(item: Evidence, pair: tuple[VariantRuns, VariantRuns], path: Path) -> None:
    """Draw the difference of the two confusion matrices, each row in percent of the true class, mean over seeds."""
    counts = [[group.results[seed].counts[item.split] for seed in item.seeds] for group in pair]
    classes = max((side[0].classes for side in counts), key=len)
    here, there = ([one.confusion_CC() for one in side] for side in counts)
    change_CC = np.mean([confusion_change(*both) for both in zip(here, there, strict=True)], axis=0)
    every = [np.pad(one_CC, (0, len(classes) - len(one_CC))) for one_CC in (*here, *there)]
    shown = most_wrong(np.sum(every, axis=0))
    reach = max(1.0, 100 * float(np.nanmax(np.abs(change_CC), initial=0.0)))
    few = len(classes) <= NUMBERED_CLASSES
    unit = (
        "difference, % of the true class's pixels: blue is predicted more often, brown less often;\n"
        "on the diagonal more often is better, elsewhere it is worse"
    ) + heatmaps.tell_rest(len(shown), len(classes))
    title = f"{marks.shorten(item.variant)} minus {marks.shorten(item.against)}, {item.split}"
    form = (lambda percents: points(percents / 100)) if few else None
    grid = heatmaps.confusion_grid(title, 100 * change_CC, classes, shown, form)
    cell = (0.56, 0.36) if few else (0.19, 0.19)
    heatmaps.draw_grids(GridSheet((grid,), unit, reach, both_ways=True, cell=cell, axes=heatmaps.CONFUSION_AXES), path)


def _draw_images(item: Evidence, pair: tuple[VariantRuns, VariantRuns], path: Path) -> None:
    """Draw one row an image: image, truth, both predictions, and what became of each pixel."""
    assert item.pictured_seed is not None
    kept = [group.results[item.pictured_seed] for group in pair]
    changes = (*item.pictured_lost, *item.pictured_gained)
    here, there = (
        [unpack(result.predictions, change.image) for change in changes] for result in kept if result.predictions
    )
    outcome_colours = [colour for _, colour in OUTCOMES]
    outcomes = [examples.coloured(outcome_map(*both), outcome_colours) for both in zip(here, there, strict=True)]
    strips = (
        Strip("image", tuple(seen.image for seen in here)),
        Strip("truth", tuple(seen.label for seen in here)),
        Strip(item.against, tuple(seen.prediction for seen in there)),
        Strip(item.variant, tuple(seen.prediction for seen in here)),
        Strip("difference", tuple(outcomes)),
    )
    names = [f"{' '.join(change.image.split())}\n{points(change.change, 2)}" for change in changes]
    classes, colours = kept[0].counts[item.split].classes, kept[0].colours
    legend: list[tuple[Artist, str]] = [(style.colour_patch(colour, width=1.0), name) for name, colour in OUTCOMES]
    examples.draw_strips(strips, names, colours, [*legend, *examples.class_legend(strips, classes, colours)], path)


def outcome_map(here: PredictedImage, there: PredictedImage) -> Pixels:
    """Return what became of each pixel, [H, W]: the place in `OUTCOMES`, or 255 where the truth is ignored."""
    right, was_right = (seen.prediction == seen.label for seen in (here, there))
    outcome = np.select([right & was_right, ~right & ~was_right, right], [0, 1, 2], default=3)
    outcome[here.label == IGNORED] = IGNORED
    return outcome.astype(np.uint8)
