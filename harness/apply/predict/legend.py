"""Text, legends and colour bars on pictures that are drawn pixel by pixel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image as PILImage
from PIL import ImageDraw, ImageFont

from harness.apply.predict.png import cut_rows
from harness.data.source import IGNORE, Label
from harness.data.taxonomy import Colour, Taxonomy
from harness.report.figures.marks import shorten
from harness.report.figures.style import SEQUENTIAL, font_file

PAPER, INK, RULE = (255, 255, 255), (34, 34, 34), (136, 136, 136)
IGNORED_NAME = "ignored"
IGNORED_COLOUR = (70, 70, 70)
SMALLEST = 12
"""Pixels of letters that can still be read."""


@dataclass(frozen=True)
class LegendEntry:
    """A line of a legend."""

    colour: Colour
    text: str


@cache
def find_font(size_px: int) -> ImageFont.FreeTypeFont:
    """Return the font of harness's figures in a size."""
    return ImageFont.truetype(str(font_file()), size_px)


def blank(width: int, height: int) -> PILImage.Image:
    """Return a sheet of paper."""
    return PILImage.new("RGB", (width, height), PAPER)


def write_at(sheet: PILImage.Image, place: tuple[float, float], text: str, size_px: int) -> None:
    """Write on a sheet; the text begins at a place (x, y), which lies at half of its letters' height."""
    ImageDraw.Draw(sheet).text(place, text, font=find_font(size_px), fill=INK, anchor="lm")


def text_size_for(width: int, height: int) -> int:
    """Return a size of letters (pixels) that is read well on a picture: a 48th of its width, or of twice its height
    where that is less; at least `SMALLEST`.
    """
    return max(SMALLEST, round(min(width, 2 * height) / 48))


def count_labels(labels: Iterable[Label]) -> npt.NDArray[np.int64]:
    """Return the pixels of each label, [256], in some pictures together."""
    total = np.zeros(256, np.int64)
    for label_HW in labels:
        height, width = label_HW.shape
        for part_RW in cut_rows(height, width, label_HW.__getitem__):  # numpy makes eight bytes of each pixel
            total += np.bincount(part_RW.ravel(), minlength=256)
    return total


def class_entries(taxonomy: Taxonomy, pixels: npt.NDArray[np.int64], *, shares: bool) -> list[LegendEntry]:
    """Return the legend of the classes that occur in `pixels` [256]; with `shares`, of all pixels but ignored ones."""
    names = zip(taxonomy.classes, taxonomy.colours, strict=True)
    total = max(int(pixels[:IGNORE].sum()), 1)
    entries = [
        LegendEntry(colour, shorten(name, 28) + (f"  {_percent(pixels[index] / total)}" if shares else ""))
        for index, (name, colour) in enumerate(names)
        if pixels[index]
    ]
    return entries + ([LegendEntry(IGNORED_COLOUR, IGNORED_NAME)] if pixels[IGNORE] else [])


def _percent(share: float) -> str:
    return "<0.1 %" if share < 0.0005 else f"{100 * share:.1f} %"


def draw_legend(entries: Sequence[LegendEntry], width: int, size_px: int) -> PILImage.Image:
    """Return a legend as wide as the picture that it stands below: aligned columns, as many as fit."""
    gap, line = size_px, _line(size_px)
    column, rows = _lay_out(entries, width, size_px)
    sheet = blank(width, rows * line + gap)
    for place, entry in enumerate(entries):
        left = gap // 2 + round(place // rows * column)
        middle = gap // 2 + place % rows * line + line // 2
        box = (left, middle - round(0.45 * size_px), left + round(1.5 * size_px), middle + round(0.45 * size_px))
        ImageDraw.Draw(sheet).rectangle(box, fill=entry.colour, outline=RULE)
        write_at(sheet, (left + 2 * size_px, middle), entry.text, size_px)
    return sheet


def legend_height(entries: Sequence[LegendEntry], width: int, size_px: int) -> int:
    """Return the height that `draw_legend` would make it."""
    return _lay_out(entries, width, size_px)[1] * _line(size_px) + size_px


def _lay_out(entries: Sequence[LegendEntry], width: int, size_px: int) -> tuple[float, int]:
    """Return the width of a column, and how many rows there are."""
    font = find_font(size_px)
    column = max((font.getlength(entry.text) for entry in entries), default=0.0) + 3.2 * size_px
    columns = min(max(1, int((width - size_px) // column)), max(1, len(entries)))
    return column, -(-len(entries) // columns)


def _line(size_px: int) -> int:
    return round(1.6 * size_px)


def shade(values: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint8]:
    """Return values [H, W] from 0 to 65535 in shades [H, W, 3]: the darker, the higher."""
    shades: npt.NDArray[np.uint8] = SEQUENTIAL(values.astype(np.float32) / 65535, bytes=True)[..., :3]
    return shades


def draw_bar(title: str, width: int, size_px: int) -> PILImage.Image:
    """Return the scale of `shade`, from 0 to 1, as wide as the pictures that it explains."""
    sheet = blank(width, round(2.4 * size_px))
    middle = sheet.height // 2
    write_at(sheet, (0, middle), f"{title}  0", size_px)
    left = round(find_font(size_px).getlength(f"{title}  0")) + size_px // 2
    right = width - round(1.4 * size_px)
    if right > left:
        ramp = np.linspace(0, 65535, right - left).astype(np.uint16)[None].repeat(size_px, axis=0)
        sheet.paste(PILImage.fromarray(shade(ramp)), (left, middle - size_px // 2))
        ImageDraw.Draw(sheet).rectangle((left, middle - size_px // 2, right, middle + size_px // 2), outline=RULE)
    write_at(sheet, (right + size_px // 2, middle), "1", size_px)
    return sheet


def stack(parts: Sequence[tuple[int, PILImage.Image]], width: int) -> PILImage.Image:
    """Return pictures below each other on one sheet, each so many pixels from the left."""
    sheet, top = blank(width, sum(part.height for _, part in parts)), 0
    for left, part in parts:
        sheet.paste(part, (left, top))
        top += part.height
    return sheet
