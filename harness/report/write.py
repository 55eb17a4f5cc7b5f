"""A report on disk: `report.md`, `.html`, `.json`, `figures/*.png`, `tables/*.csv`, each file whole or not at all."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from harness.files import write_text
from harness.judged import judged_results
from harness.records import Plan, RunResult
from harness.report.figures.charts import make_sheets
from harness.report.figures.draw import draw_figures
from harness.report.page.csv_tables import make_tables
from harness.report.page.html import render_html
from harness.report.page.markdown import render_markdown
from harness.report.page.sections import make_page
from harness.report.page.viewer import make_gallery
from harness.report.study.record import Report, to_json
from harness.report.study.summary import summarise
from harness.report.study.variants import group_runs
from harness.stats.looks import Taken


def write_report(
    plan: Plan, results: Mapping[str, RunResult], folder: Path, taken: Taken = (), *, made: Report | None = None
) -> Report:
    """Write the report of a plan's runs into a folder and return the record behind it.

    `taken` are the looks at the study that were recorded. The same plan, results and looks write the same bytes. `made`
    is the record of them where it is there already.
    Figures and tables that an earlier report in the folder listed and this one does not have are removed; nothing else
    in the folder is touched.

    Raises:
        OSError: the folder cannot be written.
    """
    results = judged_results(plan, results)
    report = made or summarise(plan, results, taken)
    earlier = _listed(folder / "report.json")
    sheets, groups = make_sheets(report), group_runs(plan, results)
    draw_figures(report, sheets, groups, folder / "figures")
    for name, text in make_tables(report, results).items():
        write_text(folder / "tables" / name, text)
    page = make_page(report, make_gallery(groups), sheets)
    write_text(folder / "report.md", render_markdown(page))
    write_text(folder / "report.html", render_html(page, folder))
    write_text(folder / "report.json", to_json(report.model_dump(mode="json")))
    current = {*(f"figures/{name}" for name in report.figures), *(f"tables/{name}" for name in report.tables)}
    for name in earlier - current:
        (folder / name).unlink(missing_ok=True)
    return report


def _listed(path: Path) -> set[str]:
    """Return the figures and tables that an earlier report of any version lists; nothing where there is none."""
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))
        names = [f"{kind}/{name}" for kind in ("figures", "tables") for name in earlier[kind]]
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {name for name in names if re.fullmatch(r"(figures/[\w.-]+\.png|tables/[\w.-]+\.csv)", name)}
