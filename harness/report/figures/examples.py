"""Pictures of predictions, and the two pictures kept with each run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from harness.records import Counts, Examples
from harness.report.figures.heatmaps import draw_confusions
from harness.report.figures.style import add_legend, draw, inches, shorten

IGNORED = 255
MOST_COLUMNS = 6
LEGEND_CLASSES = 24
Pixels = npt.NDArray[np.uint8]
Colours = Sequence[tuple[int, int, int]]


@dataclass(frozen=True)
class Strip:
    """The pictures of one kind (images, truth, one variant's predictions), one for each example."""

    title: str
    pictures: tuple[Pixels | None, ...]
    """[H, W, 3] colours, or [H, W] class indices; None where this kind has no picture of the example."""


def draw_confusion(counts: Counts, path: Path) -> None:
    """Draw one run's confusion matrix, rows normalised, as PNG."""
    draw_confusions({"": counts.confusion_CC()}, counts.classes, path)


def draw_examples(examples: Examples, classes: Sequence[str], colours: Colours, path: Path) -> None:
    """Draw one run's examples as PNG: image, truth, prediction, and a legend of the classes' colours."""
    strips = (*truth_strips(examples), Strip("prediction", examples.predictions))
    draw_strips(strips, examples.names, classes, colours, path)


def truth_strips(examples: Examples) -> tuple[Strip, Strip]:
    """Return the strips that need no prediction."""
    return Strip("image", examples.images), Strip("truth", examples.labels)


def draw_strips(
    strips: Sequence[Strip], names: Sequence[str], classes: Sequence[str], colours: Colours, path: Path
) -> None:
    """Draw a grid of pictures: strips are columns, or rows where there are more of them than fit side by side."""
    upright = len(strips) <= MOST_COLUMNS
    num_columns = len(strips) if upright else len(names)
    cell_w = min(3.0, max(1.7, 11 / num_columns))
    height, width = strips[0].pictures[0].shape[:2] if strips[0].pictures[0] is not None else (1, 1)
    cell_h = cell_w * height / width
    num_rows = len(names) if upright else len(strips)

    def paint(figure: Figure) -> None:
        for order, strip in enumerate(strips):
            for item, picture in enumerate(strip.pictures):
                column, row = (order, item) if upright else (item, order)
                rect = inches(0.4 + column * (cell_w + 0.08), 0.5 + row * (cell_h + 0.08), cell_w, cell_h)
                axes = figure.add_axes(rect)
                axes.set_axis_off()
                if picture is not None:
                    axes.imshow(coloured(picture, colours), interpolation="nearest", aspect="auto")
                top, side = (strip.title, names[item]) if upright else (names[item], strip.title)
                if row == 0:
                    axes.set_title(shorten(top, int(cell_w / 0.1)), loc="center", pad=6)
                if column == 0:
                    fits = max(6, int(cell_h / 0.1))
                    axes.text(
                        -0.05 / cell_w,
                        0.5,
                        shorten(side, fits),
                        rotation=90,
                        ha="right",
                        va="center",
                        transform=axes.transAxes,
                    )
        bottom = 0.5 + num_rows * (cell_h + 0.08) + 0.12
        add_legend(figure, class_legend(strips, classes, colours), 0.4, bottom, num_columns * (cell_w + 0.08))

    draw(path, paint)


def coloured(picture: Pixels, colours: Colours) -> Pixels:
    """Return [H, W, 3] colours for class indices; ignored pixels are black with grey stripes."""
    if picture.ndim == 3:
        return picture
    table = np.zeros((256, 3), np.uint8)
    table[: len(colours)] = np.array(colours, np.uint8)
    painted = table[picture]
    y_HW, x_HW = np.indices(picture.shape)
    stripe = max(2, picture.shape[1] // 60)
    stripes_HW = (y_HW + x_HW) // stripe % 4 == 0
    painted[(picture == IGNORED) & stripes_HW] = 110
    return painted


def class_legend(strips: Sequence[Strip], classes: Sequence[str], colours: Colours) -> list[tuple[Artist, str]]:
    """Return the legend; where there are very many classes, only those in the pictures."""
    labels = [picture for strip in strips for picture in strip.pictures if picture is not None and picture.ndim == 2]
    seen = set(np.unique(np.concatenate([label.ravel() for label in labels])).tolist())
    entries: list[tuple[Artist, str]] = [
        (Patch(facecolor=tuple(c / 255 for c in colour), edgecolor="#888888", lw=0.6), shorten(name))
        for index, (name, colour) in enumerate(zip(classes, colours, strict=True))
        if index in seen or len(classes) <= LEGEND_CLASSES
    ]
    if IGNORED in seen:
        entries.append((Patch(facecolor="black", edgecolor="#6e6e6e", hatch="////", lw=0), "ignored"))
    return entries
