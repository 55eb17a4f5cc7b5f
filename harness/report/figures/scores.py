"""The headline score of every variant, and its difference to the reference."""

from __future__ import annotations

from harness.report.figures.marks import Box, Dot, Key, Line, Row, Sheet, row_chart, shorten
from harness.report.page.cells import SCORE, claim_tip, estimate_tip, one_line
from harness.report.page.result_sections import headline, ordered_splits
from harness.report.page.sentences import is_doubted
from harness.report.page.text import decimal, mean_sd, points
from harness.report.study.record import Report, VariantSummary

WORDS = {"improved": "▲ improved", "regressed": "▼ regressed", "equivalent": "= equivalent", "undecided": "undecided"}
DOUBT = "A verdict with a question mark was called at an earlier look, and the interval of all seeds no longer says so."


def score_sheet(report: Report) -> Sheet:
    """Return the scores on each split, the primary one first, and on that one the differences to the reference."""
    panels, differences, compared = [], list[Row](), False
    for split in (item.name for item in ordered_splits(report)):
        scored = [(place, row) for place, item in enumerate(report.variants) if (row := _score_row(item, place, split))]
        if not scored:  # no variant has a score there
            continue
        means = {row.name: row.value for _, row in scored}
        rule = means.get(one_line(report.reference))
        panels.append(row_chart(f"{SCORE} on {split} (%)", [row for _, row in scored], rule=rule))
        if split == report.primary:
            differences = [_difference_row(report, place, split) for place, _ in scored]
            if compared := any(row.dots for row in differences):
                title = f"Difference to {one_line(report.reference)} on {split} (points)"
                panels.append(row_chart(title, differences, rule=0.0, margin=100 * report.margin))
    note = DOUBT if any(row.note.endswith("?") for row in differences) else ""
    return Sheet(tuple(panels), _keys(report, compared=compared), note)


def _keys(report: Report, *, compared: bool) -> tuple[Key, ...]:
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
