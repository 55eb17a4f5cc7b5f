"""Every chart of a report: a new one is a function that returns its record, and a line here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.report.figures.attribution import attribution_sheet
from harness.report.figures.classes import delta_sheet, iou_sheet
from harness.report.figures.curves import curve_sheet
from harness.report.figures.grid import GridSheet, grid_blocks
from harness.report.figures.marks import Sheet
from harness.report.figures.scores import score_sheet
from harness.report.figures.svg import sheet_html
from harness.report.page.model import Figure, Fragment
from harness.report.study.record import Report

Sheets = Mapping[str, Sheet | GridSheet]
"""File name of a chart -> its record."""


@dataclass(frozen=True)
class ChartOf:
    """A chart of the report: a PNG file beside the Markdown, and HTML in the page."""

    name: str
    """File name below `figures/`."""
    section: str
    """Heading that it stands under."""
    alt: str
    make: Callable[[Report], Sheet | GridSheet]
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
            shown = (Fragment(sheet_html(sheet)),) if isinstance(sheet, Sheet) else tuple(grid_blocks(sheet))
            found[chart.section].append(Figure(f"figures/{chart.name}", chart.alt, shown if chart.in_page else ()))
    return found
