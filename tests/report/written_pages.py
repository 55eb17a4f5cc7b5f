"""The HTML page of a simulated study."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from harness.report.page.html import render_html
from harness.report.page.sections import make_page
from harness.report.page.viewer import make_gallery
from harness.report.study.summary import summarise
from harness.report.study.variants import group_runs


def draw_grey(report, folder: Path):
    """Write each figure of a report as one grey pixel."""
    (folder / "figures").mkdir()
    for name in report.figures:
        Image.new("L", (1, 1)).save(folder / "figures" / name)


def render(made, folder: Path):
    """Write the page of a study and return the record and the page."""
    report = summarise(made.plan, made.results)
    draw_grey(report, folder)
    page = render_html(make_page(report, make_gallery(group_runs(made.plan, made.results))), folder)
    (folder / "report.html").write_text(page)
    return report, page
