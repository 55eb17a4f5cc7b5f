"""The class colours laid over a picture, with a legend of the classes that occur; the truth beside it where known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from PIL import Image as PILImage
from PIL import ImageDraw

from harness.apply.predict.legend import (
    IGNORED_COLOUR,
    INK,
    PAPER,
    SMALLEST,
    LegendEntry,
    class_entries,
    count_labels,
    draw_legend,
    find_font,
    legend_height,
    text_size_for,
)
from harness.apply.predict.png import cut_rows
from harness.data.source import IGNORE, Image, Label
from harness.data.taxonomy import Taxonomy

NARROWEST = 480
"""Pixels; narrower pictures are enlarged by a whole factor, so that the legend can be read."""
_LONGEST_ENLARGED = 4 * NARROWEST
GUTTER = 8


@dataclass(frozen=True)
class Panel:
    """One label map to lay over a picture."""

    title: str
    label: Label


def paint(label_HW: Label, taxonomy: Taxonomy) -> Image:
    """Return a label's colours, [H, W, 3]; ignored pixels are dark grey."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(taxonomy.colours)] = taxonomy.colours
    table[IGNORE] = IGNORED_COLOUR
    painted: Image = table[label_HW]
    return painted


def blend(image: Image, label_HW: Label, taxonomy: Taxonomy, opacity: float) -> Image:
    """Return a picture with a label's colours over it, [H, W, 3]; ignored pixels show the picture alone."""
    weight = np.float32(opacity) * (label_HW != IGNORE)[..., None]
    below = image.astype(np.float32)
    mixed: Image = np.rint(below + (paint(label_HW, taxonomy) - below) * weight).astype(np.uint8)
    return mixed


def draw_overlay(
    image: Image, panels: Sequence[Panel], taxonomy: Taxonomy, opacity: float
) -> tuple[tuple[int, int], Iterator[Image]]:
    """Return label maps over a picture, side by side, and below them the classes that occur: a size, and its rows.

    A picture keeps its size, or is enlarged by a whole factor to be `NARROWEST` wide, unless that makes it much too
    high. Titles stand above where there are several panels; shares of the picture stand in the legend where there is
    one. Rows come some at a time, so that memory does not grow with the picture.
    """
    factor = max(1, min(-(-NARROWEST // image.shape[1]), _LONGEST_ENLARGED // max(image.shape[:2])))
    enlarged = _enlarge(image, factor)
    height, wide = enlarged.shape[:2]
    width = len(panels) * (wide + GUTTER) - GUTTER
    pixels = count_labels(panel.label for panel in panels)
    pixels[IGNORE] = 0  # they show the picture alone
    entries = class_entries(taxonomy, pixels, shares=len(panels) == 1)
    size_px = text_size_for(wide, height)
    titles = [panel.title for panel in panels]
    above = [np.asarray(_draw_titles(titles, wide, size_px, width))] if len(panels) > 1 else []
    legend = np.asarray(draw_legend(entries, width, _fit_legend(entries, width, size_px, height)))

    def mix(rows: slice) -> Image:
        labels = (panel.label[np.arange(rows.start, rows.stop) // factor].repeat(factor, axis=1) for panel in panels)
        parts = [blend(enlarged[rows], label_RW, taxonomy, opacity) for label_RW in labels]
        gap = np.full((len(parts[0]), GUTTER, 3), PAPER, np.uint8)
        return np.concatenate([item for part in parts for item in (gap, part)][1:], axis=1)

    size = (height + sum(len(part) for part in (*above, legend)), width)
    return size, chain(above, cut_rows(height, width, mix), [legend])


def _fit_legend(entries: Sequence[LegendEntry], width: int, size_px: int, height: int) -> int:
    """Return a size of letters, `size_px` or less, in which a legend is at most half as high as the picture.

    Letters stay large enough to be read, whatever the height.
    """
    while legend_height(entries, width, size_px) > height / 2 and size_px > SMALLEST:
        size_px = max(SMALLEST, size_px // 2)
    return size_px


def _enlarge(image: Image, factor: int) -> Image:
    if factor == 1:
        return image
    height, width = image.shape[:2]
    size = (width * factor, height * factor)
    return np.array(PILImage.fromarray(image).resize(size, PILImage.Resampling.BICUBIC))


def _draw_titles(titles: Sequence[str], step: int, size_px: int, width: int) -> PILImage.Image:
    sheet = PILImage.new("RGB", (width, 2 * size_px), PAPER)
    pen = ImageDraw.Draw(sheet)
    for place, title in enumerate(titles):
        left = place * (step + GUTTER) + size_px // 2
        pen.text((left, size_px), title, font=find_font(size_px), fill=INK, anchor="lm")
    return sheet
