"""The exact values behind the rounded ones: what cells and dots tell when they are pointed at or focused."""

from __future__ import annotations

from harness.report.page.sentences import doubt, is_doubted
from harness.report.page.text import counted, decimal
from harness.report.study.claims import Claim
from harness.report.study.record import Estimate
from harness.stats.verdicts import CORRECTION

SCORE = "miou_dataset"


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
    lines.append(f"{signed(claim.delta)} points: {claim.outcome}{f' ({claim.reason})' if claim.reason else ''}")
    if claim.called is not None:
        lines.append(f"called with {counted(len(claim.called.seeds), 'seed')}: {signed(claim.called.delta)} points")
        lines += [f"but {doubt(claim)}"] if is_doubted(claim) else []
    of_margin = float(f"{100 * claim.margin_level:.2f}")
    for level, low, high in ((95, claim.low, claim.high), (of_margin, claim.low_margin, claim.high_margin)):
        if low is not None and high is not None:
            lines.append(f"{level:g} % interval {signed(low)} to {signed(high)}")
    if claim.p is not None:
        adjusted = (
            "" if claim.p_adjusted is None else f"; {claim.p_adjusted:.4g} after {CORRECTION.title} over {claim.family}"
        )
        lines.append(f"p = {claim.p:.4g}{adjusted}")
    singles = ", ".join(f"{seed}: {signed(value)}" for seed, value in zip(claim.seeds, claim.by_seed, strict=True))
    lines.append(f"seed {singles}")
    lines.append(f"{counted(claim.groups, 'image group')}, {counted(claim.images, 'image')}")
    lines.append(f"speaks for {claim.scope}")
    return "\n".join(lines)


def signed(fraction: float) -> str:
    """Return a difference in points with three decimals and its sign."""
    return ("+" if fraction >= 0 else "") + decimal(100 * fraction, 3)


def one_line(text: str) -> str:
    """Return a name as tables show it."""
    return " ".join(text.split())
