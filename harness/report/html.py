"""Report -> `report.html`: the words of `report.md` in one file that opens anywhere, with charts and a viewer."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Mapping
from pathlib import Path

import jinja2

from harness.report.html_charts import score_charts
from harness.report.html_classes import delta_tables
from harness.report.html_curves import curve_charts
from harness.report.html_text import Extras, convert
from harness.report.html_tips import one_line, tips_by_table
from harness.report.markdown import render_markdown
from harness.report.page.viewer import Gallery, png_uri
from harness.report.study.record import Report

MOST_FIGURE_BYTES = 3_000_000
"""Figures beyond this sum are named instead of embedded."""


def render_html(report: Report, gallery: Gallery | None, figures: Path) -> str:
    """Return the page; `figures` is the folder with the PNG files that the report lists.

    Nothing is loaded from elsewhere: styles, script and pictures are in the page. The same report gives the same text.

    Raises:
        OSError: a listed figure cannot be read.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("harness.report"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )
    own = {
        "scores.png": score_charts(report),
        "delta_class.png": delta_tables(report),
        "iou_class.png": "",
        "curves.png": curve_charts(report),
        "examples.png": "" if gallery is None else environment.get_template("viewer.html.j2").render(gallery=gallery),
    }
    markdown = render_markdown(report)
    pictures = {**_embedded(report, markdown, figures, own), **own}
    page = convert(markdown, Extras(pictures, tips_by_table(report)))
    script = _source(environment, "report.js")
    return environment.get_template("report.html.j2").render(
        title=one_line(report.study),
        page=page,
        style=_source(environment, "report.css"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _source(environment: jinja2.Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0].strip()


def _embedded(report: Report, markdown: str, folder: Path, own: Mapping[str, str]) -> dict[str, str]:
    """Return file name -> HTML for the figures without a chart of their own."""
    found, spent = {}, 0
    for name in report.figures:
        if name in own:
            continue
        text = re.search(rf"!\[(.*)\]\(figures/{re.escape(name)}\)", markdown)
        label = html.escape(html.unescape(text[1]).replace("\\", "")) if text else name
        data = (folder / name).read_bytes()
        spent += len(data)
        if spent <= MOST_FIGURE_BYTES:
            found[name] = f'<figure class="picture"><img src="{png_uri(data)}" alt="{label}"></figure>'
        else:
            found[name] = f"<p>{label}: figures/{name}, too large for this page.</p>"
    return found
