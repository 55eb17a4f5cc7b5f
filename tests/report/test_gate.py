"""The gate: what is shown to be no worse passes, what is worse or cannot be shown does not."""

import xml.etree.ElementTree as Xml
from dataclasses import replace

import pytest
from scipy import stats

from harness.errors import InputError
from harness.records import RunResult
from harness.report.gate import make_gate, render_junit, render_summary
from harness.report.page.text import percent, points
from harness.report.study.common_labels import merge_counts
from harness.report.study.judge import judge_splits
from harness.report.study.variants import group_runs

DROPS = {"miou_dataset": 0.05, "Sky": 0.05}


def gate_of(study, **changes):
    options = {"baseline": "old", "variants": (), "split": "val", "drops": DROPS} | changes
    return make_gate(study.plan, study.results, **options)


@pytest.fixture(scope="module")
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


def test_the_bound_is_one_sided_and_the_drop_is_as_stated(study):
    effect = (
        judge_splits(group_runs(study.plan, study.results), "old").judged[0].effects["worse", "old"]["miou_dataset"]
    )
    bound = effect.delta - stats.t.ppf(0.95, effect.degrees) * effect.se
    (check,) = gate_of(study, variants=("worse",), drops={"miou_dataset": -bound + 1e-9}).checks
    assert check.lowest == pytest.approx(bound)
    assert check.passed
    (tight,) = gate_of(study, variants=("worse",), drops={"miou_dataset": -bound - 1e-9}).checks
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
    passed = render_summary(gate_of(study, variants=("better",)))
    assert passed.startswith("# Gate of phase3: passed\n\n| ")
    assert "| **failed** | worse | old | val | `miou_dataset` | 5.0 |" in text


def test_a_check_tells_its_numbers(study):
    judged = judge_splits(group_runs(study.plan, study.results), "old").judged[0]
    for check in gate_of(study, variants=("better", "worse")).checks:
        effect = judged.effects[check.variant, "old"][check.measure]
        assert (check.delta, check.lowest, check.max_drop) == (effect.delta, effect.interval(0.9)[0], 0.05)
        difference, lowest, held = points(check.delta), points(check.lowest), "4 seeds, 4 image groups"
        bound = f"may be as low as {lowest} (one-sided 95 % bound; {held})"
        is_beyond = f"lost {percent(-check.delta)} points, more than the allowed drop of 5.0; {bound}"
        may_be = f"difference {difference} points, but it {bound}, beyond the allowed drop of 5.0"
        told = {
            "better": f"difference {difference} points, at least {lowest} with 95 % confidence ({held})",
            "worse": is_beyond if check.delta < -0.05 else may_be,
        }
        assert check.told == told[check.variant]
    head, rule, *rows = [line for line in render_summary(gate_of(study)).splitlines() if line.startswith("|")]
    assert (
        head == "|  | variant | baseline | split | measure | allowed drop | difference | at least (95 %) | in words |"
    )
    assert rule == "|" + " :-- |" * 9
    for row, check in zip(rows, gate_of(study).checks, strict=True):
        cells = f"`{check.measure}` | 5.0 | {points(check.delta)} | {points(check.lowest)} | {check.told} |"
        state = "passed" if check.variant == "better" else "**failed**"
        assert row == f"| {state} | {check.variant} | old | val | {cells}"


def test_a_drop_of_exactly_the_bound_passes(study):
    (check,) = gate_of(study, variants=("worse",), drops={"miou_dataset": 0.5}).checks
    assert gate_of(study, variants=("worse",), drops={"miou_dataset": -check.lowest}).passed


def test_coarser_labels_are_gated_in_the_classes_that_both_have(simulate):
    study = simulate({"old": 0.7, "better": 0.8}, splits=("val",))
    of = (0,) * 9 + (1,)
    ids = [(number, number) for number in range(10)]
    better = {run.id for run in study.plan.runs if run.variant == "better"}
    results = {}
    for id_, result in study.results.items():
        contract = {**result.contract, "taxonomy": "ten", "class_of": ids}
        if id_ in better:
            counts = {"val": merge_counts(result.counts["val"], of, ("land", "sky"))}
            contract |= {"taxonomy": "two", "class_of": [(raw, of[place]) for raw, place in ids]}
            result = replace(result, counts=counts, last_counts={}, colours=result.colours[:2])
        results[id_] = replace(result, contract=contract)
    gate = gate_of(replace(study, results=results), drops={"miou_dataset": 0.05, "land": 0.05})
    assert [(check.measure, check.passed) for check in gate.checks] == [("miou_dataset", True), ("land", True)]


