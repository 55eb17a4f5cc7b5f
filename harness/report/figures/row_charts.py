"""Charts of values below each other: scores, differences to the reference, and what each component adds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.report.figures.marks import Axis, Box, Chart, Dot, Key, Line, Mark, Shape, Sheet, Text, make_axis, shorten
from harness.report.page.cells import SCORE, claim_tip, estimate_tip, one_line, part_tip, unsigned
from harness.report.page.result_sections import headline, ordered_splits
from harness.report.page.sentences import is_doubted
from harness.report.page.text import decimal, mean_sd, points
from harness.report.study.claims import FamilyAttribution, Part
from harness.report.study.record import Report, VariantSummary

WORDS = {"improved": "▲ improved", "regressed": "▼ regressed", "equivalent": "= equivalent", "undecided": "undecided"}
DOUBT = "A verdict with a question mark was called at an earlier look, and the interval of all seeds no longer says so."
GAIN, LOSS = 0, 4
"""Tones: blue and the red of Okabe and Ito."""


@dataclass(frozen=True)
class Row:
    """One line of a chart of rows: a value, drawn upright, or as a bar from `base`, with interval and single values."""

    name: str
    note: str
    tone: int | None
    value: float | None = None
    """None where there is nothing to draw."""
    tip: str = ""
    low: float | None = None
    high: float | None = None
    base: float | None = None
    dots: tuple[tuple[float, str], ...] = ()
    """Single values and their tips."""


def row_chart(title: str, rows: Sequence[Row], *, rule: float | None = None, margin: float = 0.0) -> Chart:
    """Return a chart of values below each other; `rule` is a value to compare with, `margin` a band around it."""
    values = [v for row in rows for v in (row.value, row.low, row.high, row.base, *(dot for dot, _ in row.dots))]
    values += [] if rule is None else [rule - margin, rule + margin]
    x = make_axis(value for value in values if value is not None)
    marks = []
    if rule is not None:
        band = Box(((rule - margin, 0), (rule + margin, len(rows))), "margin")
        marks.append(Mark((*((band,) if margin else ()), Line(((rule, 0), (rule, len(rows))), "rule"))))
    marks += [mark for order, row in enumerate(rows) for mark in _row_marks(row, order, x)]
    return Chart(title, x, Axis(len(rows), 0), tuple(marks), height=48.0 * len(rows))


def _row_marks(row: Row, top: float, x: Axis) -> list[Mark]:
    texts = (
        Text(((x.low, top + 0.24),), "name", shorten(row.name)),
        Text(((x.high, top + 0.24),), "value", row.note),
    )
    if row.value is None:
        return [Mark(texts)]
    lane = top + 0.69
    hit = Box(((x.low, top), (x.high, top + 1)), "hit")
    shapes: list[Shape] = [Line(((row.value, lane - 0.23), (row.value, lane + 0.23)), "mean")]
    if row.base is not None:
        shapes = [Box(((row.base, lane - 0.2), (row.value, lane + 0.2)), "bar")]
    if row.low is not None and row.high is not None:
        ends = [Line(((end, lane - 0.1), (end, lane + 0.1)), "whisker") for end in (row.low, row.high)]
        shapes = [*shapes, Line(((row.low, lane), (row.high, lane)), "whisker"), *ends]
    # Equal values of several seeds would hide each other on one line.
    step = min(0.07, 0.28 / max(len(row.dots), 1))
    lanes = [lane + step * (place - (len(row.dots) - 1) / 2) for place in range(len(row.dots))]
    dots = [
        Mark((Dot(((value, at),), "seed"),), tip, row.tone) for (value, tip), at in zip(row.dots, lanes, strict=True)
    ]
    return [Mark((hit, *texts, *shapes), row.tip, row.tone), *dots]


def score_sheet(report: Report) -> Sheet:
    """Return the scores on each split, the primary one first, and on that one the differences to the reference."""
    panels, differences, compared = [], list[Row](), False
    for split in (item.name for item in ordered_splits(report)):
        scored = [(place, row) for place, item in enumerate(report.variants) if (row := _score_row(item, place, split))]
        if not scored:  # no variant has a score there
            continue
        rule = next((row.value for _, row in scored if row.name == one_line(report.reference)), None)
        panels.append(row_chart(f"{SCORE} on {split} (%)", [row for _, row in scored], rule=rule))
        if split == report.primary:
            differences = [_difference_row(report, place, split) for place, _ in scored]
            if compared := any(row.dots for row in differences):
                title = f"Difference to {one_line(report.reference)} on {split} (points)"
                panels.append(row_chart(title, differences, rule=0.0, margin=100 * report.margin))
    note = DOUBT if any(row.note.endswith("?") for row in differences) else ""
    return Sheet(tuple(panels), _score_keys(report, compared=compared), note)


def _score_keys(report: Report, *, compared: bool) -> tuple[Key, ...]:
    keys = [
        Key("one seed", Dot(((14, 6),), "seed")),
        Key("mean over seeds", Line(((14, 0), (14, 12)), "mean")),
        Key(shorten(report.reference), Line(((0, 6), (28, 6)), "rule")),
    ]
    if compared:
        keys.append(Key("95 % interval of the difference", Line(((0, 6), (28, 6)), "whisker")))
        keys.append(Key(f"margin of ±{100 * report.margin:g} points", Box(((0, 0), (28, 12)), "margin")))
    return tuple(keys)


def _score_row(variant: VariantSummary, place: int, split: str) -> Row | None:
    estimate = variant.scores.get(split, {}).get(SCORE)
    if estimate is None or estimate.mean is None:
        return None
    name = one_line(variant.name)
    dots = tuple(
        (100 * value, f"{name}, seed {seed}: {SCORE} on {split}\n{decimal(100 * value, 3)} %")
        for seed, value in zip(estimate.seeds, estimate.values, strict=True)
    )
    tip = estimate_tip(name, SCORE, split, estimate)
    return Row(name, mean_sd(estimate), place, 100 * estimate.mean, tip, dots=dots)


def _difference_row(report: Report, place: int, split: str) -> Row:
    variant = report.variants[place]
    name = one_line(variant.name)
    claim = headline(report, variant.name, report.reference, split)
    if claim is None:
        return Row(name, "reference" if variant.name == report.reference else "not compared", place)
    dots = tuple(
        (100 * value, f"{name} minus {one_line(claim.against)}, seed {seed}\n{decimal(100 * value, 3)} points")
        for seed, value in zip(claim.seeds, claim.by_seed, strict=True)
    )
    low, high = (None if value is None else 100 * value for value in (claim.low, claim.high))
    note = f"{points(claim.delta)}  {WORDS[claim.outcome]}{'?' if is_doubted(claim) else ''}"
    return Row(name, note, place, 100 * claim.delta, claim_tip(claim), low, high, dots=dots)


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
        rows.append(_part_row(share.name, share, GAIN if share.delta >= 0 else LOSS, base=reached))
        reached += share.delta
    return rows if item.total is None else [*rows, _part_row("all together", item.total, None, base=0.0)]


def _surroundings(item: FamilyAttribution) -> list[Row]:
    rows = []
    for bracket in item.brackets:
        rows.append(_part_row(bracket.name, bracket.few, 0, note="fewest others"))
        if bracket.interaction:
            rows.append(_part_row(bracket.name, bracket.many, 1, note="most others"))
    return rows


def _part_row(name: str, found: Part, tone: int | None, *, note: str = "", base: float | None = None) -> Row:
    value, low, high = (None if v is None else 100 * (v + (base or 0.0)) for v in (found.delta, found.low, found.high))
    start = None if base is None else 100 * base
    *exact, behind = part_tip(found, unsigned)
    exact += [] if found.p_adjusted is None else [f"p = {found.p_adjusted:.4g}, adjusted"]
    tip = "\n".join([f"{one_line(name)} {note}".rstrip(), *exact, behind])
    return Row(one_line(name), f"{points(found.delta)}  {note}".rstrip(), tone, value, tip, low, high, start)
