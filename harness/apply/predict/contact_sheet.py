"""Contact sheets: a row for each picture, with what was predicted, the truth and how sure the model is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image as PILImage

from harness.apply.predict import legend
from harness.apply.predict.infer import CERTAINTY, Map
from harness.apply.predict.overlay import paint
from harness.data.source import IGNORE, Image, Label
from harness.data.taxonomy import Taxonomy
from harness.report.figures.marks import shorten

ROWS = 8
"""Pictures on one sheet."""
_CELL_W, _CELL_H = 320, 320
"""Largest picture in a cell (pixels)."""
_GAP, _SIZE = 12, 15
"""Pixels: between cells, and of letters."""
_MOST_PX = 2**22
"""Of larger pictures, every n-th row and column is drawn."""


@dataclass(frozen=True)
class Row:
    """One picture's line in a sheet. It keeps cells, not the pictures in full."""

    caption: str
    cells: Mapping[str, Image]
    """Title -> picture, at most as large as a cell."""
    pixels: npt.NDArray[np.int64]
    """Of each label in the cells, [256]: for the legend."""


def make_row(
    image: Image, label: Label, *, caption: str, taxonomy: Taxonomy, truth: Label | None, maps: Mapping[str, Map]
) -> Row:
    """Return the row of a picture [H, W, 3] with its predicted label [H, W], and with truth and maps where given."""
    step = math.ceil(math.sqrt(label.size / _MOST_PX))
    image, label = image[::step, ::step], label[::step, ::step]
    truth = None if truth is None else truth[::step, ::step]
    cells = {"image": _shrink(image), "prediction": _shrink(paint(label, taxonomy))}
    pixels = legend.count_labels([label])
    if truth is not None:
        cells |= {"truth": _shrink(paint(truth, taxonomy)), "wrong pixels": _draw_wrong(image, label, truth)}
        pixels += legend.count_labels([truth])
    cells |= {title: legend.shade(_thin(values)) for title, values in maps.items()}
    return Row(caption, cells, pixels)


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
    faded[(label != truth) & (truth != IGNORE)] = (213, 94, 0)  # vermilion, which colour-blind people see on grey
    return _shrink(faded)


def draw_sheet(rows: Sequence[Row], taxonomy: Taxonomy, title: str) -> PILImage.Image:
    """Return one sheet: titles of columns, a row for each picture, and a legend of the classes that occur."""
    titles = list(dict.fromkeys(title for row in rows for title in row.cells))
    cell_w = max(picture.shape[1] for row in rows for picture in row.cells.values())
    width = _GAP + len(titles) * (cell_w + _GAP)
    pixels = np.sum([row.pixels for row in rows], axis=0)
    entries = legend.class_entries(taxonomy, pixels, shares=False)
    drawn = [_head(title, titles, cell_w, width), *(_draw_row(row, titles, cell_w, width) for row in rows)]
    bars = [legend.draw_bar(name, min(width - _GAP, 360), _SIZE) for name in CERTAINTY if name in titles]
    explained = [legend.draw_legend(entries, width - _GAP, _SIZE), *bars]
    return legend.stack([*((0, part) for part in drawn), *((_GAP, part) for part in explained)], width)


def _head(title: str, titles: Sequence[str], cell_w: int, width: int) -> PILImage.Image:
    sheet = legend.blank(width, round(3.8 * _SIZE))
    legend.write_at(sheet, (_GAP, _SIZE), _fitted(title, width), _SIZE)
    for place, name in enumerate(titles):
        legend.write_at(sheet, (_GAP + place * (cell_w + _GAP), round(2.9 * _SIZE)), name, _SIZE)
    return sheet


def _draw_row(row: Row, titles: Sequence[str], cell_w: int, width: int) -> PILImage.Image:
    height = max(picture.shape[0] for picture in row.cells.values())
    sheet = legend.blank(width, height + 2 * _SIZE)
    for column, picture in row.cells.items():
        sheet.paste(PILImage.fromarray(picture), (_GAP + titles.index(column) * (cell_w + _GAP), 0))
    legend.write_at(sheet, (_GAP, height + _SIZE * 0.8), _fitted(row.caption, width), _SIZE - 2)
    return sheet


def _fitted(text: str, width: int) -> str:
    return shorten(text, int((width - 2 * _GAP) / (0.62 * _SIZE)))
