"""The classes of a study: IoU of each class, and what each variant changed about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness.report.figures.classes import FULL_HEAT, class_claims, class_estimate
from harness.report.page import cells
from harness.report.page.many_classes import MOST_CLASSES, extremes, mean_known, tell_left_out
from harness.report.page.model import Block, Cell, Details, Figure, Heading, Row, Text, make_table
from harness.report.page.result_sections import is_compared, ordered_splits
from harness.report.page.sentences import bounds, caveat, decided, outcome_word
from harness.report.page.text import NOTHING, difference, escape, points
from harness.report.study.claims import Claim
from harness.report.study.file_names import has_scores
from harness.report.study.record import Report, VariantSummary

CLASS_TABLE, DELTA_TABLE = "tables/iou_class.csv", "tables/differences.csv"


def class_section(report: Report, charts: Sequence[Figure]) -> Iterator[Block]:
    """Yield figures and tables of the classes, the primary split first."""
    if report.splits:
        yield Heading("Classes")
    yield from charts
    for place, split in enumerate(item.name for item in ordered_splits(report)):
        blocks = tuple(_class_blocks(report, split))
        if place == 0:
            yield Heading(f"IoU of each class on {escape(split)}", level=3)
            yield Text("Percent, mean ± standard deviation over seeds.")
            yield from blocks
        else:
            yield Details(f"The same on {escape(split)}", blocks)
        if is_compared(report):
            told = f"Differences to {escape(report.reference)} on {escape(split)}, in points with 95 % intervals"
            told += ", in bold where the table calls a change" if split == report.primary else ""
            yield Details(told, tuple(_delta_blocks(report, split)))


def _class_blocks(report: Report, split: str) -> Iterator[Block]:
    """Yield IoU by class and variant, mean ± sd, beside the class's share of the true pixels, and what is left out."""
    variants = [variant for variant in report.variants if has_scores(variant)]
    by_name = {item.name: item for item in report.classes}
    found = {name: [class_estimate(variant, split, name) for variant in report.variants] for name in by_name}
    means = {name: mean_known([item.mean for item in of_class if item]) for name, of_class in found.items()}
    rows: list[Row] = []
    for name in extremes(means):
        scores = (_iou_cell(variant, split, name) for variant in variants)
        rows.append([escape(name), cells.class_share(by_name[name], split), *scores])
    yield make_table(["class", "share of pixels (%)", *(escape(variant.name) for variant in variants)], rows)
    if left_out := tell_left_out(len(rows), len(means), "mean IoU", CLASS_TABLE):
        yield Text(left_out)
    if absent := _absent_classes(report, split):
        yield Text(f"Not in the ground truth of {escape(split)}, so listed and not averaged: {absent}.")


def _iou_cell(variant: VariantSummary, split: str, name: str) -> Cell:
    found = class_estimate(variant, split, name)
    cell = cells.score(variant.name, f"IoU of {cells.one_line(name)}", split, found)
    return cell if found is None or found.mean is None else replace(cell, tone="rise", heat=found.mean)


def _delta_blocks(report: Report, split: str) -> Iterator[Block]:
    """Yield each class's difference to the reference, in bold where it is called; the lowest means over variants first.

    Of too many classes, those with the lowest and the highest means are shown.
    """
    variants, claims = [variant for variant in report.variants if variant.delta], class_claims(report)
    names = dict.fromkeys(name for item in variants if item.delta for name in item.delta.iou_class.get(split, {}))
    found = {name: [class_estimate(variant.delta, split, name) for variant in variants] for name in names}
    means = {name: mean_known([item.mean for item in of_class if item]) for name, of_class in found.items()}
    rows: list[Row] = [
        [escape(name), *(_change(item, split, name, claims.get((item.name, split, name))) for item in variants)]
        for name in extremes(means)
    ]
    yield make_table(["class", *(escape(variant.name) for variant in variants)], rows)
    if left_out := tell_left_out(len(rows), len(means), "mean difference", DELTA_TABLE):
        yield Text(left_out)


def _change(variant: VariantSummary, split: str, name: str, claim: Claim | None) -> Cell:
    found = class_estimate(variant.delta, split, name)
    value = claim.delta if claim else found.mean if found else None
    if value is None:
        return Cell(NOTHING)
    told: str | None
    if claim:
        told, text = cells.claim_tip(claim), points(claim.delta) + bounds(claim)
        text = text if claim.outcome in ("undecided", "not judged") else f"**{text} {outcome_word(claim)}**"
    else:
        what = f"IoU of {cells.one_line(name)}, difference to {cells.one_line(variant.compared_with or '')}"
        told, text = cells.score(variant.name, what, split, found).exact, difference(found)
    return Cell(text, told, "gain" if value > 0 else "loss", min(abs(value) / FULL_HEAT, 1.0))


def _absent_classes(report: Report, split: str) -> str:
    """Return the names of classes without a pixel in a split's ground truth, or how many there are, or nothing."""
    names = [item.name for item in report.classes if split not in item.truth or not item.truth[split].pixels]
    if len(names) > MOST_CLASSES:
        return f"{len(names)} of {len(report.classes)} classes, which have no value in `{CLASS_TABLE}`"
    return ", ".join(map(escape, names))


def class_conclusions(report: Report) -> list[str]:
    """Return, for each variant against the reference, the classes that improved or regressed on the primary split."""
    found = []
    for item in report.comparisons:
        for outcome in ("improved", "regressed"):
            claims = decided(item.classes, outcome) if item.against == report.reference else []
            names = ", ".join(f"{escape(claim.measure)} {points(claim.delta)}{caveat(claim)}" for claim in claims)
            found += [f"{escape(item.variant)} against {escape(item.against)}: {outcome} {names}."] if names else []
    return found
