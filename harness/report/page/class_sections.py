"""The classes of a study: IoU of each class, and what each variant changed about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from harness.report.figures.charts import chart_figures
from harness.report.figures.classes import FULL_HEAT
from harness.report.page import cells
from harness.report.page.many_classes import MOST_CLASSES, extremes, mean_known, tell_left_out
from harness.report.page.model import Block, Cell, Details, Heading, Row, Table, Text, make_table
from harness.report.page.result_sections import is_compared, ordered_splits
from harness.report.page.sentences import bounds, class_sentences, outcome_word
from harness.report.page.text import NOTHING, difference, escape, points
from harness.report.page.tooltips import claim_tip, one_line
from harness.report.study.claims import Claim
from harness.report.study.file_names import has_scores
from harness.report.study.record import Estimate, Report, VariantSummary

CLASS_TABLE, DELTA_TABLE = "tables/iou_class.csv", "tables/differences.csv"
Tell = Callable[[Claim | None, Estimate | None], str]
"""How a difference is written: as a claim where there is one, or its mean over seeds."""


def class_section(report: Report) -> Iterator[Block]:
    """Yield figures and tables of the classes, the primary split first."""
    if report.splits:
        yield Heading("Classes")
    yield from chart_figures(report, "Classes")
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
            yield Details(told, (class_delta_table(report, split), *_told(_deltas_left_out(report, split))))


def _told(text: str) -> list[Text]:
    return [Text(text)] if text else []


def _class_blocks(report: Report, split: str) -> Iterator[Block]:
    yield class_table(report, split)
    found = _iou_by_class(report, split)
    yield from _told(tell_left_out(len(extremes(found)), len(found), "mean IoU", CLASS_TABLE))
    if absent := _absent_classes(report, split):
        yield Text(f"Not in the ground truth of {escape(split)}, so listed and not averaged: {absent}.")


def class_table(report: Report, split: str) -> Table:
    """Return IoU by class and variant, mean ± sd, beside the class's share of the true pixels."""
    variants = [variant for variant in report.variants if has_scores(variant)]
    by_name = {item.name: item for item in report.classes}
    rows: list[Row] = [
        [
            escape(item.name),
            cells.class_share(item, split),
            *(_iou_cell(variant, split, item.name) for variant in variants),
        ]
        for item in map(by_name.__getitem__, extremes(_iou_by_class(report, split)))
    ]
    return make_table(["class", "share of pixels (%)", *(escape(variant.name) for variant in variants)], rows)


def _iou_cell(variant: VariantSummary, split: str, name: str) -> Cell:
    found = _class_estimate(variant, split, name)
    cell = cells.score(variant.name, f"IoU of {one_line(name)}", split, found)
    return cell if found is None or found.mean is None else replace(cell, tone="rise", heat=found.mean)


def _deltas_left_out(report: Report, split: str) -> str:
    """Return which classes `class_delta_table` shows, and where the others are; nothing where it shows all."""
    found = changes_by_class(report, split)
    return tell_left_out(len(extremes(found)), len(found), "mean difference", DELTA_TABLE)


def _iou_by_class(report: Report, split: str) -> dict[str, float | None]:
    found = {item.name: [_class_estimate(v, split, item.name) for v in report.variants] for item in report.classes}
    return {name: mean_known([item.mean for item in of_class if item]) for name, of_class in found.items()}


def _class_estimate(variant: VariantSummary, split: str, name: str) -> Estimate | None:
    return variant.iou_class.get(split, {}).get(name)


def changes_by_class(report: Report, split: str) -> dict[str, float | None]:
    """Return class -> mean over variants of its IoU's difference to the reference."""
    deltas = [variant.delta.iou_class.get(split, {}) for variant in report.variants if variant.delta]
    names = dict.fromkeys(name for by_class in deltas for name in by_class)
    return {name: mean_known([by_class[name].mean for by_class in deltas if name in by_class]) for name in names}


def class_delta_table(report: Report, split: str) -> Table:
    """Return the difference of IoU by class and variant in points, in bold where the class table calls it."""

    def tell(claim: Claim | None, found: Estimate | None) -> str:
        if claim is None:
            return difference(found)
        cell = points(claim.delta) + bounds(claim)
        return f"**{cell} {outcome_word(claim)}**" if claim.outcome not in ("undecided", "not judged") else cell

    names = extremes(changes_by_class(report, split))
    rows: list[Row] = [
        [escape(name), *row] for name, row in zip(names, _changes(report, split, names, tell), strict=True)
    ]
    return make_table(["class", *(escape(variant.name) for variant in report.variants if variant.delta)], rows)


def _changes(report: Report, split: str, names: Sequence[str], tell: Tell) -> Iterator[list[Cell]]:
    """Yield, for each class, the difference of its IoU to the reference in each variant."""
    chosen = [item for item in report.comparisons if (item.split, item.against) == (split, report.reference)]
    claims = {(item.variant, claim.measure): claim for item in chosen for claim in item.classes}
    variants = [variant for variant in report.variants if variant.delta]
    for name in names:
        yield [_change(variant, split, name, claims.get((variant.name, name)), tell) for variant in variants]


def _change(variant: VariantSummary, split: str, name: str, claim: Claim | None, tell: Tell) -> Cell:
    found = variant.delta.iou_class.get(split, {}).get(name) if variant.delta else None
    value = claim.delta if claim else found.mean if found else None
    if value is None:
        return Cell(NOTHING)
    what = f"IoU of {one_line(name)}, difference to {one_line(variant.compared_with or '')}"
    told = claim_tip(claim) if claim else cells.score(variant.name, what, split, found).exact
    return Cell(tell(claim, found), told, "gain" if value > 0 else "loss", min(abs(value) / FULL_HEAT, 1.0))


def _absent_classes(report: Report, split: str) -> str:
    """Return the names of classes without a pixel in a split's ground truth, or how many there are, or nothing."""
    names = [item.name for item in report.classes if split not in item.truth or not item.truth[split].pixels]
    if len(names) > MOST_CLASSES:
        return f"{len(names)} of {len(report.classes)} classes, which have no value in `{CLASS_TABLE}`"
    return ", ".join(map(escape, names))


def class_conclusions(report: Report) -> list[str]:
    """Return, for each variant against the reference, the classes that improved or regressed on the primary split."""
    chosen = [item for item in report.comparisons if item.against == report.reference]
    return [f"{line}." for item in chosen for line in class_sentences(item)]
