"""Heat maps, in percent or points: IoU of each class, its difference to the reference, confusion matrices."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from harness.report.figures.style import (
    DIVERGING,
    FONT_PT,
    INK,
    MISSING,
    SEQUENTIAL,
    draw,
    inches,
    shorten,
    text_width,
)
from harness.report.page.many_classes import extremes, mean_known, most_wrong
from harness.report.study.file_names import has_scores
from harness.report.study.record import Estimate, Report, VariantSummary

SCORE = "miou_dataset"
Matrix = npt.NDArray[np.float64]
Confusion = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Grid:
    """One panel; rows and columns may have any names."""

    title: str
    values_RC: Matrix
    """NaN where there is no value."""
    rows: tuple[str, ...]
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Look:
    """How the panels of one figure are drawn."""

    cell_w: float
    cell_h: float
    colours: Colormap
    low: float
    high: float
    number: str | None
    """Format of the number in each cell; None draws a colour bar instead."""
    unit: str
    row_title: str = ""
    column_title: str = ""
    head_rows: int = 0
    """Rows set apart from those below them."""


def draw_iou(report: Report, path: Path) -> None:
    """Draw the mean IoU over seeds of each class (rows) and variant (columns)."""
    variants = [variant for variant in report.variants if has_scores(variant)]
    tables = [_table(variant.scores, variant.iou_class) for variant in variants]
    grids = _class_grids(report, variants, tables)
    draw_grids(grids, Look(*_cell(grids), SEQUENTIAL, 0, 100, "{:.1f}", "IoU (%), mean over seeds", head_rows=1), path)


def draw_delta(report: Report, path: Path) -> None:
    """Draw the mean paired difference to the reference of each class (rows) and variant (columns), in points."""
    variants = [variant for variant in report.variants if variant.delta]
    tables = [_table(variant.delta.scores, variant.delta.iou_class) for variant in variants if variant.delta]
    grids = _class_grids(report, variants, tables)
    values = np.concatenate([grid.values_RC.ravel() for grid in grids])
    reach = max(1.0, float(np.nanmax(np.abs(values), initial=0.0)))
    unit = f"difference to {shorten(report.reference)}, points of IoU"
    draw_grids(grids, Look(*_cell(grids), DIVERGING, -reach, reach, "{:+.1f}", unit, head_rows=1), path)


def draw_confusions(confusions: Mapping[str, Confusion], classes: Sequence[str], path: Path) -> None:
    """Draw confusion matrices, title -> counts [C, C] in pixels, each row divided by its sum (percent)."""
    shown = most_wrong(np.sum(list(confusions.values()), axis=0))
    rows = tuple(shorten(classes[index]) for index in shown)
    grids = [confusion_grid(title, _row_percent(counts_CC), rows, shown) for title, counts_CC in confusions.items()]
    side, number = (0.44, "{:.0f}") if len(classes) <= 20 else (0.19, None)
    unit = "share of the true class's pixels (%)" + tell_rest(len(shown), len(classes))
    look = Look(side, side, SEQUENTIAL, 0, 100, number, unit, "true class", "predicted class")
    draw_grids(grids, look, path)


def confusion_grid(title: str, values_CC: Matrix, names: tuple[str, ...], shown: npt.NDArray[np.intp]) -> Grid:
    """Return a panel of those classes that are shown, their names given, and of what was predicted as all others."""
    if len(shown) == len(values_CC):
        return Grid(title, values_CC, names, names)
    values_RC = values_CC[np.ix_(shown, shown)]
    others_R1 = values_CC[shown].sum(axis=1, keepdims=True) - values_RC.sum(axis=1, keepdims=True)
    return Grid(title, np.hstack([values_RC, others_R1]), names, (*names, "all others"))


def tell_rest(shown: int, classes: int) -> str:
    """Return, for the key, which classes a confusion matrix shows; nothing where it shows all."""
    return f"\n{shown} of {classes} classes: those with the most wrong pixels" if shown < classes else ""


def _row_percent(counts_CC: Confusion) -> Matrix:
    sums_C1 = counts_CC.sum(axis=1, keepdims=True)
    shares_CC = np.full(counts_CC.shape, np.nan)
    np.divide(100.0 * counts_CC, sums_C1, out=shares_CC, where=sums_C1 > 0)
    return shares_CC


Table = dict[str, dict[str, float | None]]


def _table(scores: Mapping[str, Mapping[str, Estimate]], classes: Mapping[str, Mapping[str, Estimate]]) -> Table:
    """Return split -> row -> mean; the first row is the score over all classes."""
    return {
        split: {SCORE: scores[split][SCORE].mean, **{name: item.mean for name, item in classes[split].items()}}
        for split in scores
    }


def _class_grids(report: Report, variants: Sequence[VariantSummary], tables: Sequence[Table]) -> list[Grid]:
    primary = [table.get(report.primary, {}) for table in tables]
    classes = extremes({item.name: mean_known([of.get(item.name) for of in primary]) for item in report.classes})
    columns = tuple(shorten(variant.name, 24) for variant in variants)
    grids = []
    for split in report.splits:
        means = [[table.get(split.name, {}).get(row) for table in tables] for row in (SCORE, *classes)]
        values_RC = np.array([[np.nan if mean is None else 100 * mean for mean in row] for row in means])
        grids.append(Grid(split.name, values_RC, (SCORE, *(shorten(name) for name in classes)), columns))
    return grids


def _cell(grids: Sequence[Grid]) -> tuple[float, float]:
    return 0.78, 0.36 if len(grids[0].rows) <= 40 else 0.25


def draw_grids(grids: Sequence[Grid], look: Look, path: Path) -> None:
    """Draw panels of one shape side by side where they fit a page, else below each other."""
    rows, columns = grids[0].rows, grids[0].columns
    width, height = len(columns) * look.cell_w, len(rows) * look.cell_h
    angle = _label_angle(columns, look.cell_w)
    head = text_width(columns) * math.sin(math.radians(angle)) + 0.75 + (0.3 if look.column_title else 0)
    overhang = text_width(columns) * math.cos(math.radians(angle)) if 0 < angle < 90 else 0.0
    left = text_width(rows) + 0.3
    beside = len(grids) * (width + overhang) <= 11
    step_x, step_y = (width + max(0.4, overhang), 0.0) if beside else (0.0, height + head + 0.3)

    def paint(figure: Figure) -> None:
        for place, grid in enumerate(grids):
            axes = figure.add_axes(inches(left + place * step_x, head + place * step_y, width, height))
            _draw_grid(axes, grid, look, angle)
            if place and beside:
                axes.set_yticklabels([])
            elif look.row_title:
                axes.set_ylabel(look.row_title)
        last = (len(grids) - 1) * np.array([step_x, step_y])
        hatched = any(bool(np.isnan(grid.values_RC).any()) for grid in grids)
        _draw_key(figure, look, head + float(last[1]) + height + 0.2, hatched=hatched)

    draw(path, paint)


def _label_angle(columns: Sequence[str], cell_w: float) -> int:
    if text_width(columns) <= cell_w - 0.08:
        return 0
    return 40 if cell_w >= 0.3 else 90


def _draw_grid(axes: Axes, grid: Grid, look: Look, angle: int) -> None:
    norm = Normalize(look.low, look.high)
    num_rows, num_columns = grid.values_RC.shape
    axes.imshow(
        np.ma.masked_invalid(grid.values_RC), cmap=look.colours, norm=norm, aspect="auto", interpolation="nearest"
    )
    for row, column in np.argwhere(np.isnan(grid.values_RC)):
        corner = (column - 0.5, row - 0.5)
        axes.add_patch(Rectangle(corner, 1, 1, facecolor=MISSING, edgecolor="#bbbbbb", hatch="////", lw=0))
    if look.number:
        _write_numbers(axes, grid, look, norm)
    axes.set_yticks(range(num_rows), grid.rows)
    align = "center" if angle in (0, 90) else "left"
    axes.set_xticks(
        range(num_columns),
        grid.columns,
        rotation=angle,
        ha=align,
        va="bottom",
        rotation_mode="anchor" if align == "left" else "default",
    )
    axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0, pad=4)
    axes.spines[:].set_visible(False)
    if len(grid.rows) <= 60:
        axes.set_xticks(np.arange(0.5, num_columns - 1), minor=True)
        axes.set_yticks(np.arange(0.5, num_rows - 1), minor=True)
        axes.grid(which="minor", color="white", lw=0.8)
        axes.tick_params(which="minor", length=0)
    if look.head_rows:
        axes.axhline(look.head_rows - 0.5, color="white", lw=6)
        axes.get_yticklabels()[0].set_fontweight("bold")
    axes.xaxis.set_label_position("top")
    axes.set_xlabel(look.column_title, labelpad=6)
    axes.set_title(grid.title, pad=8, fontweight="bold")


def _write_numbers(axes: Axes, grid: Grid, look: Look, norm: Normalize) -> None:
    for (row, column), value in np.ndenumerate(grid.values_RC):
        missing = bool(np.isnan(value))
        red, green, blue, _ = look.colours(norm(0.0 if missing else value))
        dark = not missing and 0.299 * red + 0.587 * green + 0.114 * blue < 0.55
        text = "–" if missing else _number(value, look)
        bold = "bold" if row < look.head_rows else "normal"
        colour = "white" if dark else INK
        axes.text(column, row, text, ha="center", va="center_baseline", color=colour, fontsize=FONT_PT, fontweight=bold)


def _number(value: float, look: Look) -> str:
    return (look.number or "").format(round(value, 1) + 0.0).replace("-", "\N{MINUS SIGN}")


def _draw_key(figure: Figure, look: Look, top: float, *, hatched: bool) -> None:
    """Say what the colours mean: a line of text, and a colour bar where the cells hold no numbers."""
    if look.number is None:
        bar = figure.colorbar(
            ScalarMappable(Normalize(look.low, look.high), look.colours),
            cax=figure.add_axes(inches(0.2, top, 3.0, 0.16)),
            orientation="horizontal",
        )
        bar.outline.set_visible(False)
        top += 0.45
    text = look.unit + ("\nhatched: not in the ground truth" if hatched else "")
    figure.text(0.02, 1 - top / 10, text, va="top", linespacing=1.5, fontsize=FONT_PT, color="#555555")
