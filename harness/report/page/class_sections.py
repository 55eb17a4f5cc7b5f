"""The tables of `report.md` that have a line for each class."""

from __future__ import annotations

from harness.report.page.many_classes import MOST_CLASSES, extremes, mean_known, tell_left_out
from harness.report.page.sentences import bounds, class_sentences, outcome_word
from harness.report.page.text import NOTHING, difference, escape, mean_sd, percent, points, table
from harness.report.study.claims import Claim
from harness.report.study.file_names import has_scores
from harness.report.study.record import Estimate, Report, VariantSummary

CLASS_TABLE, DELTA_TABLE = "tables/iou_class.csv", "tables/differences.csv"


def class_table(report: Report, split: str) -> str:
    """Return IoU by class and variant, mean ± sd, beside the class's share of the true pixels."""
    variants = [variant for variant in report.variants if has_scores(variant)]
    header = ["class", "share of pixels (%)", *(escape(variant.name) for variant in variants)]
    by_name = {item.name: item for item in report.classes}
    rows = [
        [
            escape(item.name),
            percent(item.truth[split].share, 2) if split in item.truth else NOTHING,
            *(mean_sd(_class_estimate(variant, split, item.name)) for variant in variants),
        ]
        for item in map(by_name.__getitem__, extremes(_iou_by_class(report, split)))
    ]
    return table(header, rows)


def classes_left_out(report: Report, split: str) -> str:
    """Return which classes `class_table` shows, and where the others are; nothing where it shows all."""
    found = _iou_by_class(report, split)
    return tell_left_out(len(extremes(found)), len(found), "mean IoU", CLASS_TABLE)


def deltas_left_out(report: Report, split: str) -> str:
    """Return which classes `class_delta_table` shows, and where the others are; nothing where it shows all."""
    found = changes_by_class(report, split)
    return tell_left_out(len(extremes(found)), len(found), "mean difference", DELTA_TABLE)


def _iou_by_class(report: Report, split: str) -> dict[str, float | None]:
    found = {item.name: [_class_estimate(v, split, item.name) for v in report.variants] for item in report.classes}
    return {name: mean_known([item.mean for item in of_class if item]) for name, of_class in found.items()}


def _class_estimate(variant: VariantSummary, split: str, name: str) -> Estimate | None:
    return variant.iou_class.get(split, {}).get(name)


def class_delta_table(report: Report, split: str) -> str:
    """Return the difference of IoU by class and variant in points, in bold where the class table calls it."""
    deltas = [variant for variant in report.variants if variant.delta]
    claims = {
        (item.variant, claim.measure): claim
        for item in report.comparisons
        if item.split == split and item.against == report.reference
        for claim in item.classes
    }
    rows = [
        [escape(name), *(_class_cell(claims.get((variant.name, name)), variant, split, name) for variant in deltas)]
        for name in extremes(changes_by_class(report, split))
    ]
    return table(["class", *(escape(variant.name) for variant in deltas)], rows)


def changes_by_class(report: Report, split: str) -> dict[str, float | None]:
    """Return class -> mean over variants of its IoU's difference to the reference."""
    deltas = [variant.delta.iou_class.get(split, {}) for variant in report.variants if variant.delta]
    names = dict.fromkeys(name for by_class in deltas for name in by_class)
    return {name: mean_known([by_class[name].mean for by_class in deltas if name in by_class]) for name in names}


def _class_cell(claim: Claim | None, variant: VariantSummary, split: str, name: str) -> str:
    if claim is None:
        found = variant.delta.iou_class.get(split, {}).get(name) if variant.delta else None
        return difference(found)
    cell = points(claim.delta) + bounds(claim)
    return f"**{cell} {outcome_word(claim)}**" if claim.outcome not in ("undecided", "not judged") else cell


def absent_classes(report: Report, split: str) -> str:
    """Return the names of classes without a pixel in a split's ground truth, or how many there are, or nothing."""
    names = [item.name for item in report.classes if split not in item.truth or not item.truth[split].pixels]
    if len(names) > MOST_CLASSES:
        return f"{len(names)} of {len(report.classes)} classes, which have no value in `{CLASS_TABLE}`"
    return ", ".join(map(escape, names))


def class_conclusions(report: Report) -> list[str]:
    """Return, for each variant against the reference, the classes that improved or regressed on the primary split."""
    chosen = [item for item in report.comparisons if item.against == report.reference]
    return [f"{line}." for item in chosen for line in class_sentences(item)]
