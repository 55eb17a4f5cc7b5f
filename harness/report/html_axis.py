"""Axes of the charts in `report.html`, and the pieces of SVG that they share. Lengths are SVG user units."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable
from dataclasses import dataclass

from harness.report.page.text import decimal

COLOURS = 7
"""The style sheet has this many colours for variants, `c0`, `c1`, ..."""
DASHES = ("", "7 3", "2 2.5", "8 3 2 3")
"""Lines of variants beyond the last colour are told apart by dashes."""


@dataclass(frozen=True)
class Axis:
    """Values from `low` to `high` on a line from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return the place of a value."""
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 1)

    def ticks(self, most: int = 6) -> list[tuple[float, str]]:
        """Return round values within the axis, and their labels."""
        step = _round_step((self.high - self.low) / most)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        values = [round(number * step, 10) + 0.0 for number in range(first, last + 1)]
        return [(value, decimal(value, decimals)) for value in values]


def make_axis(values: Iterable[float], start: float, end: float) -> Axis:
    """Return an axis that holds all values with some room at both ends."""
    found = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(found), max(found)
    room = 0.06 * (high - low) or max(abs(high) * 0.05, 0.5)
    return Axis(low - room, high + room, start, end)


def _round_step(least: float) -> float:
    size = 10.0 ** math.floor(math.log10(least))
    return next(factor * size for factor in (1, 2, 5, 10) if factor * size >= least * (1 - 1e-9))


def colour_class(place: int) -> str:
    """Return the CSS class with the colour of the variant at a place in the study."""
    return f"c{place % COLOURS}"


def dashes(place: int) -> str:
    """Return the attribute with the dashes of the variant at a place in the study; empty for a full line."""
    pattern = DASHES[place // COLOURS % len(DASHES)]
    return f' stroke-dasharray="{pattern}"' if pattern else ""


def mark(tip: str, shape: str, look: str = "") -> str:
    """Return a shape that tells its values when it is pointed at or focused."""
    told = html.escape(tip)
    return f'<g class="mark {look}" role="img" aria-label="{told}"><title>{told}</title>{shape}</g>'


def words(x: float, y: float, text: str, look: str = "", anchor: str = "start") -> str:
    """Return a line of text."""
    return f'<text x="{x:g}" y="{y:g}" class="{look}" text-anchor="{anchor}">{html.escape(text)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, look: str) -> str:
    """Return a straight line."""
    return f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" class="{look}"/>'


def drawing(width: float, height: float, label: str, body: str) -> str:
    """Return the SVG element around a drawing."""
    return f'<svg viewBox="0 0 {width:g} {height:g}" role="group" aria-label="{html.escape(label)}">{body}</svg>'