def test_wrong_names(study):
    with pytest.raises(InputError, match="no variant 'beter'; did you mean 'better'"):
        gate_of(study, variants=("beter",))
    with pytest.raises(InputError, match="--class Skye: val has no such class; did you mean 'Sky'"):
        gate_of(study, drops={"Skye": 0.1})


def test_a_class_is_gated_from_as_many_seeds_as_the_report_asks_for(simulate):
    """With two seeds the bound of a class would do, and the report's class table calls nothing."""
    gates = [gate_of(simulate({"old": 0.7, "better": 0.9}, seeds=tuple(range(count)))) for count in (2, 3)]
    told = [{check.measure: check.passed for check in gate.checks} for gate in gates]
    assert told == [{"miou_dataset": True, "Sky": False}, {"miou_dataset": True, "Sky": True}]
    assert gates[0].checks[1].told.endswith("a class is judged from 3 seeds on")
    assert not gates[0].passed


def test_a_run_that_is_not_trained_fails_the_gate_though_the_others_would_pass(study):
    """Three of four seeds are enough for the bound; the fourth diverged, and is not passed over."""
    lost = next(run for run in study.plan.runs if run.label == "better/seed3")
    others = {id_: result for id_, result in study.results.items() if id_ != lost.id}
    for result, told in (
        (RunResult(lost.id, "failed", "the loss is nan"), "failed: the loss is nan"),
        (None, "not run yet"),
    ):
        results = others if result is None else others | {lost.id: result}
        gate = gate_of(replace(study, results=results), variants=("better",))
        assert all(check.passed for check in gate.checks)
        assert gate.untrained == (f"better/seed3: {told}",)
        assert not gate.passed
        suite = Xml.fromstring(render_junit(gate).encode())
        assert (suite.get("tests"), suite.get("failures")) == ("3", "1")
        assert suite[0].get("name") == "better/seed3 is trained"
        text = render_summary(gate)
        assert text.startswith("# Gate of phase3: failed: 1 run not trained as written, 0 of 2 checks\n")
        assert f"- better/seed3: {told}" in text
    assert gate_of(replace(study, results=others), variants=("worse",)).untrained == ()


def test_what_is_evaluated_only_is_not_gated(study):
    """Neither by default nor by name, and a gate of nothing else does not pass."""

    def idle(run):
        return replace(run, config=replace(run.config, train=run.config.train.model_copy(update={"epochs": 0})))

    runs = tuple(idle(run) if run.variant == "better" else run for run in study.plan.runs)
    changed = replace(study, plan=replace(study.plan, runs=runs))
    assert {check.variant for check in gate_of(changed).checks} == {"worse"}
    assert "'better' is evaluated only (0 epochs)" in gate_of(changed).notes[0]
    gate = gate_of(changed, variants=("better",))
    assert [check.passed for check in gate.checks] == [False, False]
    assert "no training of its own" in gate.checks[0].told
    alone = replace(changed.plan, runs=tuple(run for run in runs if run.variant != "worse"))
    assert not gate_of(replace(changed, plan=alone)).passed


def test_the_parents_weights_do_not_pass_a_gate_in_a_recipes_name(study):
    """As an older version stored it: the best epoch of a run that trained is 0, its parent's, and a good one."""
    results = {
        run.id: replace(study.results[run.id], best_epoch=0, last_counts={})
        if run.variant == "better"
        else study.results[run.id]
        for run in study.plan.runs
    }
    gate = gate_of(replace(study, results=results), variants=("better",))
    assert not gate.passed
    assert [check.delta for check in gate.checks] == [None, None]
    assert len(gate.untrained) == 4
    assert "so its own training was not judged" in gate.untrained[0]


def test_a_gate_does_not_pass_what_the_report_does_not_judge(study):
    def halve(result):
        """Say that the images are of two drives."""
        groups = {split: tuple("ab"[i % 2] for i in range(len(c.images))) for split, c in result.counts.items()}
        return replace(result, counts={s: replace(c, groups=groups[s]) for s, c in result.counts.items()})

    two = replace(study, results={id_: halve(result) for id_, result in study.results.items()})
    assert not any(check.passed for check in gate_of(two).checks)


@pytest.mark.parametrize(
    ("wrong", "said"), [({"variants": ("old",)}, "it is the baseline"), ({"split": "tset"}, "no run has counts of it")]
)
def test_questions_without_an_answer_are_refused(study, wrong, said):
    with pytest.raises(InputError, match=said):
        gate_of(study, **wrong)
