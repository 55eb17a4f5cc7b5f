"""Every chart of a report is one record: the PNG and the page show the same marks at the same values."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from harness.report.figures import charts, heatmaps, png
from harness.report.figures.charts import sheet_html
from harness.report.figures.grid import Grid, GridSheet, grid_blocks
from harness.report.figures.marks import Axis, Chart, Dot, Mark, Sheet
from harness.report.figures.row_charts import Row, attribution_sheet, row_chart
from harness.report.page.markdown import render_markdown
from harness.report.page.model import Cell, Table, walk
from harness.report.page.sections import make_page
from harness.report.page.text import decimal, escape
from harness.report.study.claims import BracketPart
from harness.report.study.summary import summarise
from harness.report.write import write_report

LONG = "a-variant-with-quite-a-long-name"
ON = {"plain": (), "only-crop": ("crop",), "only-dice": ("dice",), LONG: ("crop", "dice")}


@pytest.fixture(scope="module")
def report(simulate):
    """Four variants of one factorial design, one with a long name, on two splits: every chart has something to show."""
    made = simulate(dict(zip(ON, (0.6, 0.63, 0.68, 0.72), strict=True)))
    runs = [
        replace(
            run, family="all", design=("factorial",), components={c: c in ON[run.variant] for c in ("crop", "dice")}
        )
        for run in made.plan.runs
    ]
    return summarise(replace(made.plan, runs=tuple(runs)), made.results)


def painted(sheet, monkeypatch) -> Figure:
    """Return the matplotlib figure that would be written as PNG."""
    figures = []

    def keep(_path, paint):
        figure = Figure(figsize=(10, 10), dpi=96)
        FigureCanvasAgg(figure)
        paint(figure)
        figures.append(figure)

    monkeypatch.setattr(png, "draw", keep)
    monkeypatch.setattr(heatmaps, "draw", keep)
    (png.draw_sheet if isinstance(sheet, Sheet) else heatmaps.draw_grids)(sheet, None)
    return figures[0]


def in_svg(panel: Chart) -> tuple[list, list, list, list]:
    """Return the texts, dots, lines and visible rectangles of a chart in the page."""
    svg = ElementTree.fromstring(re.search(r"<svg viewBox.*</svg>", sheet_html(Sheet((panel,))), re.DOTALL)[0])

    def numbers(item, *names):
        return tuple(float(item.get(name)) for name in names)

    texts = [(item.text, *numbers(item, "x", "y")) for item in svg.iter("text")]
    dots = [numbers(item, "cx", "cy") for item in svg.iter("circle")]
    for cross in svg.iter("path"):
        x, y = re.match(r"M(\S+) (\S+)l", cross.get("d")).groups()
        dots.append((float(x) + 4, float(y) + 4))
    lines = [
        tuple(tuple(map(float, pair.split(","))) for pair in item.get("points").split())
        for item in svg.iter("polyline")
    ]
    boxes = [
        numbers(item, "x", "y", "width", "height")
        for item in svg.iter("rect")
        if item.get("class") not in ("hit", "epoch")
    ]
    return sorted(texts), sorted(dots), sorted(lines), sorted(boxes)


def in_png(panel: Chart, monkeypatch) -> tuple[list, list, list, list]:
    """Return the same of the picture."""
    axes = painted(Sheet((panel,)), monkeypatch).axes[0]
    title, *texts = axes.texts
    assert title.get_text().replace("\n", " ") == panel.title
    top = title.get_position()[1]
    lines = [tuple((x, y - top) for x, y in line.get_xydata().tolist()) for line in axes.lines]
    boxes = []
    for box in axes.patches:
        assert isinstance(box, Rectangle)
        (x, x2), (y, y2) = (
            sorted((box.get_x(), box.get_x() + box.get_width())),
            sorted((box.get_y(), box.get_y() + box.get_height())),
        )
        boxes.append((x, y - top, x2 - x, y2 - y))
    return (
        sorted((text.get_text(), text.get_position()[0], text.get_position()[1] - top) for text in texts),
        sorted(line[0] for line in lines if len(line) == 1),
        sorted(line for line in lines if len(line) > 1),
        sorted(boxes),
    )


def flat(found) -> list:
    return [value for item in found for value in (flat(item) if isinstance(item, tuple) else [item])]


@pytest.mark.parametrize("chart", charts.CHARTS, ids=lambda chart: chart.name)
def test_png_and_page_show_the_same(chart, report, monkeypatch):
    sheet = chart.make(report)
    assert sheet.panels
    if isinstance(sheet, GridSheet):
        axes = painted(sheet, monkeypatch).axes
        tables = [block for block in walk(grid_blocks(sheet)) if isinstance(block, Table)]
        for of_picture, of_page in zip(axes, tables, strict=True):
            cells = [cell.text for row in of_page.rows for cell in row[2:]]
            assert [text.get_text() for text in of_picture.texts] == cells
        return
    for panel in sheet.panels:
        for there, here in zip(in_svg(panel), in_png(panel, monkeypatch), strict=True):
            words = [value for value in flat(here) if isinstance(value, str)]
            assert words == [value for value in flat(there) if isinstance(value, str)]
            numbers = [[value for value in flat(part) if not isinstance(value, str)] for part in (here, there)]
            assert numbers[0] == pytest.approx(numbers[1], abs=0.01)
    keys = re.findall(r"<li[^>]*>.*?</svg>([^<]*)</li>", sheet_html(sheet))
    drawn = [text.get_text() for text in painted(sheet, monkeypatch).axes[0].texts]
    assert drawn[len(drawn) - len(keys) :] == keys


def test_each_chart_that_a_report_lists_stands_on_its_page(report):
    page = render_markdown(make_page(report))
    for chart in (chart for chart in charts.CHARTS if chart.name in report.figures):
        told = f"nothing on the page asks for the charts of '{chart.section}', the section of {chart.name}"
        assert f"(figures/{chart.name})" in page, told


def test_dots_stand_where_the_ticks_say(report):
    """Read the chart as a reader does: by its labels. Each dot is at the value of a seed, and tells it exactly."""
    chart = next(item for item in charts.CHARTS if item.name == "scores.png").make(report).panels[0]
    texts, dots, *_ = in_svg(chart)
    ticks = sorted((float(text.replace("−", "-")), x) for text, x, _ in texts if re.fullmatch(r"−?\d+(\.\d+)?", text))
    (low, left), (high, right) = ticks[0], ticks[-1]
    read = sorted(low + (x - left) / (right - left) * (high - low) for x, _ in dots)
    values = [100 * value for item in report.variants for value in item.scores["val"]["miou_dataset"].values]
    assert read == pytest.approx(sorted(values), abs=0.2 * (high - low) / (right - left))
    told = [mark.tip for mark in chart.marks if isinstance(mark.shapes[0], Dot)]
    assert sorted(tip.split("\n")[1] for tip in told) == sorted(f"{decimal(value, 3)} %" for value in values)


def overlapping(figure: Figure) -> list[tuple[str, str]]:
    """Return the pairs of texts of which one lies on the other."""
    texts = [text for axes in figure.axes for text in axes.texts] + figure.texts
    boxes = [(text.get_text(), text.get_window_extent().padded(-1)) for text in texts if text.get_text()]
    return [(a, b) for (a, box), (b, other) in combinations(boxes, 2) if box.overlaps(other)]


@pytest.mark.parametrize("chart", charts.CHARTS, ids=lambda chart: chart.name)
def test_no_text_of_a_picture_lies_on_another(chart, report, monkeypatch):
    assert overlapping(painted(chart.make(report), monkeypatch)) == []


def test_effects_in_two_surroundings_are_two_rows(report, monkeypatch):
    few, many = report.attributions[0].shapley
    bracket = BracketPart(name=LONG, few_on=(), few=few, many_on=("x",), many=many, interaction=few)
    item = report.attributions[0].model_copy(update={"shapley": (), "brackets": (bracket,)})
    sheet = attribution_sheet(report.model_copy(update={"attributions": (item,)}))
    told = [mark.tip.split("\n")[:2] for mark in sheet.panels[0].marks if mark.tip]
    assert told == [
        [f"{LONG} fewest others", f"{decimal(100 * few.delta, 3)} points"],
        [f"{LONG} most others", f"{decimal(100 * many.delta, 3)} points"],
    ]
    assert overlapping(painted(sheet, monkeypatch)) == []


def test_a_new_chart_is_a_function_and_a_line(simulate, tmp_path, monkeypatch):
    def runs_sheet(report) -> Sheet:
        rows = [
            Row(item.name, f"{len(item.seeds)} runs", place, len(item.seeds), "told exactly")
            for place, item in enumerate(report.variants)
        ]
        return Sheet((row_chart("Runs of each variant", rows),))

    new = charts.ChartOf("runs.png", "Result", "How many runs there are", runs_sheet)
    monkeypatch.setattr(charts, "CHARTS", (*charts.CHARTS, new))
    made = simulate({"a": 0.6, "b": 0.7}, (0, 1), splits=("val",))
    report = write_report(made.plan, made.results, tmp_path)
    assert "runs.png" in report.figures
    assert "![How many runs there are](figures/runs.png)" in (tmp_path / "report.md").read_text()
    with Image.open(tmp_path / "figures" / "runs.png") as picture:
        assert picture.width > 500
    page = (tmp_path / "report.html").read_text()
    assert page.count("<figcaption>Runs of each variant</figcaption>") == 1
    assert page.count('aria-label="told exactly"') == 2


@pytest.mark.parametrize("values", [[], [3.0, 3.0], [0.0], [1e-9, 2e-9], [-1e6, 1e6]])
def test_axes_hold_every_value_and_a_few_round_ticks(values):
    chart = row_chart("x", [Row("r", "", 0, value, low=value, high=value) for value in values])
    assert all(chart.x.low < value < chart.x.high for value in values)
    assert 2 <= len(chart.x.ticks) <= 12
    labels = [float(label.replace("−", "-")) for _, label in chart.x.ticks]
    assert labels == pytest.approx([value for value, _ in chart.x.ticks])


def test_names_are_shown_as_text(monkeypatch):
    name = '<b>&"x"</b>'
    chart = Chart(name, Axis(0, 1), Axis(0, 1), (Mark((Dot(((0.5, 0.5),), "seed"),), name, 0),))
    page = sheet_html(Sheet((chart,), note=name))
    assert "<b>" not in page and page.count("&lt;b&gt;&amp;") == 5
    grid = Grid(name, np.ones((1, 1)), (name,), (name,), ((name,),), ((name,),), (Cell(name),))
    (table,) = grid_blocks(GridSheet((grid,), name))
    assert [*table.header[2:], table.rows[0][0].text, table.rows[0][2].text] == [escape(name)] * 3
    assert painted(Sheet((chart,)), monkeypatch).axes[0].texts[0].get_text() == name
