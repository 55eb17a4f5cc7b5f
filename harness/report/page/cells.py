"""Cells of numbers: rounded for the eye, with the exact value behind them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from harness.report.page.model import Cell, Tone
from harness.report.page.text import NOTHING, decimal, mean_sd, percent
from harness.report.page.tooltips import estimate_tip, one_line
from harness.report.study.record import ClassSummary, Estimate

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
