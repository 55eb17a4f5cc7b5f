"""IoU of each class (rows) by variant (columns), and its difference to the reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from harness.report.figures.grid import Grid, GridSheet
from harness.report.page.cells import SCORE, claim_tip, class_share, estimate_tip, one_line
from harness.report.page.many_classes import extremes, mean_known, tell_left_out
from harness.report.page.model import Cell
from harness.report.page.result_sections import headline, ordered_splits
from harness.report.page.sentences import is_doubted
from harness.report.page.text import NOTHING, percent, points
from harness.report.study.claims import Claim
from harness.report.study.file_names import has_scores
from harness.report.study.record import Delta, Estimate, Report, VariantSummary

FULL_HEAT = 0.10
"""Difference of IoU that is painted with the full colour (fraction)."""
SIGNS = {"improved": " ▲", "regressed": " ▼"}
NOTE = (
    "Colour tells direction and size, in full from 10 points on. ▲ and ▼ mark classes that improved or regressed, the "
    "whole table judged as one family; a cell without a mark is undecided, whatever its colour. "
    "A mark with a question mark was called at an earlier look, and the interval of all seeds no longer says so."
)

Entry = tuple[float | None, str, str]
"""Fraction, text, exact words."""


def iou_sheet(report: Report) -> GridSheet:
    """Return the mean over seeds of each class's IoU."""
    variants = [variant for variant in report.variants if has_scores(variant)]

    def cell(variant: VariantSummary, split: str, name: str) -> Entry:
        return _entry(variant, _measure(name), split, _estimate(variant, split, name), percent)

    return GridSheet(_panels(report, variants, cell), "IoU (%), mean over seeds", head_rows=1)


def delta_sheet(report: Report) -> GridSheet:
    """Return the paired difference of each class's IoU to the reference, marked where it is called."""
    variants, claims = [variant for variant in report.variants if variant.delta], class_claims(report)

    def cell(variant: VariantSummary, split: str, name: str) -> Entry:
        whole = headline(report, variant.name, report.reference, split)
        claim = whole if name == SCORE else claims.get((variant.name, split, name))
        if claim is not None:
            sign = f"{SIGNS.get(claim.outcome, '')}{'?' if is_doubted(claim) else ''}"
            return claim.delta, f"{points(claim.delta)}{sign}", claim_tip(claim)
        what = f"{_measure(name)}, difference to {one_line(variant.compared_with or '')}"
        return _entry(variant, what, split, _estimate(variant.delta, split, name), points)

    panels = _panels(report, variants, cell)
    unit = f"difference of class IoU to {one_line(report.reference)} (points)"
    shown = len(panels[0].rows) - 1 if panels else 0
    left_out = tell_left_out(shown, len(report.classes), "mean difference", "tables/differences.csv")
    note = " ".join([NOTE, left_out]).strip()
    return GridSheet(panels, unit, high=100 * FULL_HEAT, both_ways=True, cell=(0.9, 0.36), head_rows=1, note=note)


def class_claims(report: Report) -> dict[tuple[str, str, str], Claim]:
    """Return (variant, split, class) -> what is claimed about its difference to the reference."""
    chosen = [item for item in report.comparisons if item.against == report.reference]
    return {(item.variant, item.split, claim.measure): claim for item in chosen for claim in item.classes}


def class_estimate(of: VariantSummary | Delta | None, split: str, name: str) -> Estimate | None:
    """Return the IoU of a class on a split, or its difference; None where there is none."""
    return of.iou_class.get(split, {}).get(name) if of else None


def _estimate(of: VariantSummary | Delta | None, split: str, name: str) -> Estimate | None:
    return of.scores.get(split, {}).get(SCORE) if of and name == SCORE else class_estimate(of, split, name)


def _entry(
    variant: VariantSummary, what: str, split: str, found: Estimate | None, write: Callable[[float], str]
) -> Entry:
    if found is None or found.mean is None:
        return None, NOTHING, ""
    return found.mean, write(found.mean), estimate_tip(one_line(variant.name), what, split, found)


def _measure(name: str) -> str:
    return SCORE if name == SCORE else f"IoU of {one_line(name)}"


def _panels(
    report: Report, variants: Sequence[VariantSummary], cell: Callable[[VariantSummary, str, str], Entry]
) -> tuple[Grid, ...]:
    """Return a panel for each split, the primary one first; of too many classes all show those chosen on that one."""
    if not variants:
        return ()
    splits = [split.name for split in ordered_splits(report)]
    means = {
        item.name: mean_known([cell(variant, split, item.name)[0] for variant in variants for split in splits[:1]])
        for item in report.classes
    }
    shown, by_name = extremes(means), {item.name: item for item in report.classes}
    panels = []
    for split in splits:
        cells = [[cell(variant, split, name) for variant in variants] for name in (SCORE, *shown)]
        shares = [class_share(by_name[name], split) for name in shown]
        values = [[np.nan if value is None else 100 * value for value, _, _ in row] for row in cells]
        panels.append(
            Grid(
                split,
                np.array(values, dtype=float).reshape(len(cells), len(variants)),
                (SCORE, *map(one_line, shown)),
                tuple(one_line(variant.name) for variant in variants),
                tuple(tuple(text for _, text, _ in row) for row in cells),
                tuple(tuple(tip for _, _, tip in row) for row in cells),
                (Cell(NOTHING), *shares),
            )
        )
    return tuple(panels)
