"""Every chart of a report: a new one is a function that returns its record, and a line here; and charts as SVG.

In the SVG the look of a shape is its class, and `report.css` says how that looks.
"""

from __future__ import annotations

import html
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.report.figures import marks
from harness.report.figures.classes import delta_sheet, iou_sheet
from harness.report.figures.curves import curve_sheet
from harness.report.figures.grid import GridSheet, grid_blocks
from harness.report.figures.row_charts import attribution_sheet, score_sheet
from harness.report.page.model import Figure, Fragment
from harness.report.study.record import Report

Sheets = Mapping[str, marks.Sheet | GridSheet]
"""File name of a chart -> its record."""


@dataclass(frozen=True)
class ChartOf:
    """A chart of the report: a PNG file beside the Markdown, and HTML in the page."""

    name: str
    """File name below `figures/`."""
    section: str
    """Heading that it stands under."""
    alt: str
    make: Callable[[Report], marks.Sheet | GridSheet]
    """Returns the record; without panels where the report has nothing for it."""
    in_page: bool = True
    """False where a table of the page shows the same values in the same colours."""


CHARTS = (
    ChartOf("curves.png", "Learning curves", "Training loss and validation miou_dataset by epoch", curve_sheet),
    ChartOf("scores.png", "Result", "miou_dataset by variant: every seed a dot, the mean a bar", score_sheet),
    ChartOf("attribution.png", "Which component did it", "What each component adds", attribution_sheet),
    ChartOf("delta_class.png", "Classes", "Difference of each class's IoU to the reference", delta_sheet),
    ChartOf("iou_class.png", "Classes", "IoU of each class by variant", iou_sheet, in_page=False),
)


def chart_names(report: Report) -> tuple[str, ...]:
    """Return the file names of the charts that a report has something for."""
    return tuple(chart.name for chart in CHARTS if chart.make(report).panels)


def make_sheets(report: Report) -> Sheets:
    """Return the charts that a report lists."""
    return {chart.name: chart.make(report) for chart in CHARTS if chart.name in report.figures}


def chart_figures(sheets: Sheets) -> Mapping[str, Sequence[Figure]]:
    """Return section -> its charts, each as a picture and as what HTML shows in its place."""
    found = defaultdict[str, list[Figure]](list)
    for chart in CHARTS:
        if sheet := sheets.get(chart.name):
            shown = (Fragment(sheet_html(sheet)),) if isinstance(sheet, marks.Sheet) else tuple(grid_blocks(sheet))
            found[chart.section].append(Figure(f"figures/{chart.name}", chart.alt, shown if chart.in_page else ()))
    return found


CROSS = "M{:g} {:g}l8 8m0-8l-8 8"
RADII = {"seed": 5.5, "best": 3.6, "point": 2.0}


def sheet_html(sheet: marks.Sheet) -> str:
    """Return charts, legend and note; nothing without a chart."""
    if not sheet.panels:
        return ""
    charts = "".join(map(_chart, sheet.panels))
    keys = "".join(map(_key, sheet.keys))
    note = f'<p class="small">{html.escape(sheet.note)}</p>' if sheet.note else ""
    return f'<div class="charts">{charts}</div><ul class="legend">{keys}</ul>{note}'


def _chart(chart: marks.Chart) -> str:
    height, drawn = marks.lay_out(chart)
    title = html.escape(chart.title)
    return (
        f'<figure class="chart"><figcaption>{title}</figcaption><svg viewBox="0 0 {marks.WIDTH:g} {height:g}" '
        f'role="group" aria-label="{title}">{"".join(map(_mark, drawn))}</svg></figure>'
    )


def _key(key: marks.Key) -> str:
    svg = f'<svg viewBox="0 0 28 12" aria-hidden="true">{_shape(key.shape, key.tone)}</svg>'
    return f"<li{_tone(key.tone)}>{svg}{html.escape(key.text)}</li>"


def _tone(tone: int | None, also: str = "") -> str:
    names = f"{also} c{tone % marks.TONES}".strip() if tone is not None else also
    return f' class="{names}"' if names else ""


def _mark(mark: marks.Mark) -> str:
    shapes = "".join(_shape(shape, mark.tone) for shape in mark.shapes)
    if not mark.tip:
        return f"<g{_tone(mark.tone)}>{shapes}</g>" if shapes else ""
    tip = html.escape(mark.tip)
    return f'<g{_tone(mark.tone, "mark")} role="img" aria-label="{tip}"><title>{tip}</title>{shapes}</g>'


def _shape(shape: marks.Shape, tone: int | None) -> str:
    (x, y), (x2, y2) = shape.points[0], shape.points[-1]
    look = f'class="{shape.look}"'
    match shape:
        case marks.Text():
            return f'<text x="{x:g}" y="{y:g}" {look}>{html.escape(shape.text)}</text>'
        case marks.Dot(look="broken"):
            return f'<path d="{CROSS.format(x - 4, y - 4)}" {look}/>'
        case marks.Dot():
            return f'<circle cx="{x:g}" cy="{y:g}" r="{RADII[shape.look]}" {look}/>'
        case marks.Box():
            size = f'width="{abs(x2 - x):g}" height="{abs(y2 - y):g}"'
            return f'<rect x="{min(x, x2):g}" y="{min(y, y2):g}" {size} {look}/>'
        case marks.Line():
            points = " ".join(f"{x:g},{y:g}" for x, y in shape.points)
            pattern = " ".join(f"{part:g}" for part in marks.dashes(shape, tone))
            look += f' stroke-dasharray="{pattern}"' if pattern else ""
            return f'<polyline points="{points}" {look}/>'
    raise TypeError(shape)
