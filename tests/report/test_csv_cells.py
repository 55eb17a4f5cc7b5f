"""No table of ours holds a cell that a spreadsheet would run, and every number comes back as it was."""

import csv
import io
import math
import re
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from harness.report.page.csv_tables import FORMULA, csv_text, make_tables
from harness.report.study.summary import summarise
from harness.spec.tuning import Trial
from harness.tune.record import TunedVariant, TuningRecord
from harness.tune.report import _trials_csv

HARNESS = Path(__file__).parents[2] / "harness"
BEGINS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
STARTS = st.sampled_from([*BEGINS, '"', "'", " ", ",", ""])
CELLS = st.one_of(st.builds(str.__add__, STARTS, st.text(max_size=9)), st.integers(), st.floats(), st.none())


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


@given(st.lists(CELLS, min_size=1, max_size=4), st.lists(st.text(max_size=5), min_size=1, max_size=3))
def test_text_never_begins_like_a_formula_and_numbers_come_back(row, header):
    assert set(FORMULA) == set(BEGINS)
    above, below = read(csv_text([*header, "end"], [[*row, "end"]]))
    for given_cell, cell in zip([*header, *row], [*above[:-1], *below[:-1]], strict=True):
        if isinstance(given_cell, str):
            assert not cell.startswith(BEGINS)
            assert cell.removeprefix("'") == given_cell.removeprefix("'")
        elif given_cell is None or not math.isfinite(given_cell):
            assert cell == ""
        else:
            assert type(given_cell)(cell) == given_cell


NAMES = ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1+1", "-5"]


def test_the_tables_of_a_report_are_safe_whatever_classes_variants_and_settings_are_called(simulate):
    colours = {name: (10 * place, 0, 0) for place, name in enumerate([*NAMES, "g", "h", "i", "Sky"])}
    made = simulate({"baseline": 0.7, "=HYPERLINK(1)": 0.75, "-third": 0.72}, (0, 1), colours=colours)
    runs = [replace(run, changed={**run.changed, "loss.x": (-0.5, "=1")}) for run in made.plan.runs]
    tables = make_tables(summarise(replace(made.plan, runs=tuple(runs)), made.results), made.results)
    assert len(tables) == 4 + 6
    found = set()
    for text in tables.values():
        for cell in (cell for row in read(text) for cell in row):
            found.add(cell)
            assert is_number(cell) or not cell.startswith(BEGINS), cell
    assert found >= {f"'{name}" for name in NAMES} | {"'=HYPERLINK(1)", "-0.5", '"=1"'}
    assert "-5" not in found


def test_the_table_of_trials_is_safe():
    values = {"optimizer.name": "=1+1", "optimizer.lr": -0.5}
    trial = Trial(number=1, state="failed", values=values, run_id="ab", seconds=1.0, reason="-x")
    knobs = [type("Knob", (), {"key": key}) for key in values]
    variant = TunedVariant.model_construct(name="plain", knobs=knobs, trials=(trial,))
    rows = read(_trials_csv(TuningRecord.model_construct(objectives=("miou_dataset",)), variant))
    assert rows[1] == ["1", "failed", "'=1+1", "-0.5", "", "", "1.0", "ab", "'-x"]


def test_all_tables_go_through_this_door():
    assert not [path for path in HARNESS.rglob("*.py") if re.search(r"^\s*(import|from) csv\b", path.read_text(), re.M)]
