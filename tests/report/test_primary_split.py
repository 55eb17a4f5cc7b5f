"""The split that verdicts are given on: which one it is by rule, and that no other has any."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest
from shipped import shipped_parts

from harness import registry
from harness.judged import BLIND_SCHEDULES, primary_split
from harness.records import Run, Start
from harness.report.gate import make_gate
from harness.report.page.csv_tables import make_tables
from harness.report.page.markdown import render_markdown
from harness.report.page.sections import make_page
from harness.report.study.notes import constant_notes, primary_notes
from harness.report.study.record import ClassSummary, ClassTruth, Estimate
from harness.report.study.summary import summarise
from harness.settings import EarlyStop, ScheduleChoice

BOTH = ("val", "test")
VERDICTS = {"improved", "regressed", "equivalent", "undecided"}


@pytest.fixture(scope="module")
def made(simulate):
    made = simulate({"a": 0.6, "b": 0.75, "c": 0.6}, seeds=(0, 1, 2))
    return replace(made, plan=replace(made.plan, split=None))


def changed(plan, change, only=None, **fields):
    """Return the plan with the config of its runs, or of the runs of one variant, changed."""
    runs = tuple(replace(run, config=change(run.config)) if only in (None, run.variant) else run for run in plan.runs)
    return replace(plan, runs=runs, **fields)


def held_out(config):
    return replace(config, evaluate=config.evaluate.model_copy(update={"select_split": "held_out"}))


def stopping(config):
    return replace(config, train=config.train.model_copy(update={"early_stop": EarlyStop()}))


def plateau(config):
    return replace(config, schedule=ScheduleChoice.of("plateau", {}))


def idle(config):
    return replace(config, train=config.train.model_copy(update={"epochs": 0}))


def test_val_that_chose_the_best_epoch_gives_way_to_test_where_there_is_one(made):
    assert primary_split(made.plan, BOTH) == "test"
    assert primary_split(made.plan, ("val",)) == "val"
    assert primary_split(made.plan, ()) == "val"


def test_val_is_primary_where_other_images_chose_in_every_run(made):
    assert primary_split(changed(made.plan, held_out), BOTH) == "val"
    assert primary_split(changed(made.plan, held_out, only="b"), BOTH) == "test"
    assert primary_split(changed(changed(made.plan, held_out), stopping), BOTH) == "val"
    assert primary_split(changed(made.plan, idle), BOTH) == "val"


@pytest.mark.parametrize(("change", "found"), [(lambda c: c, "val"), (stopping, "test"), (plateau, "test")])
def test_of_the_last_epoch_only_what_looked_at_scores_chose(made, change, found):
    assert primary_split(changed(made.plan, change, only="b", epoch="last"), BOTH) == found


def test_a_start_that_val_chose_is_a_choice_too(made):
    parents = {run.seed: run for run in made.plan.runs if run.variant == "a"}

    def warm(run: Run, which, id_=None):
        return replace(run, start=Start(id_ or parents[run.seed].id, which)) if run.variant == "b" else run

    for which, id_, found in (("best", None, "test"), ("last", None, "val"), ("last", "unknown", "test")):
        runs = tuple(warm(run, which, id_) for run in made.plan.runs)
        assert primary_split(replace(made.plan, runs=runs, epoch="last"), BOTH) == found
    runs = tuple(warm(run, "best") for run in changed(made.plan, held_out, only="a").runs)
    assert primary_split(replace(made.plan, runs=runs, epoch="last"), BOTH) == "val"


def test_what_the_study_names_is_primary(made):
    assert primary_split(replace(made.plan, split="val"), BOTH) == "val"
    assert primary_split(changed(made.plan, held_out, split="test"), BOTH) == "test"


def test_schedules_that_look_at_scores_are_known():
    for part in shipped_parts("schedule"):
        choice = registry.choose("schedule", part.name, {})
        schedule = registry.build("schedule", choice, epochs=100)
        is_blind = schedule(50, [0.5] * 50) == schedule(50, [index / 100 for index in range(50)])
        assert (part.name in BLIND_SCHEDULES) == is_blind


def outcomes(value, split=None):
    """Yield (split, outcome) of every record in a report that has an outcome."""
    if isinstance(value, dict):
        split = value.get("split", split)
        if "outcome" in value:
            yield split, value["outcome"]
        for item in value.values():
            yield from outcomes(item, split)
    elif isinstance(value, list):
        for item in value:
            yield from outcomes(item, split)


@pytest.mark.parametrize(("primary", "other"), [("val", "test"), ("test", "val")])
def test_no_other_split_has_a_verdict(simulate, primary, other):
    made = simulate({"a": 0.5, "b": 0.75, "c": 0.6}, seeds=(0, 1, 2), warm=True)
    report = summarise(replace(made.plan, split=primary), made.results)
    data = json.loads(report.model_dump_json())
    found = set(outcomes(data))
    assert {outcome for split, outcome in found if split == other} == {"not judged"}
    assert {outcome for split, outcome in found if split == primary} <= VERDICTS
    assert "improved" in {outcome for split, outcome in found if split == primary}
    aside = [item for item in report.comparisons if item.split == other]
    assert {(item.variant, item.against) for item in aside} == {("b", "a"), ("c", "a"), ("c", "b")}
    for item in aside:
        for claim in (item.headline, *item.classes):
            assert (claim.reason, claim.family, claim.p_adjusted, claim.outlook) == ("other split", 0, None, None)
            assert claim.low_margin is None
        assert item.headline.low < item.headline.delta < item.headline.high
    for kind in ("rankings", "floors", "attributions", "bands"):
        assert not [item for item in data[kind] if item.get("split", item.get("claim", {}).get("split")) == other]
    assert {change["split"] for change in data["diagnosis"]["changes"]} == {primary}
    rows = csv.DictReader(io.StringIO(make_tables(report, made.results)["differences.csv"]))
    told = {(row["split"], row["outcome"]) for row in rows if row["name"] == "miou_dataset"}
    assert {outcome for split, outcome in told if split == other} == {"not judged"}


def test_the_page_has_one_table_in_which_the_other_split_stands_beside(made):
    report = summarise(replace(made.plan, split="test"), made.results)
    lines = render_markdown(make_page(report)).splitlines()
    (head,) = [line for line in lines if line.startswith("| variant | starts from |")]
    assert head.index("test: difference to a (95 % interval)") < head.index("verdict") < head.index("val: difference")
    row = next(line for line in lines if line.startswith("| b | "))
    assert row.count("**improved**") == 1
    told = [line for line in lines if line.startswith("- **") and "points of miou_dataset" in line]
    assert len(told) == 3, "one sentence for each comparison, none for val"


def test_a_split_that_no_result_has_is_said_and_nothing_is_judged(simulate):
    made = simulate({"a": 0.5, "b": 0.75}, splits=("val",))
    report = summarise(replace(made.plan, split="test"), made.results)
    assert "compare.split names test, which no result has" in report.notes[-1]
    assert {outcome for _, outcome in outcomes(json.loads(report.model_dump_json()))} == {"not judged"}
    assert report.answer == ("There is no answer: verdicts are asked for on test, which no result has.",)
    assert "| b |" in render_markdown(make_page(report))


def test_the_gate_judges_what_it_is_asked_and_by_default_the_primary_split(made):
    for split, found in ((None, "test"), ("val", "val"), ("test", "test")):
        gate = make_gate(
            made.plan, made.results, baseline="a", variants=("b",), split=split, drops={"miou_dataset": 0.0}
        )
        assert [(check.split, check.passed) for check in gate.checks] == [(found, True)]


def test_a_reference_that_changes_another_variant_is_what_that_is_compared_with(simulate):
    made = simulate({"a": 0.5, "b": 0.75})
    runs = tuple(replace(run, settings_from="b" if run.variant == "a" else "a") for run in made.plan.runs)
    report = summarise(replace(made.plan, runs=runs), made.results)
    assert {(item.variant, item.against) for item in report.comparisons} == {("b", "a")}


@pytest.mark.parametrize(("mean", "is_told"), [(0.801, False), (0.399, True), (0.402, False), (None, False)])
def test_scores_that_are_far_apart_are_said_to_be_of_images_of_different_kinds(made, mean, is_told):
    report = summarise(made.plan, made.results)
    other = next(split for split in BOTH if split != report.primary)
    means = {report.primary: 0.8, other: mean}
    (variant,) = [item for item in report.variants if item.name == report.reference]
    scores = {name: {"miou_dataset": Estimate(mean=of, sd=None, seeds=(), values=())} for name, of in means.items()}
    notes = primary_notes(report.primary, report.splits, variant.model_copy(update={"scores": scores}))
    assert notes == (
        (
            f"a has 80.0 % of miou_dataset on {report.primary} and 39.9 % on {other}: their images are of different"
            f" kinds, and what is said of {report.primary} does not speak for {other}.",
        )
        if is_told
        else ()
    )
    assert primary_notes(report.primary, report.splits, None) == ()


@pytest.mark.parametrize(
    ("means", "who"), [((0.3, 0.29), "b has no"), ((0.1, 0.29), "No variant has"), ((0.31, 0.4), None)]
)
def test_what_scores_no_more_than_one_class_everywhere_has_not_learned(made, means, who):
    report = summarise(made.plan, made.results)
    truths = {"Sky": ClassTruth(pixels=6, share=0.6), "Rock": ClassTruth(pixels=4, share=0.4)}
    classes = [ClassSummary(name=name, colour=None, truth={"val": truth}) for name, truth in truths.items()]
    classes.append(ClassSummary(name="Moss", colour=None, truth={"val": ClassTruth(pixels=0, share=0.0)}))
    variants = [
        variant.model_copy(
            update={"scores": {"val": {"miou_dataset": Estimate(mean=mean, sd=None, seeds=(), values=())}}}
        )
        for variant, mean in zip(report.variants, (means[0] + 0.1, means[1]), strict=False)
    ]
    variants[0] = variants[0].model_copy(update={"name": "a"})
    told = constant_notes("val", classes, variants)
    if who is None:
        assert told == ()
    else:
        assert told[0].startswith(f"{who} more of miou_dataset on val than predicting Sky everywhere, 30.0 %: ")
    assert constant_notes("val", classes[:1], variants) == ()
