"""The class colours laid over a picture, with a legend of the classes that occur; the truth beside it where known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

import numpy as np
from PIL import Image as PILImage

from harness.apply.predict import legend
from harness.apply.predict.png import cut_rows
from harness.data.source import IGNORE, Image, Label
from harness.data.taxonomy import Taxonomy

NARROWEST = 480
"""Pixels; narrower pictures are enlarged by a whole factor, so that the legend can be read."""
_LONGEST_ENLARGED = 4 * NARROWEST
GUTTER = 8


def paint(label_HW: Label, taxonomy: Taxonomy) -> Image:
    """Return a label's colours, [H, W, 3]; ignored pixels are dark grey."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(taxonomy.colours)] = taxonomy.colours
    table[IGNORE] = legend.IGNORED_COLOUR
    painted: Image = table[label_HW]
    return painted


def blend(image: Image, label_HW: Label, taxonomy: Taxonomy, opacity: float) -> Image:
    """Return a picture with a label's colours over it, [H, W, 3]; ignored pixels show the picture alone."""
    weight = np.float32(opacity) * (label_HW != IGNORE)[..., None]
    below = image.astype(np.float32)
    mixed: Image = np.rint(below + (paint(label_HW, taxonomy) - below) * weight).astype(np.uint8)
    return mixed


def draw_overlay(
    image: Image, panels: Mapping[str, Label], taxonomy: Taxonomy, opacity: float
) -> tuple[tuple[int, int], Iterator[Image]]:
    """Return label maps over a picture, side by side, and below them the classes that occur: a size, and its rows.

    `panels` has the label maps by their titles.

    A picture keeps its size, or is enlarged by a whole factor to be `NARROWEST` wide, unless that makes it much too
    high. Titles stand above where there are several panels; shares of the picture stand in the legend where there is
    one. Rows come some at a time, so that memory does not grow with the picture.
    """
    factor = max(1, min(-(-NARROWEST // image.shape[1]), _LONGEST_ENLARGED // max(image.shape[:2])))
    size = (image.shape[1] * factor, image.shape[0] * factor)
    enlarged = image if factor == 1 else np.array(PILImage.fromarray(image).resize(size, PILImage.Resampling.BICUBIC))
    height, wide = enlarged.shape[:2]
    width = len(panels) * (wide + GUTTER) - GUTTER
    pixels = legend.count_labels(panels.values())
    pixels[IGNORE] = 0  # they show the picture alone
    entries = legend.class_entries(taxonomy, pixels, shares=len(panels) == 1)
    size_px = legend.text_size_for(wide, height)
    titles = legend.blank(width, 2 * size_px)
    for place, title in enumerate(panels):
        legend.write_at(titles, (place * (wide + GUTTER) + size_px // 2, size_px), title, size_px)
    above = [np.asarray(titles)] if len(panels) > 1 else []
    below = np.asarray(legend.draw_legend(entries, width, _fit_legend(entries, width, size_px, height)))

    def mix(rows: slice) -> Image:
        places = np.arange(rows.start, rows.stop) // factor
        labels = (label_HW[places].repeat(factor, axis=1) for label_HW in panels.values())
        parts = [blend(enlarged[rows], label_RW, taxonomy, opacity) for label_RW in labels]
        gap = np.full((len(parts[0]), GUTTER, 3), legend.PAPER, np.uint8)
        return np.concatenate([item for part in parts for item in (gap, part)][1:], axis=1)

    rows = height + sum(len(part) for part in (*above, below))
    return (rows, width), chain(above, cut_rows(height, width, mix), [below])


def _fit_legend(entries: Sequence[legend.LegendEntry], width: int, size_px: int, height: int) -> int:
    """Return a size of letters, `size_px` or less, in which a legend is at most half as high as the picture.

    Letters stay large enough to be read, whatever the height.
    """
    while legend.legend_height(entries, width, size_px) > height / 2 and size_px > legend.SMALLEST:
        size_px = max(legend.SMALLEST, size_px // 2)
    return size_px
