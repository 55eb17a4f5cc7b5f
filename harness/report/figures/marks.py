"""What a chart shows: marks at values on two axes, and the words that tell each mark's exact values.

`png.py` and `charts.py` draw the same record. Lengths on a sheet are units of 1/96 inch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from harness.report.page.text import decimal

TONES = 7
"""So many colours tell variants apart; of more, dashes do."""
DASHES: tuple[tuple[float, ...], ...] = ((), (7, 3), (2, 2.5), (8, 3, 2, 3))
WIDTH, RIGHT, TOP = 480.0, 470.0, 6.0
TICK_ROOM, TITLE_ROOM = 24.0, 18.0

Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """Values from `low`, at the left or the bottom, to `high`; `ticks` are values and their labels."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...] = ()
    title: str = ""


@dataclass(frozen=True)
class Shape:
    """A shape at points (x, y); its look is the name of a style, which is also its CSS class."""

    points: tuple[Point, ...]
    look: str


@dataclass(frozen=True)
class Line(Shape):
    """A line through its points."""


@dataclass(frozen=True)
class Dot(Shape):
    """A dot, ring or cross at its only point."""


@dataclass(frozen=True)
class Box(Shape):
    """The rectangle between two corners."""


@dataclass(frozen=True)
class Text(Shape):
    """A line of text, upright in the middle of its only point; the look says which end is there."""

    text: str = ""


@dataclass(frozen=True)
class Mark:
    """Shapes that belong together; with a tip, a reader can point at them and is told it."""

    shapes: tuple[Shape, ...]
    tip: str = ""
    tone: int | None = None
    """Place of the variant in the study, which gives colour and dashes; None draws in ink."""


@dataclass(frozen=True)
class Chart:
    """Marks on two axes; later ones lie on earlier ones."""

    title: str
    x: Axis
    y: Axis
    marks: tuple[Mark, ...]
    height: float = 256.0
    """Of the area between the axes."""


@dataclass(frozen=True)
class Key:
    """One entry of a legend; its shape lies in a box of 28 x 12 units."""

    text: str
    shape: Shape
    tone: int | None = None


@dataclass(frozen=True)
class Sheet:
    """A figure: charts with one legend."""

    panels: tuple[Chart, ...]
    keys: tuple[Key, ...] = ()
    note: str = ""


def make_axis(values: Iterable[float], *, whole: bool = False, most: int = 6, title: str = "") -> Axis:
    """Return an axis that holds all values with some room at both ends, and about `most` round ticks.

    A `whole` axis has ticks at whole numbers alone.
    """
    found = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(found), max(found)
    room = 0.3 if whole else 0.06 * (high - low) or max(abs(high) * 0.05, 0.5)
    low, high = low - room, high + room
    ticks = [(value, label) for value, label in _ticks(low, high, most) if not whole or value == int(value)]
    return Axis(low, high, tuple(ticks), title)


def _ticks(low: float, high: float, most: int) -> list[tuple[float, str]]:
    # The smallest of 1, 2 and 5 times a power of ten that gives no more ticks than wanted; the tolerances keep a tick
    # that binary fractions put just beyond an end.
    least = (high - low) / most
    size = 10.0 ** math.floor(math.log10(least))
    step = next(factor * size for factor in (1, 2, 5, 10) if factor * size >= least * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    values = [round(number * step, 10) + 0.0 for number in range(first, last + 1)]
    return [(value, decimal(value, decimals)) for value in values]


def lay_out(chart: Chart) -> tuple[float, list[Mark]]:
    """Return the height of a chart that is `WIDTH` wide, and its marks with grid and labels; units from its top left.

    The grid is level where the upright axis has ticks, else upright.
    """
    left, bottom = (46.0 if chart.y.ticks else 10.0), TOP + chart.height

    def at(point: Point) -> Point:
        return _scale(point[0], chart.x, left, RIGHT), _scale(point[1], chart.y, bottom, TOP)

    grid: list[Shape] = []
    for value, label in chart.y.ticks:
        _, y = at((chart.x.low, value))
        grid += [Line(((left, y), (RIGHT, y)), "grid"), Text(((left - 8, y),), "scale", label)]
    for value, label in chart.x.ticks:
        x, _ = at((value, chart.y.low))
        grid += [] if chart.y.ticks else [Line(((x, TOP), (x, bottom)), "grid")]
        grid.append(Text(((x, bottom + 13),), "tick", label))
    if chart.x.title:
        grid.append(Text((((left + RIGHT) / 2, bottom + 13 + TITLE_ROOM),), "tick", chart.x.title))
    height = bottom + TICK_ROOM + (TITLE_ROOM if chart.x.title else 0)
    placed = [
        replace(mark, shapes=tuple(replace(shape, points=tuple(map(at, shape.points))) for shape in mark.shapes))
        for mark in chart.marks
    ]
    return height, [Mark(tuple(grid)), *placed]


def _scale(value: float, axis: Axis, start: float, end: float) -> float:
    return round(start + (value - axis.low) / (axis.high - axis.low) * (end - start), 1)


def dashes(shape: Shape, tone: int | None) -> tuple[float, ...]:
    """Return the dashes of a variant's line, strokes and gaps in turn; empty where it is full."""
    return DASHES[tone // TONES % len(DASHES)] if tone and shape.look in ("thin", "thick") else ()


def shorten(text: str, longest: int = 28) -> str:
    """Return a name that fits a figure: its middle gives way to an ellipsis, line breaks to spaces."""
    text = " ".join(text.split())
    if len(text) <= longest:
        return text
    tail = longest // 3
    return f"{text[: longest - tail - 1]}…{text[-tail:]}"
