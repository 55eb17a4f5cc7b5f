"""Charts as PNG, drawn with matplotlib from the same record as the SVG of the page."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from harness.report.figures import marks
from harness.report.figures.style import INK, OKABE_ITO, TITLE_PT, draw, inches, text_width

UNIT = 1 / 96
"""Inches."""
HALO = withStroke(linewidth=3, foreground="white")
"""Keeps text readable where a line passes behind it."""
GAP, LINE = 40.0, 22.0
QUIET = "#666666"
LOOKS: dict[str, dict[str, Any]] = {
    "grid": {"color": "#e4e4e4", "lw": 0.8},
    "rule": {"color": INK, "lw": 1, "ls": (0, (4, 3))},
    "margin": {"color": QUIET, "alpha": 0.15, "lw": 0},
    "bar": {"alpha": 0.5, "lw": 0},
    "mean": {"lw": 2.8, "solid_capstyle": "butt"},
    "whisker": {"lw": 1.3, "solid_capstyle": "butt"},
    "thin": {"lw": 0.8, "alpha": 0.6},
    "thick": {"lw": 2.2},
    "seed": {"marker": "o", "ms": 8, "mec": "white", "mew": 0.8},
    "point": {"marker": "o", "ms": 3},
    "best": {"marker": "o", "ms": 5.5, "mfc": "white", "mew": 1.2},
    "broken": {"marker": "x", "ms": 6, "mew": 1.6},
    "name": {"fontweight": "bold"},
    "value": {"ha": "right"},
    "tick": {"ha": "center", "fontsize": 9.4, "color": QUIET},
    "scale": {"ha": "right", "fontsize": 9.4, "color": QUIET},
}
"""Look -> how matplotlib draws it, in the mark's colour where none is given. Areas to point at are not drawn."""


def draw_sheet(sheet: marks.Sheet, path: Path) -> None:
    """Draw the charts two to a row, and the legend below them."""
    columns = min(len(sheet.panels), 2)

    def paint(figure: Figure) -> None:
        # One unit of axes at the top left; marks lie beyond it, so that the sheet is cropped to them.
        axes = figure.add_axes(inches(0, 0, UNIT, UNIT))
        axes.set(xlim=(0, 1), ylim=(1, 0))
        axes.set_axis_off()
        top = 0.0
        for first in range(0, len(sheet.panels), columns):
            row = sheet.panels[first : first + columns]
            titles = [textwrap.wrap(chart.title, 46) for chart in row]
            top += LINE * max(map(len, titles))
            laid = [marks.lay_out(chart) for chart in row]
            for column, (title, (_, drawn)) in enumerate(zip(titles, laid, strict=True)):
                left = column * (marks.WIDTH + GAP)
                axes.text(left, top, "\n".join(title), fontsize=TITLE_PT, va="bottom")
                _paint(axes, drawn, left, top)
            top += max(height for height, _ in laid) + LINE
        _paint_legend(axes, sheet.keys, top, columns * (marks.WIDTH + GAP))

    draw(path, paint)


def _paint_legend(axes: Axes, keys: Iterable[marks.Key], top: float, width: float) -> None:
    """Set keys from left to right, and on a new line where one does not fit."""
    left = 0.0
    for key in keys:
        needs = 60 + text_width([key.text]) / UNIT
        if left and left + needs > width:
            left, top = 0.0, top + LINE
        _paint(axes, [marks.Mark((key.shape, marks.Text(((36, 6),), "key", key.text)), tone=key.tone)], left, top)
        left += needs


def _paint(axes: Axes, drawn: Iterable[marks.Mark], left: float, top: float) -> None:
    """Paint marks, whose points are units from the given place, one over the other."""
    for order, mark in enumerate(drawn):
        for shape in mark.shapes:
            points = [(left + x, top + y) for x, y in shape.points]
            colour = INK if mark.tone is None or isinstance(shape, marks.Text) else OKABE_ITO[mark.tone % marks.TONES]
            look = {"color": colour, "zorder": order + 1, **LOOKS.get(shape.look, {})}
            (x, y), (x2, y2) = points[0], points[-1]
            match shape:
                case marks.Text():
                    axes.text(x, y, shape.text, va="center_baseline", path_effects=[HALO], **look)
                case marks.Box() if shape.look in LOOKS:
                    axes.add_patch(Rectangle((x, y), x2 - x, y2 - y, clip_on=False, **look))
                case marks.Line() | marks.Dot():
                    pattern = marks.dashes(shape, mark.tone)
                    look |= {"ls": (0, pattern)} if pattern else {}
                    axes.plot(*zip(*points, strict=True), clip_on=False, **look)
