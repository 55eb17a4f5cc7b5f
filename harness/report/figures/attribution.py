"""Attribution: shares that add up to the total, or each component's effect in two surroundings."""

from __future__ import annotations

from harness.report.figures.marks import Box, Key, Line, Row, Sheet, row_chart
from harness.report.page.cells import one_line, part_tip, unsigned
from harness.report.page.text import points
from harness.report.study.attribution_records import FamilyAttribution, Part
from harness.report.study.record import Report

GAIN, LOSS = 0, 4
"""Tones: blue and the red of Okabe and Ito."""


def attribution_sheet(report: Report) -> Sheet:
    """Return a chart for each family: a waterfall where shares are known, else effects in two surroundings."""
    items = [item for item in report.attributions if item.shapley or item.brackets]
    panels = [
        row_chart(
            f"{one_line(item.family)}, {item.split} (points of miou_dataset)",
            _shares(item) if item.shapley else _surroundings(item),
            rule=0.0,
        )
        for item in items
    ]
    keys = [Key("95 % interval", Line(((0, 6), (28, 6)), "whisker"))]
    if any(item.shapley for item in items):
        keys += [Key(name, Box(((0, 0), (28, 12)), "bar"), tone) for name, tone in (("gain", GAIN), ("loss", LOSS))]
    return Sheet(tuple(panels), tuple(keys))


def _shares(item: FamilyAttribution) -> list[Row]:
    """Each bar begins where the one above it ends, so that they add up to the last."""
    rows, reached = [], 0.0
    for share in item.shapley:
        rows.append(_row(share.name, share, GAIN if share.delta >= 0 else LOSS, base=reached))
        reached += share.delta
    return rows if item.total is None else [*rows, _row("all together", item.total, None, base=0.0)]


def _surroundings(item: FamilyAttribution) -> list[Row]:
    rows = []
    for bracket in item.brackets:
        rows.append(_row(bracket.name, bracket.few, 0, note="fewest others"))
        if bracket.interaction:
            rows.append(_row(bracket.name, bracket.many, 1, note="most others"))
    return rows


def _row(name: str, found: Part, tone: int | None, *, note: str = "", base: float | None = None) -> Row:
    ends = [100 * (value + (base or 0.0)) for value in (found.low, found.high) if value is not None]
    low, high = ends if len(ends) == 2 else (None, None)
    start = None if base is None else 100 * base
    value = 100 * (found.delta + (base or 0.0))
    *exact, behind = part_tip(found, unsigned)
    exact += [] if found.p_adjusted is None else [f"p = {found.p_adjusted:.4g}, adjusted"]
    tip = "\n".join([f"{one_line(name)} {note}".rstrip(), *exact, behind])
    return Row(one_line(name), f"{points(found.delta)}  {note}".rstrip(), tone, value, tip, low, high, start)
