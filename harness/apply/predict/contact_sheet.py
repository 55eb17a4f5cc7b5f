"""Contact sheets: a row for each picture, with what was predicted, the truth and how sure the model is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image as PILImage
from PIL import ImageDraw

from harness.apply.predict.infer import Map
from harness.apply.predict.legend import (
    INK,
    PAPER,
    class_entries,
    count_labels,
    draw_bar,
    draw_legend,
    find_font,
    shade,
    stack,
)
from harness.apply.predict.overlay import paint
from harness.data.source import IGNORE, Image, Label
from harness.data.taxonomy import Taxonomy
from harness.report.figures.marks import shorten

ROWS = 8
"""Pictures on one sheet."""
WRONG = (213, 94, 0)
_CELL_W, _CELL_H = 320, 320
"""Largest picture in a cell (pixels)."""
_GAP, _SIZE = 12, 15
"""Pixels: between cells, and of letters."""
_MOST_PX = 2**22
"""Of larger pictures, every n-th row and column is drawn."""


@dataclass(frozen=True)
class Cell:
    """One picture of a row."""

    title: str
    picture: Image
    """At most as large as a cell."""


@dataclass(frozen=True)
class Row:
    """One picture's line in a sheet. It keeps cells, not the pictures in full."""

    caption: str
    cells: tuple[Cell, ...]
    pixels: npt.NDArray[np.int64]
    """Of each label in the cells, [256]: for the legend."""


def make_row(
    image: Image,
    label: Label,
    *,
    caption: str,
    taxonomy: Taxonomy,
    truth: Label | None,
    maps: Sequence[tuple[str, Map]],
) -> Row:
    """Return the row of a picture [H, W, 3] with its predicted label [H, W], and with truth and maps where given."""
    step = math.ceil(math.sqrt(label.size / _MOST_PX))
    image, label = image[::step, ::step], label[::step, ::step]
    truth = None if truth is None else truth[::step, ::step]
    cells = [Cell("image", _shrink(image)), Cell("prediction", _shrink(paint(label, taxonomy)))]
    pixels = count_labels([label])
    if truth is not None:
        cells += [
            Cell("truth", _shrink(paint(truth, taxonomy))),
            Cell("wrong pixels", _draw_wrong(image, label, truth)),
        ]
        pixels += count_labels([truth])
    cells += [Cell(title, shade(_thin(values))) for title, values in maps]
    return Row(caption, tuple(cells), pixels)


def _factor(height: int, width: int) -> float:
    return min(_CELL_W / width, _CELL_H / height)


def _shrink(picture: Image) -> Image:
    """Return a picture as large as fits a cell; what is reduced is averaged."""
    height, width = picture.shape[:2]
    factor = _factor(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    how = PILImage.Resampling.BOX if factor < 1 else PILImage.Resampling.NEAREST
    return np.array(PILImage.fromarray(np.ascontiguousarray(picture)).resize(size, how))


def _thin(values: Map) -> Map:
    """Return values as large as fits a cell, each the nearest one."""
    factor = _factor(*values.shape)
    rows, columns = (
        np.minimum((np.arange(max(1, round(side * factor))) + 0.5) / factor, side - 1).astype(np.int64)
        for side in values.shape
    )
    thinned: Map = values[rows][:, columns]
    return thinned


def _draw_wrong(image: Image, label: Label, truth: Label) -> Image:
    """Return the picture in light grey with its wrong pixels coloured."""
    grey = np.array(PILImage.fromarray(np.ascontiguousarray(image)).convert("L"))
    faded = (grey // 2 + 127)[..., None].repeat(3, axis=2)
    faded[(label != truth) & (truth != IGNORE)] = WRONG
    return _shrink(faded)


def draw_sheet(rows: Sequence[Row], taxonomy: Taxonomy, title: str) -> PILImage.Image:
    """Return one sheet: titles of columns, a row for each picture, and a legend of the classes that occur."""
    titles = list(dict.fromkeys(cell.title for row in rows for cell in row.cells))
    cell_w = max(cell.picture.shape[1] for row in rows for cell in row.cells)
    width = _GAP + len(titles) * (cell_w + _GAP)
    parts = [_head(title, titles, cell_w, width)]
    parts += [_draw_row(row, titles, cell_w, width) for row in rows]
    pixels = np.sum([row.pixels for row in rows], axis=0)
    entries = class_entries(taxonomy, pixels, shares=False)
    parts.append(_indent(draw_legend(entries, width - _GAP, _SIZE), width))
    parts += [
        _indent(draw_bar(name, min(width - _GAP, 360), _SIZE), width)
        for name in ("confidence", "entropy")
        if name in titles
    ]
    return stack(parts)


def _head(title: str, titles: Sequence[str], cell_w: int, width: int) -> PILImage.Image:
    sheet = PILImage.new("RGB", (width, round(3.8 * _SIZE)), PAPER)
    pen = ImageDraw.Draw(sheet)
    fits = int((width - 2 * _GAP) / (0.62 * _SIZE))
    pen.text((_GAP, _SIZE), shorten(title, fits), font=find_font(_SIZE), fill=INK, anchor="lm")
    for place, name in enumerate(titles):
        left = _GAP + place * (cell_w + _GAP)
        pen.text((left, round(2.9 * _SIZE)), name, font=find_font(_SIZE), fill=INK, anchor="lm")
    return sheet


def _draw_row(row: Row, titles: Sequence[str], cell_w: int, width: int) -> PILImage.Image:
    height = max(cell.picture.shape[0] for cell in row.cells)
    sheet = PILImage.new("RGB", (width, height + 2 * _SIZE), PAPER)
    for cell in row.cells:
        left = _GAP + titles.index(cell.title) * (cell_w + _GAP)
        sheet.paste(PILImage.fromarray(cell.picture), (left, 0))
    fits = int((width - 2 * _GAP) / (0.62 * _SIZE))
    caption = shorten(row.caption, fits)
    ImageDraw.Draw(sheet).text((_GAP, height + _SIZE * 0.8), caption, font=find_font(_SIZE - 2), fill=INK, anchor="lm")
    return sheet


def _indent(part: PILImage.Image, width: int) -> PILImage.Image:
    sheet = PILImage.new("RGB", (width, part.height), PAPER)
    sheet.paste(part, (_GAP, 0))
    return sheet
