"""Heat maps as PNG; confusion matrices, each row in percent of the true class."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from harness.report.figures.grid import Grid, GridSheet
from harness.report.figures.marks import shorten
from harness.report.figures.style import DIVERGING, FONT_PT, INK, MISSING, SEQUENTIAL, draw, inches, text_width
from harness.report.page.many_classes import most_wrong
from harness.report.page.text import NOTHING, decimal

Matrix = npt.NDArray[np.float64]
Confusion = npt.NDArray[np.int64]
CONFUSION_AXES = ("true class", "predicted class")


def draw_confusions(confusions: Mapping[str, Confusion], classes: Sequence[str], path: Path) -> None:
    """Draw confusion matrices, title -> counts [C, C] in pixels, each row divided by its sum (percent)."""
    shown = most_wrong(np.sum(list(confusions.values()), axis=0))
    form, side = (lambda percents: decimal(percents, 0), 0.44) if len(classes) <= 20 else (None, 0.19)
    grids = [confusion_grid(name, _row_percent(of), classes, shown, form) for name, of in confusions.items()]
    unit = "share of the true class's pixels (%)" + tell_rest(len(shown), len(classes))
    draw_grids(GridSheet(tuple(grids), unit, cell=(side, side), axes=CONFUSION_AXES), path)


def confusion_grid(
    title: str,
    values_CC: Matrix,
    classes: Sequence[str],
    shown: npt.NDArray[np.intp],
    form: Callable[[float], str] | None,
) -> Grid:
    """Return a panel of those classes that are shown, and of what was predicted as all others."""
    names = columns = tuple(classes[index] for index in shown)
    values_RC = values_CC[np.ix_(shown, shown)]
    if len(shown) < len(values_CC):
        # Without this column a row that shows few classes would seem to lose pixels.
        others_R1 = values_CC[shown].sum(axis=1, keepdims=True) - values_RC.sum(axis=1, keepdims=True)
        values_RC, columns = np.hstack([values_RC, others_R1]), (*names, "all others")
    if form is None:
        return Grid(title, values_RC, names, columns)
    texts = (tuple(NOTHING if np.isnan(value) else form(value) for value in row) for row in values_RC.tolist())
    return Grid(title, values_RC, names, columns, tuple(texts))


def tell_rest(shown: int, classes: int) -> str:
    """Return, for the key, which classes a confusion matrix shows; nothing where it shows all."""
    return f"\n{shown} of {classes} classes: those with the most wrong pixels" if shown < classes else ""


def _row_percent(counts_CC: Confusion) -> Matrix:
    with np.errstate(invalid="ignore"):  # 0 / 0, of a class that is not in the ground truth, is NaN on purpose
        shares_CC: Matrix = 100.0 * counts_CC / counts_CC.sum(axis=1, keepdims=True)
    return shares_CC


def draw_grids(sheet: GridSheet, path: Path) -> None:
    """Draw panels of one shape side by side where they fit a page, else below each other."""
    rows, columns = (tuple(map(shorten, names)) for names in (sheet.panels[0].rows, sheet.panels[0].columns))
    cell_w, cell_h = sheet.cell[0], sheet.cell[1] if len(rows) <= 40 else min(sheet.cell[1], 0.25)
    width, height, names = len(columns) * cell_w, len(rows) * cell_h, text_width(columns)
    # Names of columns lie flat where they fit a cell, slant where slanted lines do not touch, else stand up.
    angle = 0 if names <= cell_w - 0.08 else 40 if cell_w >= 0.3 else 90
    head = names * math.sin(math.radians(angle)) + 0.75 + (0.3 if sheet.axes[1] else 0)
    overhang = names * math.cos(math.radians(angle)) if 0 < angle < 90 else 0.0
    left = text_width(rows) + 0.3
    beside = len(sheet.panels) * (width + overhang) <= 11
    step_x, step_y = (width + max(0.4, overhang), 0.0) if beside else (0.0, height + head + 0.3)

    def paint(figure: Figure) -> None:
        for place, grid in enumerate(sheet.panels):
            axes = figure.add_axes(inches(left + place * step_x, head + place * step_y, width, height))
            _draw_cells(axes, grid, sheet)
            _name_cells(axes, sheet, angle, [] if place and beside else rows, columns)
            axes.set_title(grid.title, pad=8, fontweight="bold")
        _draw_key(figure, sheet, head + (len(sheet.panels) - 1) * step_y + height + 0.2)

    draw(path, paint)


def _colours(sheet: GridSheet) -> tuple[Colormap, Normalize]:
    low = -sheet.high if sheet.both_ways else 0
    return DIVERGING if sheet.both_ways else SEQUENTIAL, Normalize(low, sheet.high, clip=True)


def _draw_cells(axes: Axes, grid: Grid, sheet: GridSheet) -> None:
    colours, norm = _colours(sheet)
    values_RC = np.ma.masked_invalid(grid.values_RC)
    axes.imshow(values_RC, cmap=colours, norm=norm, aspect="auto", interpolation="nearest")
    for row, column in np.argwhere(np.isnan(grid.values_RC)):
        corner = (column - 0.5, row - 0.5)
        axes.add_patch(Rectangle(corner, 1, 1, facecolor=MISSING, edgecolor="#bbbbbb", hatch="////", lw=0))
    for row, texts in enumerate(grid.texts):
        bold = "bold" if row < sheet.head_rows else "normal"
        for column, text in enumerate(texts):
            value = grid.values_RC[row, column]
            red, green, blue, _ = colours(norm(0.0 if np.isnan(value) else value))
            # Luma of ITU-R BT.601: how bright a colour looks decides whether dark text can be read on it.
            dark = not np.isnan(value) and 0.299 * red + 0.587 * green + 0.114 * blue < 0.55
            ink = "white" if dark else INK
            axes.text(column, row, text, ha="center", va="center_baseline", color=ink, fontweight=bold)


def _name_cells(axes: Axes, sheet: GridSheet, angle: int, rows: Sequence[str], columns: Sequence[str]) -> None:
    """Write the names of rows and columns, and part the cells by white lines; no row's name where there is none."""
    num_rows = len(sheet.panels[0].rows)
    axes.set_yticks(range(num_rows), rows or [""] * num_rows)
    place: dict[str, Any] = {"ha": "left", "rotation_mode": "anchor"} if 0 < angle < 90 else {"ha": "center"}
    axes.set_xticks(range(len(columns)), columns, rotation=angle, va="bottom", **place)
    axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0, pad=4)
    axes.spines[:].set_visible(False)
    if num_rows <= 60:
        axes.set_xticks(np.arange(0.5, len(columns) - 1), minor=True)
        axes.set_yticks(np.arange(0.5, num_rows - 1), minor=True)
        axes.grid(which="minor", color="white", lw=0.8)
        axes.tick_params(which="minor", length=0)
    if sheet.head_rows:
        axes.axhline(sheet.head_rows - 0.5, color="white", lw=6)
        axes.get_yticklabels()[0].set_fontweight("bold")
    axes.xaxis.set_label_position("top")
    axes.set_xlabel(sheet.axes[1], labelpad=6)
    axes.set_ylabel(sheet.axes[0] if rows else "")


def _draw_key(figure: Figure, sheet: GridSheet, top: float) -> None:
    """Say what the colours mean: a line of text, and a colour bar where the cells hold no texts."""
    if not sheet.panels[0].texts:
        colours, norm = _colours(sheet)
        place = figure.add_axes(inches(0.2, top, 3.0, 0.16))
        bar = figure.colorbar(ScalarMappable(norm, colours), cax=place, orientation="horizontal")
        bar.outline.set_visible(False)
        top += 0.45
    hatched = any(bool(np.isnan(grid.values_RC).any()) for grid in sheet.panels)
    text = sheet.unit + ("\nhatched: not in the ground truth" if hatched else "")
    figure.text(0.02, 1 - top / 10, text, va="top", linespacing=1.5, fontsize=FONT_PT, color="#555555")
