"""The tables of probabilities in docs/statistics.md are those of the rows that the calibration printed."""

import re

import pytest
from pages import ROOT

ROWS = [
    tuple(cell.strip() for cell in line.strip("| ").split("|"))
    for line in (ROOT / "benchmarks" / "chance_calibration.md").read_text().splitlines()
    if re.match(r"\| \d", line)
]
"""Seeds, variants, noise and prior first; the true standard deviation stands before the prior where there is one."""
STATEMENTS = [row for row in ROWS if len(row) == 15]
EQUAL = [row for row in ROWS if len(row) == 8]
PAGE = (ROOT / "docs" / "statistics.md").read_text()
FEWEST = 20
"""Statements of which a share is told."""


def share(cells):
    """Return which share of the statements of several cells was true; a dash where they are few."""
    known = [cell.split(" of ") for cell in cells if cell != "-"]
    count = sum(int(number) for _, number in known)
    true = sum(float(part) * int(number) for part, number in known)
    return f"{true / count:.2f}".lstrip("0") if count >= FEWEST else "–"


def pooled(rows, columns):
    """Return the cells of a line: for each column, the share with 5 and with 10 seeds."""
    return " | ".join(
        " / ".join(share([row[column] for row in rows if row[0] == seeds]) for seeds in ("5", "10"))
        for column in columns
    )


def test_every_row_is_there():
    assert len(STATEMENTS) == 3 * 2 * 2 * 7
    assert len(EQUAL) == 2 * 2 * 2 * 4


@pytest.mark.parametrize("noise", ["medium", "large"])
@pytest.mark.parametrize(("sd", "prior"), [(sd, prior) for sd in ("0.5", "1", "2", "4") for prior in sorted({sd, "1"})])
def test_what_is_said_of_the_difference(noise, sd, prior):
    rows = [row for row in STATEMENTS if row[2:5] == (noise, sd, prior)]
    assert f"| {noise} | {sd} | {prior} | {pooled(rows, range(5, 10))} |" in PAGE


@pytest.mark.parametrize("noise", ["medium", "large"])
@pytest.mark.parametrize("variants", ["2", "4"])
def test_what_is_said_of_a_new_seed(noise, variants):
    rows = [row for row in STATEMENTS if row[1:3] == (variants, noise) and row[3] == row[4]]
    assert f"| {variants} | {noise} | {pooled(rows, range(10, 15))} |" in PAGE


def test_what_is_said_with_three_seeds_and_why_it_is_not_printed():
    few, more = (
        [row for row in STATEMENTS if row[:3] == (seeds, "2", "large") and row[3] == row[4] and row[3] in ("1", "2")]
        for seeds in ("3", "5")
    )
    shares = [share([cell for row in rows for cell in row[7:10]]) for rows in (few, more)]
    assert "true in {} of cases with three seeds, in {} with five".format(*shares) in " ".join(PAGE.split())


@pytest.mark.parametrize(
    ("column", "told"),
    [(4, "with the default margin at most"), (5, "without a margin at most"), (6, "of a new seed at most")],
)
def test_equal_variants_are_said_to_differ_in_at_most_5_percent(column, told):
    most = max(float(row[column]) for row in EQUAL)
    assert most < 0.05 + 2 * 0.007
    assert f"{told} {most:.3f}" in " ".join(PAGE.split())
