"""Charts of the headline score as SVG: every seed a dot, the mean a bar, and differences with their intervals."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from harness.report.html_axis import Axis, colour_class, drawing, line, make_axis, mark, words
from harness.report.html_tips import SCORE, claim_tip, estimate_tip, one_line
from harness.report.page.result_sections import headline
from harness.report.page.sentences import is_doubted
from harness.report.page.text import decimal, mean_sd, points
from harness.report.study.record import Report, VariantSummary

WIDTH, LEFT, RIGHT = 480.0, 10.0, 470.0
ROW = 48.0
WORDS = {"improved": "▲ improved", "regressed": "▼ regressed", "equivalent": "= equivalent", "undecided": "undecided"}


@dataclass(frozen=True)
class _Row:
    """One variant: values in percent or points."""

    name: str
    place: int
    dots: tuple[tuple[float, str], ...]
    """Value and tip of each seed."""
    mean: float | None
    """None where there is nothing to draw."""
    tip: str
    note: str
    low: float | None = None
    high: float | None = None


def score_charts(report: Report) -> str:
    """Return the scores of all variants on the primary split, and their differences to the reference."""
    charts = []
    for split in (item for item in report.splits if item.name == report.primary):
        reference = _reference(report, split.name)
        scored = [
            (place, row) for place in range(len(report.variants)) if (row := _score_row(report, place, split.name))
        ]
        charts.append(_chart(f"{SCORE} on {split.name} (%)", [row for _, row in scored], reference))
        rows = [_difference_row(report, place, split.name) for place, _ in scored]
        if any(row.dots for row in rows):
            title = f"Difference to {one_line(report.reference)} on {split.name} (points)"
            charts.append(_chart(title, rows, 0.0, 100 * report.margin))
    note = (
        f"Dots are seeds, the upright bar is their mean, the dashed line is {html.escape(one_line(report.reference))}; "
        "whiskers are 95 % intervals of the difference, the shaded band is the margin of "
        f"±{100 * report.margin:g} points. A verdict with a question mark was called at an earlier look, and the "
        "interval of all seeds no longer says so."
    )
    return f'<div class="charts">{"".join(charts)}</div><p class="small">{note}</p>' if charts else ""


def _reference(report: Report, split: str) -> float | None:
    found = next((item for item in report.variants if item.name == report.reference), None)
    estimate = found.scores.get(split, {}).get(SCORE) if found else None
    return None if estimate is None or estimate.mean is None else 100 * estimate.mean


def _score_row(report: Report, place: int, split: str) -> _Row | None:
    variant: VariantSummary = report.variants[place]
    estimate = variant.scores.get(split, {}).get(SCORE)
    if estimate is None or estimate.mean is None:
        return None
    name = one_line(variant.name)
    dots = tuple(
        (100 * value, f"{name}, seed {seed}: {SCORE} on {split}\n{decimal(100 * value, 3)} %")
        for seed, value in zip(estimate.seeds, estimate.values, strict=True)
    )
    return _Row(name, place, dots, 100 * estimate.mean, estimate_tip(name, SCORE, split, estimate), mean_sd(estimate))


def _difference_row(report: Report, place: int, split: str) -> _Row:
    variant = report.variants[place]
    name = one_line(variant.name)
    claim = headline(report, variant.name, report.reference, split)
    if claim is None:
        return _Row(name, place, (), None, "", "reference" if variant.name == report.reference else "not compared")
    dots = tuple(
        (100 * value, f"{name} minus {one_line(claim.against)}, seed {seed}\n{decimal(100 * value, 3)} points")
        for seed, value in zip(claim.seeds, claim.by_seed, strict=True)
    )
    low, high = (None if value is None else 100 * value for value in (claim.low, claim.high))
    note = f"{points(claim.delta)}  {WORDS[claim.outcome]}{'?' if is_doubted(claim) else ''}"
    return _Row(name, place, dots, 100 * claim.delta, claim_tip(claim), note, low, high)


def _chart(title: str, rows: Sequence[_Row], rule: float | None, margin: float = 0.0) -> str:
    values = [value for row in rows for value, _ in row.dots]
    values += [end for row in rows for end in (row.low, row.high) if end is not None]
    values += [] if rule is None else [rule - margin, rule + margin]
    axis = make_axis(values, LEFT, RIGHT)
    bottom = ROW * len(rows) + 4
    grid = [line(axis.at(tick), 0, axis.at(tick), bottom, "grid") for tick, _ in axis.ticks()]
    labels = [words(axis.at(tick), bottom + 17, label, "tick", "middle") for tick, label in axis.ticks()]
    if rule is not None and margin:
        left, right = axis.at(rule - margin), axis.at(rule + margin)
        grid.insert(0, f'<rect x="{left:g}" y="0" width="{right - left:g}" height="{bottom:g}" class="margin"/>')
    if rule is not None:
        grid.append(line(axis.at(rule), 0, axis.at(rule), bottom, "rule"))
    body = "".join([*grid, *labels, *(_draw_row(row, order * ROW, axis) for order, row in enumerate(rows))])
    svg = drawing(WIDTH, bottom + 24, title, body)
    return f'<figure class="chart"><figcaption>{html.escape(title)}</figcaption>{svg}</figure>'


def _draw_row(row: _Row, top: float, axis: Axis) -> str:
    name = row.name if len(row.name) <= 34 else f"{row.name[:22]}…{row.name[-11:]}"
    texts = words(LEFT, top + 16, name, "name") + words(RIGHT, top + 16, row.note, "value", "end")
    if row.mean is None:
        return texts
    lane, mean = top + 33, axis.at(row.mean)
    shape = line(mean, lane - 11, mean, lane + 11, "mean")
    if row.low is not None and row.high is not None:
        low, high = axis.at(row.low), axis.at(row.high)
        ends = "".join(line(end, lane - 5, end, lane + 5, "whisker") for end in (low, high))
        shape = line(low, lane, high, lane, "whisker") + ends + shape
    hit = f'<rect x="0" y="{top:g}" width="{WIDTH:g}" height="{ROW:g}" class="hit"/>'
    look = colour_class(row.place)
    dots = [mark(tip, f'<circle cx="{axis.at(value):g}" cy="{lane:g}" r="5.5"/>', look) for value, tip in row.dots]
    return mark(row.tip, hit + texts + shape, look) + "".join(dots)
