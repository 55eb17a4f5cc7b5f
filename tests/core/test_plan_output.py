"""What `harness plan` prints beside the runs: concerns, most serious first, and combinations that are left out."""

import json
from pathlib import Path

import pytest
from tiny_study import harness_here

PHASE3 = Path(__file__).parents[2] / "ablations" / "phase3.yaml"


def plan(spec, *options, cwd):
    return both_streams(spec, *options, cwd=cwd)[0]


def both_streams(spec, *options, cwd):
    done = harness_here("plan", str(spec), *options, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_phase3_is_told_that_its_four_changes_cannot_be_told_apart(tmp_path):
    out = plan(PHASE3, cwd=tmp_path)
    assert (
        "confounded: phase3 differs from gentle-backbone in 4 components (weights, dice, crop, flips): its delta cannot"
        " be attributed to any one of them\n  -> in phase3 write design: leave_one_out: 4 more variants, 24 runs\n"
    ) in out
    assert out.index("confounded: ") < out.index("budget: ") < out.index("continued: ")
    assert "read it in steps" not in out  # its variants begin with different weights


def test_programs_read_concerns_and_what_is_left_out(tmp_path):
    text = PHASE3.read_text().replace("design: together", "design: one_at_a_time\n    needs: {dice: [weights]}")
    text = text.replace("design: one_at_a_time", "design: [one_at_a_time, leave_one_out]")
    (tmp_path / "study.yaml").write_text(text)
    entry = json.loads(plan("study.yaml", "--only", "phase3", "--seeds", "0,1", "--json", cwd=tmp_path))
    assert entry["left_out"] == [
        "phase3-only-dice is left out: dice needs weights",
        "phase3-no-weights is left out: dice needs weights",
    ]
    assert entry["forecast"] is None
    assert {concern["code"] for concern in entry["concerns"]} == {"confounded", "budget", "continued", "few_seeds"}
    assert entry["concerns"][0].keys() == {"code", "variants", "text", "remedy"}


@pytest.mark.parametrize(
    ("changes", "is_told"),
    [((), False), (("evaluate.select_split=val",), True), (("evaluate.select_split=val", "compare.split=test"), False)],
)
def test_who_did_not_ask_for_verdicts_on_test_is_told_that_they_are_given_there(tmp_path, changes, is_told):
    sets = [word for change in changes for word in ("--set", change)]
    assert ("verdicts will be given on test" in both_streams(PHASE3, *sets, cwd=tmp_path)[1]) == is_told
