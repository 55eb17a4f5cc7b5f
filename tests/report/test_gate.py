"""The gate: what is shown to be no worse passes, what is worse or cannot be shown does not."""

import xml.etree.ElementTree as Xml
from dataclasses import replace

import pytest

from harness.errors import InputError
from harness.records import RunResult
from harness.report.gate import make_gate, render_junit, render_summary

DROPS = {"miou_dataset": 0.05, "Sky": 0.05}


def gate_of(study, **changes):
    options = {"baseline": "old", "variants": (), "split": "val", "drops": DROPS} | changes
    return make_gate(study.plan, study.results, **options)


@pytest.fixture
def study(simulate):
    return simulate({"old": 0.7, "better": 0.75, "worse": 0.55}, seeds=(0, 1, 2, 3))


def test_better_passes_and_worse_fails(study):
    passed = {(check.variant, check.measure): check.passed for check in gate_of(study).checks}
    assert passed == {
        ("better", "miou_dataset"): True,
        ("better", "Sky"): True,
        ("worse", "miou_dataset"): False,
        ("worse", "Sky"): False,
    }
    assert not gate_of(study).passed
    assert gate_of(study, variants=("better",)).passed


def test_the_bound_and_not_the_difference_decides(study):
    (check,) = gate_of(study, variants=("better",), drops={"miou_dataset": 0.0}).checks
    assert check.delta > check.lowest
    (tight,) = gate_of(study, variants=("worse",), drops={"miou_dataset": -check.lowest}).checks
    assert not tight.passed


def test_one_seed_shows_nothing_and_fails(simulate):
    gate = gate_of(simulate({"old": 0.5, "better": 0.9}, seeds=(0,)))
    assert not gate.passed
    assert "too few to say anything about new seeds and images" in gate.checks[0].told


def test_missing_results_fail(study):
    results = {
        run.id: RunResult(run.id, "failed", "x") if run.variant == "better" else study.results[run.id]
        for run in study.plan.runs
    }
    gate = gate_of(replace(study, results=results), variants=("better",))
    assert [check.told for check in gate.checks] == ["no finished runs that could be compared with the baseline"] * 2


def test_junit_and_summary(study):
    gate = gate_of(study)
    suite = Xml.fromstring(render_junit(gate).encode())
    assert (suite.get("tests"), suite.get("failures")) == ("4", "2")
    assert [len(case.findall("failure")) for case in suite] == [0, 0, 1, 1]
    text = render_summary(gate)
    assert text.startswith("# Gate of phase3: failed: 2 of 4 checks\n")
    assert "| **failed** | worse | old | val | `miou_dataset` | 5.0 |" in text


def test_wrong_names(study):
    with pytest.raises(InputError, match="no variant 'beter'; did you mean 'better'"):
        gate_of(study, variants=("beter",))
    with pytest.raises(InputError, match="--class Skye: val has no such class; did you mean 'Sky'"):
        gate_of(study, drops={"Skye": 0.1})
