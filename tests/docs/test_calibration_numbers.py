"""The calibration's rows keep the promise, and the page on statistics shows what they say."""

import math

import pytest
from pages import ROOT

from benchmarks.attribution_calibration import FAMILIES, KINDS
from benchmarks.calibration_digest import DIGESTS, numbers, read_rows, short

ROWS = (ROOT / "benchmarks/calibration.md").read_text()
PAGE = (ROOT / "docs/statistics.md").read_text()
FEW = "Few seeds, few groups, loud references"
COVERED = [
    ("Many worlds", "covers: variants differ (worst of 3)", 300),
    ("Many worlds", "variants equal (worst)", 300),
    (FEW, "covers (worst comparison)", 300),
    ("Chains of warm starts", "covers: child less start (worst)", 600),
    ("Chains of warm starts", "two links and more (worst)", 600),
    *(("Attribution", kind, 200) for kind in KINDS),
]
FALSE = [
    ("Many worlds", "false calls: headline", 300),
    ("Many worlds", "class table", 300),
    (FEW, "false headline: equal, against the truth", 300),
    (FEW, "false class table: equal, against the truth", 300),
    ("Chains of warm starts", "false headline", 600),
    ("Chains of warm starts", "false start -> own training", 600),
    *(("Attribution", f"{family}, Holm", 200) for family in FAMILIES),
]


def errors(share, studies):
    """Return two standard errors of a share."""
    return 2 * math.sqrt(share * (1 - share) / studies)


@pytest.mark.parametrize(("table", "column", "studies"), COVERED)
def test_every_row_covers_at_least_93_percent(table, column, studies):
    found = numbers(read_rows(ROWS, table), column)
    assert len(found) > 30
    assert min(found) >= 0.93 - errors(0.93, studies)


@pytest.mark.parametrize(("table", "column", "studies"), FALSE)
def test_every_row_holds_a_false_call_in_at_most_5_percent(table, column, studies):
    found = numbers(read_rows(ROWS, table), column)
    assert len(found) > 30
    assert max(found) <= 0.05 + errors(0.05, studies)


@pytest.mark.parametrize("digest", DIGESTS, ids=lambda digest: digest.__name__)
def test_the_page_on_statistics_shows_the_rows_in_short(digest):
    assert digest(ROWS) in PAGE


def test_the_page_on_statistics_says_how_attribution_is_covered():
    rows = read_rows(ROWS, "Attribution")
    by_kind = [numbers(rows, kind) for kind in KINDS]
    means = [sum(covered) / len(covered) for covered in by_kind]
    covered = f"{short(min(map(min, by_kind)))} to {short(max(map(max, by_kind)))}"
    assert f"{covered} (200 studies" in PAGE
    assert f"over all rows in {short(min(means))} to {short(max(means))}." in PAGE
    three = [row for row in rows if row["components"] == "3"]
    called = [numbers(three, f"{family}, {how}") for family in FAMILIES for how in ("alone", "Holm")]
    main, main_holm, between, between_holm = (short(sum(shares) / len(shares), 2) for shares in called)
    words = " ".join(PAGE.split())
    assert f"falsely in {main} of studies if each is judged alone and in {main_holm} after Holm" in words
    assert f"some interaction in {between} and {between_holm}." in words


def test_a_first_look_from_five_seeds_on_loses_at_most_five_points():
    lost = [float(row["lost"]) for row in read_rows(ROWS, "First looks") if row["looks"] != "at 3 seeds"]
    assert len(lost) > 20
    assert max(lost) <= 0.05 + 0.01  # the difference of two shares of the same studies: error below .01


def test_numbers_of_several_cells_leave_brackets_out():
    rows = [{"a": "0.950 (0.943)", "b": "0.1, 0.25"}, {"a": "-", "b": "1.000"}]
    assert numbers(rows, "a", "b") == [0.95, 0.1, 0.25, 1.0]
