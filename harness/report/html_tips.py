"""The exact values behind the rounded ones: what cells and dots tell when they are pointed at or focused."""

from __future__ import annotations

from collections.abc import Mapping

from harness.report.html_text import Tip, Tips
from harness.report.page import class_sections, result_sections, sections
from harness.report.page.sentences import doubt, is_doubted
from harness.report.page.text import counted, decimal
from harness.report.study.claims import Claim
from harness.report.study.file_names import has_scores
from harness.report.study.record import Estimate, Report, VariantSummary
from harness.scores import SCORES

SCORE = "miou_dataset"
MARKS = {"improved": "gain", "regressed": "loss", "equivalent": "same", "undecided": "open"}
FULL_HEAT = 0.10
"""Difference of IoU that is painted with the full colour (fraction)."""


def tips_by_table(report: Report) -> dict[str, Tips]:
    """Return the Markdown of each table with rounded scores -> the exact values for its cells."""
    found: dict[str, Tips] = {}
    if report.splits:
        tips = [_result_tips(report, split.name) for split in report.splits]
        found[result_sections.results_table(report)] = {
            place: tip for of_split in tips for place, tip in of_split.items()
        }
    for split in (item.name for item in report.splits):
        found[sections.scores_table(report, split)] = _score_tips(report, split)
        found[class_sections.class_table(report, split)] = _class_tips(report, split)
        found[class_sections.class_delta_table(report, split)] = class_delta_tips(report, split)
    return found


def _result_tips(report: Report, split: str) -> Tips:
    tips: dict[tuple[str, str], Tip] = {}
    for variant in report.variants:
        name = one_line(variant.name)
        if estimate := variant.scores.get(split, {}).get(SCORE):
            tips[name, f"{split}: mean ± sd"] = Tip(estimate_tip(name, SCORE, split, estimate))
        if claim := result_sections.headline(report, variant.name, report.reference, split):
            text = claim_tip(claim)
            tips[name, f"{split}: difference to {one_line(report.reference)} (95 % interval)"] = Tip(text)
            if split == report.primary:
                tips[name, "verdict"] = Tip(text, f"verdict {MARKS[claim.outcome]}")
    return tips


def _score_tips(report: Report, split: str) -> Tips:
    return {
        (one_line(variant.name), score): Tip(estimate_tip(one_line(variant.name), score, split, estimate))
        for variant in report.variants
        for score in SCORES
        if (estimate := variant.scores.get(split, {}).get(score))
    }


def _class_tips(report: Report, split: str) -> Tips:
    return {
        (one_line(item.name), one_line(variant.name)): Tip(
            estimate_tip(one_line(variant.name), f"IoU of {one_line(item.name)}", split, estimate),
            "" if estimate.mean is None else "rise",
            estimate.mean,
        )
        for variant in report.variants
        if has_scores(variant)
        for item in report.classes
        if (estimate := variant.iou_class.get(split, {}).get(item.name))
    }


def class_delta_tips(report: Report, split: str) -> Tips:
    """Return (class, variant) -> the claim about the class's IoU against the reference."""
    claims = class_claims(report, split)
    return {
        (one_line(name), one_line(variant.name)): _delta_tip(claims.get((variant.name, name)), variant, split, name)
        for variant in report.variants
        if variant.delta
        for name in variant.delta.iou_class.get(split, {})
    }


def class_claims(report: Report, split: str) -> Mapping[tuple[str, str], Claim]:
    """Return (variant, class) -> claim against the reference."""
    chosen = [item for item in report.comparisons if item.split == split and item.against == report.reference]
    return {(item.variant, claim.measure): claim for item in chosen for claim in item.classes}


def _delta_tip(claim: Claim | None, variant: VariantSummary, split: str, name: str) -> Tip:
    found = variant.delta.iou_class[split][name] if variant.delta else None
    value = claim.delta if claim else (found.mean if found else None)
    if found is None or value is None:
        return Tip()
    what = f"IoU of {one_line(name)}, difference to {one_line(variant.compared_with or '')}"
    text = claim_tip(claim) if claim else estimate_tip(one_line(variant.name), what, split, found)
    return Tip(text, "gain" if value > 0 else "loss", min(abs(value) / FULL_HEAT, 1.0))


def estimate_tip(name: str, what: str, split: str, estimate: Estimate) -> str:
    """Return mean, standard deviation and every seed's value, in percent with three decimals."""
    if estimate.mean is None:
        return f"{name}: {what} on {split}\nno value: not in the ground truth"
    sd = "" if estimate.sd is None else f", standard deviation {decimal(100 * estimate.sd, 3)}"
    singles = [f"seed {seed}: {decimal(100 * v, 3)}" for seed, v in zip(estimate.seeds, estimate.values, strict=True)]
    mean = f"mean {decimal(100 * estimate.mean, 3)} %{sd} ({counted(len(singles), 'seed')})"
    return "\n".join([f"{name}: {what} on {split}", mean, *singles])


def claim_tip(claim: Claim) -> str:
    """Return a difference with its intervals, p-values, seeds and groups, in points with three decimals."""
    what = SCORE if claim.measure == SCORE else f"IoU of {one_line(claim.measure)}"
    lines = [f"{one_line(claim.variant)} minus {one_line(claim.against)}: {what} on {claim.split}"]
    lines.append(f"{_signed(claim.delta)} points: {claim.outcome}{f' ({claim.reason})' if claim.reason else ''}")
    if claim.called is not None:
        lines.append(f"called with {counted(len(claim.called.seeds), 'seed')}: {_signed(claim.called.delta)} points")
        lines += [f"but {doubt(claim)}"] if is_doubted(claim) else []
    of_margin = float(f"{100 * claim.margin_level:.2f}")
    for level, low, high in ((95, claim.low, claim.high), (of_margin, claim.low_margin, claim.high_margin)):
        if low is not None and high is not None:
            lines.append(f"{level:g} % interval {_signed(low)} to {_signed(high)}")
    if claim.p is not None:
        adjusted = "" if claim.p_adjusted is None else f"; {claim.p_adjusted:.4g} after Holm over {claim.family}"
        lines.append(f"p = {claim.p:.4g}{adjusted}")
    singles = ", ".join(f"{seed}: {_signed(value)}" for seed, value in zip(claim.seeds, claim.by_seed, strict=True))
    lines.append(f"seed {singles}")
    lines.append(f"{counted(claim.groups, 'image group')}, {counted(claim.images, 'image')}")
    lines.append(f"speaks for {claim.scope}")
    return "\n".join(lines)


def _signed(fraction: float) -> str:
    return ("+" if fraction >= 0 else "") + decimal(100 * fraction, 3)


def one_line(text: str) -> str:
    """Return a name as tables show it."""
    return " ".join(text.split())
