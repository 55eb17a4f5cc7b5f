"""Numbers rounded for the eye, and the exact values behind them, which cells and dots tell when pointed at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from harness.report.page.model import Cell, Tone
from harness.report.page.sentences import doubt, is_doubted
from harness.report.page.text import NOTHING, counted, decimal, mean_sd, percent
from harness.report.study.claims import Claim, Part
from harness.report.study.record import ClassSummary, Estimate
from harness.stats.verdicts import CORRECTION

SCORE = "miou_dataset"
TONES: Mapping[str, Tone] = {"improved": "gain", "regressed": "loss", "equivalent": "same", "undecided": "open"}
"""Verdict -> how it is coloured."""


def exact(value: float, unit: str = "") -> str:
    """Return a number with ten digits and its unit."""
    return f"{value:.10g} {unit}".strip().replace("-", "\N{MINUS SIGN}")


def number(text: str, value: float | None, unit: str = "") -> Cell:
    """Return a rounded number."""
    return Cell(text) if value is None else Cell(text, exact(value, unit))


def plain(value: float | None, places: int = 1) -> Cell:
    """Return a number with few decimals."""
    return number(decimal(value, places), value)


def share(value: float | None, places: int = 1) -> Cell:
    """Return a fraction in percent."""
    return number(percent(value, places), None if value is None else 100 * value, "%")


def class_share(item: ClassSummary, split: str) -> Cell:
    """Return a class's share of a split's true pixels."""
    found = item.truth.get(split)
    cell = share(found.share if found else None, 2)
    return replace(cell, exact=f"{cell.exact}: {found.pixels:,} pixels") if found else cell


def by_seed(
    values: Mapping[int, float | None],
    seeds: Sequence[int],
    write: Callable[[float | None], str] = decimal,
    unit: str = "",
) -> Cell:
    """Return the value of each seed, those in percent or points from fractions."""
    factor = 100 if unit else 1
    told = [f"seed {seed}: {exact(factor * value, unit)}" for seed, value in values.items() if value is not None]
    return Cell(", ".join(write(values.get(seed)) for seed in seeds) or NOTHING, "\n".join(told) or None)


def score(
    name: str, what: str, split: str, found: Estimate | None, write: Callable[[Estimate | None], str] = mean_sd
) -> Cell:
    """Return mean and standard deviation of a variant's score or, written as such, of a difference of scores."""
    return Cell(write(found), None if found is None else estimate_tip(one_line(name), what, split, found))


def estimate_tip(name: str, what: str, split: str, estimate: Estimate) -> str:
    """Return mean, standard deviation and every seed's value, in percent with three decimals."""
    if estimate.mean is None:
        return f"{name}: {what} on {split}\nno value: not in the ground truth"
    sd = "" if estimate.sd is None else f", standard deviation {unsigned(estimate.sd)}"
    singles = [f"seed {seed}: {unsigned(value)}" for seed, value in zip(estimate.seeds, estimate.values, strict=True)]
    mean = f"mean {unsigned(estimate.mean)} %{sd} ({counted(len(singles), 'seed')})"
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
    behind = f"{counted(claim.groups, 'image group')}, {counted(claim.images, 'image')}"
    return "\n".join([*lines, f"seed {singles}", behind, f"speaks for {claim.scope}"])


def part_tip(part: Part, write: Callable[[float], str]) -> list[str]:
    """Return the lines that tell a part of a difference: it, its interval where there is one, and what is behind it.

    `write` is `signed`, or `unsigned` where a bar shows the direction.
    """
    lines = [f"{write(part.delta)} points"]
    if part.low is not None and part.high is not None:
        lines.append(f"95 % interval {write(part.low)} to {write(part.high)}")
    return [*lines, seeds_and_groups(part)]


def seeds_and_groups(part: Part) -> str:
    """Return the seeds and groups behind a part."""
    return f"{counted(part.seeds, 'seed')}, {counted(part.groups, 'image group')}"


def unsigned(fraction: float) -> str:
    """Return a fraction in percent, or a difference in points, with three decimals."""
    return decimal(100 * fraction, 3)


def signed(fraction: float) -> str:
    """Return a difference in points with three decimals and its sign."""
    return ("+" if fraction >= 0 else "") + unsigned(fraction)


def one_line(text: str) -> str:
    """Return a name as tables show it."""
    return " ".join(text.split())
