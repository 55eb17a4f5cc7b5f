"""Pages as data: every rounded number has its exact value behind it, and nothing hangs on what a heading says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from families_made import SKILLS, as_family, with_taxonomies
from PIL import Image

from harness.report.page.html import render_html
from harness.report.page.markdown import render_markdown
from harness.report.page.model import Cell, Details, Figure, Heading, Page, Table, walk
from harness.report.page.sections import make_page
from harness.report.study.record import Report
from harness.report.study.summary import summarise

DOCS = Path(__file__).parents[2] / "docs" / "phase3"
ROUNDED = re.compile(r"\d\.\d|\d %|\de-\d")
CASES = ["full", "common", "factorial", "leave one out", "unlike seeds", "many classes", "shipped"]


@pytest.fixture(scope="module")
def reports(study, simulate):
    """Reports that have, together, every table that there is."""
    common = simulate({"a": 0.7, "b": 0.8})
    factorial, leave_one_out = (
        as_family(simulate(SKILLS), ("factorial",)),
        as_family(simulate({name: SKILLS[name] for name in ("all", "only-crop", "only-dice")}), ("leave_one_out",)),
    )
    unlike = simulate({"a": 0.6, "b": 0.7}, (0, 1), splits=("val",))
    contract = {**unlike.results[unlike.plan.runs[0].id].contract, "size": "other"}
    apart = {key: replace(item, contract=contract) if key[-1] == "1" else item for key, item in unlike.results.items()}
    many = {f"class {index}": (index, 90, 255 - index) for index in range(70)}
    wide = simulate({"a": 0.6, "b": 0.7}, colours=many, shares=np.full(70, 1 / 70), splits=("val",))
    return {
        "full": summarise(study.plan, study.results),
        "common": summarise(common.plan, with_taxonomies(common)),
        "factorial": summarise(factorial.plan, factorial.results),
        "leave one out": summarise(replace(leave_one_out.plan, reference="all"), leave_one_out.results),
        "unlike seeds": summarise(unlike.plan, apart),
        "many classes": summarise(wide.plan, wide.results),
        "shipped": Report.model_validate_json((DOCS / "report.json").read_text()),
    }


def cells_of(page: Page) -> Iterator[tuple[tuple[int, int, int], str, Cell]]:
    """Yield place (table, row, column), the name of the column, and the cell, of all but the names of rows."""
    for number, table in enumerate(block for block in walk(page.blocks) if isinstance(block, Table)):
        for place, row in enumerate(table.rows):
            for column, (name, cell) in enumerate(zip(table.header, row, strict=True)):
                if column and not cell.text.startswith("`"):  # code: a setting or a version as it is
                    yield (number, place, column), name, cell


def changed(value, factor: float):
    """Return a record's data with every fractional number times a factor; settings and texts stay."""
    if isinstance(value, dict):
        keep = ("setup", "changed", "differs", "provenance", "rules")
        return {key: item if key in keep else changed(item, factor) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [changed(item, factor) for item in value]
    return value * factor if isinstance(value, float) else value


@pytest.mark.parametrize("case", CASES)
def test_every_cell_with_a_rounded_number_has_its_exact_value(reports, case):
    report = reports[case]
    states = {rule.states for rule in report.diagnosis.rules}
    page = make_page(report)
    found = [(name, cell) for _, name, cell in cells_of(page) if ROUNDED.search(cell.text)]
    assert len(found) > 10
    assert [(name, cell.text) for name, cell in found if not cell.exact and cell.text not in states] == []
    moved = {place: cell for place, _, cell in cells_of(make_page(Report(**changed(report.model_dump(), 0.97))))}
    for place, name, cell in cells_of(page):
        if cell.text != moved[place].text:  # numbers that are rounded to whole ones too
            assert cell.exact and cell.exact != moved[place].exact, name


def test_the_exact_value_is_exact(reports):
    report = reports["full"]
    tables = [block for block in walk(make_page(report).blocks) if isinstance(block, Table)]
    exact = {cell.exact for table in tables for row in table.rows for cell in row}
    seed = report.variants[0].seeds[0]
    found = {float(text.removesuffix(" %")) for text in exact if text and re.fullmatch(r"[\d.e-]+( %)?", text)}
    metrics = seed.epochs[2].metrics
    for value in (100 * metrics["val/miou_dataset"], metrics["train/loss"]):
        assert any(number == pytest.approx(value, rel=1e-9) for number in found)


def renamed(blocks):
    """Return blocks under other names: each heading, column, caption and line above details is called otherwise."""
    for place, block in enumerate(blocks):
        match block:
            case Heading(_, level):
                yield Heading(f"H{place}", level)
            case Table(header):
                yield replace(block, header=tuple(f"c{column}" for column in range(len(header))), caption="")
            case Details(_, inside):
                yield Details(f"D{place}", tuple(renamed(inside)))
            case Figure(_, _, tuple(inside)):
                yield replace(block, instead=tuple(renamed(inside)))
            case _:
                yield block


@pytest.mark.parametrize("case", ["full", "factorial"])
def test_other_names_of_headings_and_columns_lose_nothing(reports, case, tmp_path):
    report = reports[case]
    (tmp_path / "figures").mkdir()
    for name in report.figures:
        Image.new("L", (1, 1)).save(tmp_path / "figures" / name)
    page = make_page(report)
    pages = [render_html(item, tmp_path) for item in (page, Page("Q", tuple(renamed(page.blocks)), "q"))]
    for pattern in (r' title="[^"]*"', r"<td class=[^>]*>", r"--heat:[\d.]+", r"<(?:svg|img|figure)[^>]*>"):
        before, after = (re.findall(pattern, text) for text in pages)
        assert before == after
        assert len(before) > 20 or pattern.startswith("<(")
    assert 'class="number verdict ' in pages[1] or case == "factorial"


def test_the_shipped_page_is_that_of_its_record(reports):
    """JSON sorts keys, so settings, components and classes stand in another order: words count, line by line."""
    shown, shipped = (
        sorted(" ".join(sorted(re.findall(r"[^\s,{}|]+", line))) for line in text.splitlines())
        for text in (render_markdown(make_page(reports["shipped"])), (DOCS / "report.md").read_text())
    )
    assert shown == shipped
