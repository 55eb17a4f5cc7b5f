"""What a heat map shows: cells with a value, and for some maps the text and the exact words of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.report.page.model import Block, Cell, Details, Row, Table, Text, Tone, make_table
from harness.report.page.text import escape

Texts = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Grid:
    """One panel; rows and columns may have any names."""

    title: str
    values_RC: npt.NDArray[np.float64]
    """NaN where there is no value."""
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    texts: Texts = ()
    """What stands in each cell, [R][C]; empty where the panel has too many for text."""
    tips: Texts = ()
    """The exact values behind each text, [R][C]."""
    shares: tuple[Cell, ...] = ()
    """Each row's share of the pixels (%), where rows are classes."""


@dataclass(frozen=True)
class GridSheet:
    """A figure: panels of one shape, and the meaning of their colours."""

    panels: tuple[Grid, ...]
    unit: str
    """What the values are."""
    high: float = 100.0
    """The value in full colour; one colour rises from 0."""
    both_ways: bool = False
    """Two colours, for gains up to `high` and losses down to `-high`."""
    cell: tuple[float, float] = (0.78, 0.36)
    """Width and height (inches)."""
    axes: tuple[str, str] = ("", "")
    """What rows and columns are, where their names do not tell."""
    head_rows: int = 0
    """Rows set apart from those below them."""
    note: str = ""


def grid_blocks(sheet: GridSheet) -> Iterator[Block]:
    """Yield the panels as tables, those after the first folded, and the note."""
    first, *others = sheet.panels
    yield _table(sheet, first)
    for grid in others:
        yield Details(f"The same on {escape(grid.title)}", (_table(sheet, grid),))
    if sheet.note:
        yield Text(sheet.note, is_small=True)


def _table(sheet: GridSheet, grid: Grid) -> Table:
    cells = [
        [_cell(sheet, *found) for found in zip(*row, strict=True)]
        for row in zip(grid.values_RC.tolist(), grid.texts, grid.tips, strict=True)
    ]
    named = zip(grid.rows, grid.shares, cells, strict=True)
    rows: list[Row] = [[escape(name), share, *found] for name, share, found in named]
    title = f"{sheet.unit[:1].upper()}{sheet.unit[1:]}, {grid.title}"
    return make_table(["class", "share of pixels (%)", *map(escape, grid.columns)], rows, caption=title)


def _cell(sheet: GridSheet, value: float, text: str, tip: str) -> Cell:
    if np.isnan(value):
        return Cell(text)
    tone: Tone = "rise" if not sheet.both_ways else "gain" if value > 0 else "loss"
    return Cell(escape(text), tip, tone, min(abs(value) / sheet.high, 1.0))
