"""Figures of evidence: the confusion flow of a pair, and the images that lost and gained most."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from harness.predictions import Seen, unpack
from harness.records import Counts
from harness.report.evidence.confusion_shift import confusion_change
from harness.report.evidence.records import Evidence, ImageChange
from harness.report.figures.examples import IGNORED, Strip, class_legend, coloured
from harness.report.figures.heatmaps import Look, confusion_grid, draw_grids, tell_rest
from harness.report.figures.style import DIVERGING, add_legend, draw, inches, shorten
from harness.report.page.many_classes import most_wrong
from harness.report.page.text import fine_points
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
HEAD_H, SIDE_W, GAP = 0.55, 0.5, 0.08

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
    change_CC = np.mean(
        [confusion_change(here.confusion_CC(), there.confusion_CC()) for here, there in zip(*counts, strict=True)],
        axis=0,
    )
    classes = max((side[0].classes for side in counts), key=len)
    every = [np.pad(one_CC, (0, len(classes) - len(one_CC))) for side in counts for one_CC in map(_confusion, side)]
    shown = most_wrong(np.sum(every, axis=0))
    names = tuple(shorten(classes[index]) for index in shown)
    reach = max(1.0, 100 * float(np.nanmax(np.abs(change_CC), initial=0.0)))
    width, height, number = (0.56, 0.36, "{:+.1f}") if len(classes) <= NUMBERED_CLASSES else (0.19, 0.19, None)
    unit = (
        "difference, % of the true class's pixels: blue is predicted more often, brown less often;\n"
        "on the diagonal more often is better, elsewhere it is worse"
    ) + tell_rest(len(shown), len(classes))
    look = Look(width, height, DIVERGING, -reach, reach, number, unit, "true class", "predicted class")
    title = f"{shorten(item.variant)} minus {shorten(item.against)}, {item.split}"
    draw_grids([confusion_grid(title, 100 * change_CC, names, shown)], look, path)


def _confusion(counts: Counts) -> npt.NDArray[np.int64]:
    return counts.confusion_CC()


def _draw_images(item: Evidence, pair: tuple[VariantRuns, VariantRuns], path: Path) -> None:
    """Draw one row an image: image, truth, both predictions, and what became of each pixel."""
    assert item.pictured_seed is not None
    results = [group.results[item.pictured_seed] for group in pair]
    rows = []
    for change in (*item.pictured_lost, *item.pictured_gained):
        here, there = (unpack(result.predictions, change.image) for result in results if result.predictions)
        rows.append((change, here, there))
    classes, colours = results[0].counts[item.split].classes, results[0].colours
    titles = ("image", "truth", item.against, item.variant, "difference")
    labels = tuple(label for _, here, there in rows for label in (here.label, here.prediction, there.prediction))
    legend = class_legend([Strip("", labels)], classes, colours)
    cell_w, cell_hs = 2.4, [2.4 * here.label.shape[0] / here.label.shape[1] for _, here, _ in rows]

    def paint(figure: Figure) -> None:
        top = HEAD_H
        for number, (row, cell_h) in enumerate(zip(rows, cell_hs, strict=True)):
            rect = (SIDE_W, top, cell_w, cell_h)
            _draw_row(figure, _pictures(row[1], row[2], colours), rect, titles if not number else None)
            _write_side(figure, row[0], rect)
            top += cell_h + GAP
        width = len(titles) * (cell_w + GAP)
        add_legend(figure, _outcome_legend(), SIDE_W, top + 0.1, width)
        add_legend(figure, legend, SIDE_W, top + 0.45, width)

    draw(path, paint)


def _pictures(here: Seen, there: Seen, colours: Sequence[tuple[int, int, int]]) -> list[Pixels]:
    outcome = coloured(outcome_map(here, there), [colour for _, colour in OUTCOMES])
    return [here.image, *(coloured(item, colours) for item in (here.label, there.prediction, here.prediction)), outcome]


def outcome_map(here: Seen, there: Seen) -> Pixels:
    """Return what became of each pixel, [H, W]: the place in `OUTCOMES`, or 255 where the truth is ignored."""
    right, was_right = (seen.prediction == seen.label for seen in (here, there))
    outcome = np.select([right & was_right, ~right & ~was_right, right], [0, 1, 2], default=3)
    outcome[here.label == IGNORED] = IGNORED
    return outcome.astype(np.uint8)


Place = tuple[float, float, float, float]
"""Left, top, width and height of the first cell of a row (inches)."""


def _draw_row(figure: Figure, pictures: Sequence[Pixels], first: Place, titles: Sequence[str] | None) -> None:
    left, top, cell_w, cell_h = first
    for column, picture in enumerate(pictures):
        axes = figure.add_axes(inches(left + column * (cell_w + GAP), top, cell_w, cell_h))
        axes.set_axis_off()
        axes.imshow(picture, interpolation="nearest", aspect="auto")
        if titles:
            axes.set_title(shorten(titles[column], int(cell_w / 0.11)), loc="center", pad=6)


def _write_side(figure: Figure, change: ImageChange, first: Place) -> None:
    left, top, _, cell_h = first
    text = f"{shorten(change.image, max(8, int(cell_h / 0.09)))}\n{fine_points(change.change)}"
    place = ((left - 0.08) / 10, 1 - (top + cell_h / 2) / 10)
    figure.text(*place, text, rotation=90, ha="right", va="center", multialignment="center", linespacing=1.3)


def _outcome_legend() -> list[tuple[Artist, str]]:
    return [(Patch(facecolor=tuple(c / 255 for c in colour), edgecolor="#888888"), name) for name, colour in OUTCOMES]
