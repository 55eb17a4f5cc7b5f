"""The class colours laid over a picture, with a legend of the classes that occur; the truth beside it where known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image as PILImage
from PIL import ImageDraw

from harness.apply.lettering import (
    IGNORED_COLOUR,
    INK,
    PAPER,
    class_entries,
    count_labels,
    draw_legend,
    find_font,
    stack,
    text_size_for,
)
from harness.data.source import IGNORE, Image, Label
from harness.data.taxonomy import Taxonomy

NARROWEST = 480
"""Pixels; narrower pictures are enlarged by a whole factor, so that the legend can be read."""
GUTTER = 8
CHUNK_PX = 2**22
"""Pixels that are mixed at once."""


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
    mixed: Image = np.empty_like(image)
    step = max(1, CHUNK_PX // image.shape[1])
    for top in range(0, image.shape[0], step):
        rows = slice(top, top + step)
        weight = np.float32(opacity) * (label_HW[rows] != IGNORE)[..., None]
        below = image[rows].astype(np.float32)
        mixed[rows] = np.rint(below + (paint(label_HW[rows], taxonomy) - below) * weight)
    return mixed


def draw_overlay(image: Image, panels: Sequence[Panel], taxonomy: Taxonomy, opacity: float) -> PILImage.Image:
    """Return label maps over a picture, side by side, and below them the classes that occur in any of them.

    A picture keeps its size, or is enlarged by a whole factor to be `NARROWEST` wide. Titles stand above where there
    are several panels; shares of the picture stand in the legend where there is one.
    """
    factor = max(1, -(-NARROWEST // image.shape[1]))
    enlarged = _enlarge(image, factor)
    parts = [_draw_panel(enlarged, panel, taxonomy, opacity, factor) for panel in panels]
    size_px = text_size_for(parts[0].width)
    width = sum(part.width for part in parts) + GUTTER * (len(parts) - 1)
    row = PILImage.new("RGB", (width, parts[0].height), PAPER)
    for place, part in enumerate(parts):
        row.paste(part, (place * (part.width + GUTTER), 0))
    pixels = count_labels(panel.label for panel in panels)
    pixels[IGNORE] = 0  # they show the picture alone
    entries = class_entries(taxonomy, pixels, shares=len(panels) == 1)
    titles = [_draw_titles([panel.title for panel in panels], parts[0].width, size_px, width)] if len(parts) > 1 else []
    return stack([*titles, row, draw_legend(entries, width, size_px)])


def _enlarge(image: Image, factor: int) -> Image:
    if factor == 1:
        return image
    height, width = image.shape[:2]
    size = (width * factor, height * factor)
    return np.array(PILImage.fromarray(image).resize(size, PILImage.Resampling.BICUBIC))


def _draw_panel(image: Image, panel: Panel, taxonomy: Taxonomy, opacity: float, factor: int) -> PILImage.Image:
    label_HW = panel.label.repeat(factor, axis=0).repeat(factor, axis=1)
    return PILImage.fromarray(blend(image, label_HW, taxonomy, opacity))


def _draw_titles(titles: Sequence[str], step: int, size_px: int, width: int) -> PILImage.Image:
    sheet = PILImage.new("RGB", (width, 2 * size_px), PAPER)
    pen = ImageDraw.Draw(sheet)
    for place, title in enumerate(titles):
        left = place * (step + GUTTER) + size_px // 2
        pen.text((left, size_px), title, font=find_font(size_px), fill=INK, anchor="lm")
    return sheet
