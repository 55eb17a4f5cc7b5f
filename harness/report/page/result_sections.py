"""The table of results: the headline score of each variant, its difference, its verdict."""

from __future__ import annotations

from dataclasses import replace

from harness.report.page import cells
from harness.report.page.model import Cell, Row, Table, make_table
from harness.report.page.sentences import bounds, outcome_word
from harness.report.page.text import NOTHING, escape, percent, points
from harness.report.study.claims import Claim
from harness.report.study.record import Report, SplitSummary, VariantSummary


def ordered_splits(report: Report) -> list[SplitSummary]:
    """Return the splits, the primary one first."""
    return sorted(report.splits, key=lambda split: split.name != report.primary)


def is_compared(report: Report) -> bool:
    """Tell whether there are differences between variants."""
    return any(variant.delta for variant in report.variants)


def results_table(report: Report) -> Table:
    """Return miou_dataset by variant, and its difference to the reference.

    Of the primary split with every single value and the verdict; of the others beside it, with intervals alone.
    """
    splits = [split.name for split in ordered_splits(report)]
    header = ["variant", "starts from", "seeds"]
    for split in splits:
        each = [f"each seed ({', '.join(map(str, report.seeds))})"] if split == report.primary else []
        header += [f"{escape(split)}: mean ± sd", *each]
        if is_compared(report):
            header.append(f"{escape(split)}: difference to {escape(report.reference)} (95 % interval)")
            header += [*each, "verdict"] if each else []
    rows: list[Row] = []
    for variant in report.variants:
        finished = sum(cells.SCORE in seed.scores.get(splits[0], {}) for seed in variant.seeds)
        row = [row_name(report, variant), escape(variant.starts_from or "") or NOTHING]
        of_splits = (cell for split in splits for cell in _result_cells(report, variant, split))
        rows.append([*row, f"{finished} of {len(variant.seeds)}", *of_splits])
    return make_table(header, rows, numeric_from=2)


def _result_cells(report: Report, variant: VariantSummary, split: str) -> list[Cell]:
    is_primary = split == report.primary
    mean = cells.score(variant.name, cells.SCORE, split, variant.scores.get(split, {}).get(cells.SCORE))
    found = [replace(mean, text=f"**{mean.text}**") if is_primary and mean.text != NOTHING else mean]
    if is_primary:
        values = {seed.seed: seed.scores.get(split, {}).get(cells.SCORE) for seed in variant.seeds}
        found.append(cells.by_seed(values, report.seeds, percent, "%"))
    if is_compared(report):
        found += _difference_cells(report, variant, split)[: 3 if is_primary else 1]
    return found


def row_name(report: Report, variant: VariantSummary) -> str:
    """Return how a variant is called in the first column."""
    return escape(variant.name) + (" (reference)" if variant.name == report.reference else "")


def _difference_cells(report: Report, variant: VariantSummary, split: str) -> list[Cell]:
    found = variant.delta.scores.get(split, {}).get(cells.SCORE) if variant.delta else None
    if found is None or found.mean is None:
        return [Cell(NOTHING), Cell(NOTHING), Cell("evaluated only" if variant.evaluated_only else NOTHING)]
    singles = cells.by_seed(dict(zip(found.seeds, found.values, strict=True)), report.seeds, points, "points")
    claim = headline(report, variant.name, report.reference, split)
    if claim is None:
        return [cells.number(points(found.mean), 100 * found.mean, "points"), singles, Cell(NOTHING)]
    told = cells.claim_tip(claim)
    verdict = Cell(f"**{outcome_word(claim)}**", told, cells.TONES.get(claim.outcome))
    return [Cell(points(claim.delta) + bounds(claim), told), singles, verdict]


def headline(report: Report, variant: str, against: str, split: str) -> Claim | None:
    """Return the headline claim about two variants; None where none is made."""
    pair = (variant, against, split)
    found = (item for item in report.comparisons if (item.variant, item.against, item.split) == pair)
    return next((item.headline for item in found), None)
