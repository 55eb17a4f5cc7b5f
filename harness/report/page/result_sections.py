"""The table of results in `report.md`: the headline score of each variant, its difference, its verdict."""

from __future__ import annotations

from harness.report.page.sentences import bounds, outcome_word
from harness.report.page.text import NOTHING, escape, mean_sd, percent, points, table
from harness.report.study.claims import Claim
from harness.report.study.record import Report, SplitSummary, VariantSummary

SCORE = "miou_dataset"


def ordered_splits(report: Report) -> list[SplitSummary]:
    """Return the splits, the primary one first."""
    return sorted(report.splits, key=lambda split: split.name != report.primary)


def results_table(report: Report) -> str:
    """Return miou_dataset by variant, and its difference to the reference.

    Of the primary split with every single value and the verdict; of the others beside it, with intervals alone.
    """
    header = ["variant", "starts from", "seeds"]
    splits = [split.name for split in ordered_splits(report)]
    for split in splits:
        header += _headings(report, split)
    rows = []
    for variant in report.variants:
        finished = sum(SCORE in seed.scores.get(splits[0], {}) for seed in variant.seeds)
        row = [
            row_name(report, variant),
            escape(variant.starts_from or "") or NOTHING,
            f"{finished} of {len(variant.seeds)}",
        ]
        rows.append(row + [cell for split in splits for cell in _result_cells(report, variant, split)])
    return table(header, rows, numeric_from=2)


def mean_heading(split: str) -> str:
    """Return the name of the column of a split's means."""
    return f"{escape(split)}: mean ± sd"


def difference_heading(report: Report, split: str) -> str:
    """Return the name of the column of a split's differences."""
    return f"{escape(split)}: difference to {escape(report.reference)} (95 % interval)"


def _headings(report: Report, split: str) -> list[str]:
    order = ", ".join(map(str, report.seeds))
    is_primary = split == report.primary
    found = [mean_heading(split)] + ([f"each seed ({order})"] if is_primary else [])
    if any(variant.delta for variant in report.variants):
        found.append(difference_heading(report, split))
        found += [f"each seed ({order})", "verdict"] if is_primary else []
    return found


def _result_cells(report: Report, variant: VariantSummary, split: str) -> list[str]:
    is_primary = split == report.primary
    estimate = variant.scores.get(split, {}).get(SCORE)
    values = {seed.seed: seed.scores.get(split, {}).get(SCORE) for seed in variant.seeds}
    mean = mean_sd(estimate)
    cells = [f"**{mean}**" if is_primary and mean != NOTHING else mean]
    cells += [", ".join(percent(values.get(seed)) for seed in report.seeds)] if is_primary else []
    if any(other.delta for other in report.variants):
        differences = _difference_cells(report, variant, split)
        cells += differences if is_primary else differences[:1]
    return cells


def selection(report: Report) -> str:
    """Return on which images the best epoch was chosen, and what that does to the scores on val."""
    if report.epoch == "last":
        return "No score chose the last epoch."
    evaluate = report.setup.get("evaluate")
    if isinstance(evaluate, dict) and evaluate.get("select_split") == "held_out":
        return "Other images of val, on which no score is reported, chose the best epoch."
    return "The same images chose the best epoch, so these scores are a little too high."


def row_name(report: Report, variant: VariantSummary) -> str:
    """Return how a variant is called in the first column."""
    return escape(variant.name) + (" (reference)" if variant.name == report.reference else "")


def _difference_cells(report: Report, variant: VariantSummary, split: str) -> list[str]:
    found = variant.delta.scores.get(split, {}).get(SCORE) if variant.delta else None
    if found is None or found.mean is None:
        return [NOTHING, NOTHING, "evaluated only" if variant.evaluated_only else NOTHING]
    by_seed = dict(zip(found.seeds, found.values, strict=True))
    singles = ", ".join(points(by_seed.get(seed)) for seed in report.seeds)
    claim = headline(report, variant.name, report.reference, split)
    if claim is None:
        return [points(found.mean), singles, NOTHING]
    return [points(claim.delta) + bounds(claim), singles, f"**{outcome_word(claim)}**"]


def headline(report: Report, variant: str, against: str, split: str) -> Claim | None:
    """Return the headline claim about two variants; None where none is made."""
    pair = (variant, against, split)
    found = (item for item in report.comparisons if (item.variant, item.against, item.split) == pair)
    return next((item.headline for item in found), None)
