"""Figures of evidence: the confusion flow of a pair, and the images that lost and gained most."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.patches import Patch

from harness.predictions import PredictedImage, unpack
from harness.report.evidence.confusion_shift import confusion_change
from harness.report.evidence.records import Evidence
from harness.report.figures.examples import IGNORED, Strip, class_legend, coloured, draw_strips
from harness.report.figures.grid import GridSheet
from harness.report.figures.heatmaps import CONFUSION_AXES, confusion_grid, draw_grids, tell_rest
from harness.report.figures.marks import shorten
from harness.report.page.many_classes import most_wrong
from harness.report.page.text import fine_points, points
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

Pixels = npt.NDArray[np.uint8]


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
    ) + tell_rest(len(shown), len(classes))
    title = f"{shorten(item.variant)} minus {shorten(item.against)}, {item.split}"
    form = (lambda percents: points(percents / 100)) if few else None
    grid = confusion_grid(title, 100 * change_CC, classes, shown, form)
    cell = (0.56, 0.36) if few else (0.19, 0.19)
    draw_grids(GridSheet((grid,), unit, reach, both_ways=True, cell=cell, axes=CONFUSION_AXES), path)


def _draw_images(item: Evidence, pair: tuple[VariantRuns, VariantRuns], path: Path) -> None:
    """Draw one row an image: image, truth, both predictions, and what became of each pixel."""
    assert item.pictured_seed is not None
    kept = [group.results[item.pictured_seed] for group in pair]
    changes = (*item.pictured_lost, *item.pictured_gained)
    here, there = (
        [unpack(result.predictions, change.image) for change in changes] for result in kept if result.predictions
    )
    outcomes = [outcome_map(*both) for both in zip(here, there, strict=True)]
    strips = (
        Strip("image", tuple(seen.image for seen in here)),
        Strip("truth", tuple(seen.label for seen in here)),
        Strip(item.against, tuple(seen.prediction for seen in there)),
        Strip(item.variant, tuple(seen.prediction for seen in here)),
        Strip("difference", tuple(coloured(outcome, [colour for _, colour in OUTCOMES]) for outcome in outcomes)),
    )
    names = [f"{' '.join(change.image.split())}\n{fine_points(change.change)}" for change in changes]
    classes, colours = kept[0].counts[item.split].classes, kept[0].colours
    legend: list[tuple[Artist, str]] = [
        (Patch(facecolor=tuple(c / 255 for c in colour), edgecolor="#888888"), name) for name, colour in OUTCOMES
    ]
    draw_strips(strips, names, colours, [*legend, *class_legend(strips, classes, colours)], path)


def outcome_map(here: PredictedImage, there: PredictedImage) -> Pixels:
    """Return what became of each pixel, [H, W]: the place in `OUTCOMES`, or 255 where the truth is ignored."""
    right, was_right = (seen.prediction == seen.label for seen in (here, there))
    outcome = np.select([right & was_right, ~right & ~was_right, right], [0, 1, 2], default=3)
    outcome[here.label == IGNORED] = IGNORED
    return outcome.astype(np.uint8)
