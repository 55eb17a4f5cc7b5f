"""The numbers of a report, worked by hand on two classes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.counts import make_counts
from harness.records import Plan, RunResult, Start
from harness.report.study.file_names import make_slugs
from harness.report.study.record import Report
from harness.report.study.seeds import make_difference, make_estimate
from harness.report.study.summary import summarise

COLOURS = {"a": (255, 0, 0), "b": (0, 255, 0), "never": (0, 0, 255)}


def counted(confusion: list[list[int]]):
    """Counts of one image, class `never` absent."""
    padded = np.zeros((3, 3), np.int64)
    padded[:2, :2] = confusion
    return make_counts([padded], ["image-1"], ["clip-1"], ["a", "b", "never"])


@pytest.fixture
def two(simulate):
    """Variants `old` and `new`, two seeds, whose counts on val are written out here."""
    made = simulate({"old": 0.5, "new": 0.6}, (0, 1), colours=COLOURS, shares=np.array([0.5, 0.5, 0.0]))
    by_label = {
        # IoU a = 6/(6+2+2) = 0.6, b = 10/(10+2+2) = 10/14
        "old/seed0": [[6, 2], [2, 10]],
        # IoU a = 4/8 = 0.5, b = 8/12
        "old/seed1": [[4, 2], [2, 8]],
        # IoU a = 8/10 = 0.8, b = 10/12
        "new/seed0": [[8, 0], [2, 10]],
        # IoU a = 6/6 = 1, b = 1
        "new/seed1": [[6, 0], [0, 10]],
    }
    ids = {run.label: run.id for run in made.plan.runs}
    results = {
        ids[label]: replace(made.results[ids[label]], counts={"val": counted(confusion)})
        for label, confusion in by_label.items()
    }
    return made.plan, results


def variant(report: Report, name: str):
    return next(item for item in report.variants if item.name == name)


def test_means_deviations_and_paired_differences_are_those_worked_by_hand(two):
    report = summarise(*two)
    old, new = variant(report, "old"), variant(report, "new")
    first, second = (0.6 + 10 / 14) / 2, (0.5 + 8 / 12) / 2
    score = old.scores["val"]["miou_dataset"]
    assert score.seeds == (0, 1)
    assert score.values == pytest.approx((first, second))
    assert score.mean == pytest.approx((first + second) / 2)
    assert score.sd == pytest.approx(abs(first - second) / 2**0.5)
    assert old.iou_class["val"]["a"].mean == pytest.approx(0.55)
    assert new.delta is not None
    change = new.delta.iou_class["val"]["a"]
    assert change.values == pytest.approx((0.2, 0.5))
    assert change.mean == pytest.approx(0.35)
    assert change.sd == pytest.approx(0.3 / 2**0.5)
    assert not change.within_spread
    assert new.delta.scores["val"]["pixel_accuracy"].values == pytest.approx((18 / 20 - 16 / 20, 1 - 12 / 16))
    assert old.delta is None


def test_a_class_absent_from_the_truth_is_listed_and_not_averaged(two):
    report = summarise(*two)
    never = next(item for item in report.classes if item.name == "never")
    assert never.truth["val"].pixels == 0
    assert never.colour == (0, 0, 255)
    estimate = variant(report, "old").iou_class["val"]["never"]
    assert (estimate.mean, estimate.sd, estimate.seeds) == (None, None, ())
    assert report.classes[0].truth["val"].pixels == 8
    assert report.classes[0].truth["val"].share == pytest.approx(8 / 20)


def test_differences_pair_only_seeds_that_both_have(two):
    plan, results = two
    failed = next(run for run in plan.runs if run.label == "old/seed0")
    results[failed.id] = RunResult(failed.id, "failed", "the loss is nan at epoch 3")
    report = summarise(plan, results)
    change = variant(report, "new").delta.iou_class["val"]["a"]
    assert (change.seeds, change.sd, change.within_spread) == ((1,), None, True)
    assert change.mean == pytest.approx(0.5)
    assert variant(report, "new").iou_class["val"]["a"].seeds == (0, 1)
    assert "old/seed0 (failed)" in report.notes[0]


def test_runs_without_a_result_are_missing(two):
    plan, results = two
    report = summarise(plan, {})
    assert {seed.status for item in report.variants for seed in item.seeds} == {"missing"}
    assert "None of the 4 runs has finished" in " ".join(report.notes)
    assert report.splits == report.classes == ()
    assert report.figures == ()
    gone = next(run for run in plan.runs if run.label == "new/seed1")
    partial = summarise(plan, {key: value for key, value in results.items() if key != gone.id})
    assert variant(partial, "new").scores["val"]["miou_dataset"].seeds == (0,)


def test_val_and_test_stay_apart(study):
    report = summarise(study.plan, study.results)
    assert [split.name for split in report.splits] == ["val", "test"]
    for item in report.variants:
        assert item.scores["val"]["miou_dataset"].mean > item.scores["test"]["miou_dataset"].mean
    assert [(split.images, split.groups, split.pixels) for split in report.splits] == [(20, 4, 20 * 9216)] * 2


@pytest.mark.parametrize("contract", [{"size": "input"}, {"splits": {"val": "e" * 64}}, {"taxonomy": "other"}])
def test_results_judged_otherwise_are_named_and_not_compared(two, contract):
    plan, results = two
    for run in plan.runs:
        if run.variant == "new":
            results[run.id] = replace(results[run.id], contract={**results[run.id].contract, **contract})
    report = summarise(plan, results)
    assert variant(report, "new").delta is None
    assert variant(report, "new").scores["val"]["miou_dataset"].mean is not None
    assert "'new' was not judged like the reference 'old'" in report.notes[0]
    key = next(iter(contract))
    assert key in report.notes[0]


def test_seeds_of_one_variant_judged_otherwise_are_not_averaged(two):
    plan, results = two
    run = next(run for run in plan.runs if run.label == "new/seed1")
    results[run.id] = replace(results[run.id], contract={"taxonomy": "other"})
    report = summarise(plan, results)
    assert variant(report, "new").scores == {}
    assert variant(report, "new").delta is None
    assert variant(report, "new").seeds[1].scores["val"]["miou_dataset"] == 1.0
    assert "The seeds of 'new' were not judged alike" in report.notes[0]


def test_one_run_under_two_names_is_said(two):
    plan, results = two
    twins = tuple(replace(run, variant="twin") for run in plan.runs if run.variant == "old")
    report = summarise(replace(plan, runs=(*plan.runs, *twins)), results)
    assert variant(report, "old").same_runs_as == ("twin",)
    assert variant(report, "twin").same_runs_as == ("old",)
    assert sum("have runs in common" in note for note in report.notes) == 1
    assert variant(report, "twin").delta.scores["val"]["miou_dataset"].values == (0.0, 0.0)
    assert variant(report, "twin").delta.scores["val"]["miou_dataset"].within_spread


def test_a_plan_without_the_reference_has_no_differences(two):
    plan, results = two
    only = replace(plan, runs=tuple(run for run in plan.runs if run.variant == "new"))
    report = summarise(only, results)
    assert variant(report, "new").delta is None
    assert "not among the variants" in report.notes[0]


def test_starts_are_told_by_the_name_the_author_gave(two):
    plan, results = two
    start = next(run for run in plan.runs if run.label == "old/seed0")
    runs = [run for run in plan.runs if run.variant == "old"]
    twins = [replace(run, variant="twin") for run in runs]
    child = [
        replace(run, start=Start(start.id, "last"), settings_from="twin") for run in plan.runs if run.variant == "new"
    ]
    report = summarise(replace(plan, runs=(*runs, *twins, *child)), results)
    assert variant(report, "new").starts_from == "twin@last"
    assert variant(report, "new").seeds[0].starts_from == "twin/seed0@last"


def test_changes_are_told_against_the_parent_and_against_the_reference(study):
    report = summarise(study.plan, study.results)
    head, gentle, last = report.variants[1:]
    told = {
        item.name: {change.key: (change.before, change.value) for change in item.changed} for item in report.variants
    }
    assert told["baseline"] == {}
    assert told["head-only"] == {"model.freeze": ("none", "backbone")}
    assert told["gentle-backbone"]["model.freeze"] == ("backbone", "none")
    assert "model.freeze" not in {change.key for change in gentle.differs}
    assert told["phase3"]["loss.dice"] == (None, {"weight": 1.0})
    assert {change.key for change in last.differs} == {*(c.key for c in gentle.differs), *told["phase3"]}
    assert (head.settings_from, last.settings_from, last.compared_with) == ("baseline", "gentle-backbone", "baseline")


def test_provenance_tells_what_all_runs_share_and_what_some_do(two):
    plan, results = two
    odd = plan.runs[0]
    changed = {**results[odd.id].provenance, "commit": "fffffff", "diff": "x\n" * 5000}
    results[odd.id] = replace(results[odd.id], provenance=changed)
    facts = {(fact.key, fact.value): fact.runs for fact in summarise(plan, results).provenance}
    assert facts["packages.torch", "2.15.0"] == ()
    assert facts["commit", "fffffff"] == (odd.label,)
    assert len(facts["commit", "c7be814"]) == 3
    assert not any(key.startswith("run.") for key, _ in facts)
    assert next(value for key, value in facts if key == "diff").startswith("10000 characters")


def test_the_report_is_a_pure_function(study):
    assert summarise(study.plan, study.results) == summarise(study.plan, dict(reversed(study.results.items())))


def test_one_seed_has_no_deviation(simulate):
    made = simulate({"only": 0.7}, (4,))
    report = summarise(made.plan, made.results)
    assert report.variants[0].scores["val"]["miou_dataset"].sd is None
    assert isinstance(made.plan, Plan)


@given(st.dictionaries(st.integers(0, 9), st.floats(0, 1), min_size=2), st.floats(-0.5, 0.5))
def test_a_shift_of_every_seed_is_its_difference(values, shift):
    moved = {seed: value + shift for seed, value in values.items()}
    found = make_difference(moved, values)
    assert found.mean == pytest.approx(shift, abs=1e-12)
    assert found.sd == pytest.approx(0, abs=1e-12)
    assert make_estimate(values).mean == pytest.approx(np.mean(list(values.values())), abs=1e-12)
    assert make_estimate(values).sd == pytest.approx(np.std(list(values.values()), ddof=1), abs=1e-12)


@pytest.mark.parametrize(
    ("values", "within"),
    [
        ((0.1, 0.1, 0.1), False),
        ((0.3, -0.01, 0.3), True),
        ((0.01, 0.5), True),
        ((0.2,), True),
        ((), True),
        ((0, 0), True),
    ],
)
def test_within_spread(values, within):
    found = make_difference(dict(enumerate(values)), dict.fromkeys(range(len(values)), 0.0))
    assert found.within_spread is within


@given(st.lists(st.text(max_size=90), unique=True, max_size=20))
def test_slugs_are_safe_and_different(names):
    slugs = list(make_slugs(names).values())
    assert len({slug.lower() for slug in slugs}) == len(names)
    for slug in slugs:
        assert slug
        assert not slug.startswith(".")
        assert set(slug) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
