"""Each rule of the diagnosis: a history that it must find, the nearest one that it must not, and what it says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from harness.counts import make_counts
from harness.records import Plan, Progress, Run, RunResult, Start
from harness.report.diagnosis.make import RULES, examine, make_diagnosis
from harness.report.page import diagnosis_sections, text
from harness.report.page.markdown import render_markdown
from harness.report.page.model import Page
from harness.report.study.class_bands import find_band, make_bands
from harness.report.study.judge import judge_splits, make_comparisons
from harness.report.study.variants import group_runs
from harness.settings import EarlyStop, TrainSettings
from harness.stats.looks import LookSchedule

CLASSES = ("Sky", "Logs")


@pytest.fixture
def make(simulate):
    """Return a function that makes a run and its result from lists of values by epoch."""
    run = simulate({"only": 0.7}, (0,)).plan.runs[0]

    def call(epochs: int, *, planned: int | None = None, warm: float | None = None, **told) -> tuple[Run, RunResult]:
        """Metrics: `val_miou_dataset` stands for val/miou_dataset; a number is that of every epoch."""
        early_stop, status = told.pop("early_stop", None), told.pop("status", "finished")
        confusion, best = told.pop("confusion", [[50, 10], [10, 30]]), told.pop("best", 1)
        classes = told.pop("classes", CLASSES)
        by_name = {"val/miou_dataset": [0.5] * epochs, **told.pop("metrics", {})}
        curves = {name: values if isinstance(values, list) else [values] * epochs for name, values in by_name.items()}
        history = [
            Progress(epoch, planned or epochs, {name: values[epoch - 1] for name, values in curves.items()}, False, 0)
            for epoch in range(1, epochs + 1)
        ]
        if warm is not None:
            history.insert(0, Progress(0, epochs, {"val/miou_dataset": warm}, True, 0))
        counts = {"val": make_counts([np.array(confusion, np.int64)], ["image"], ["clip"], list(classes))}
        settings = TrainSettings(epochs=planned or epochs, early_stop=early_stop)
        made = replace(
            run,
            config=replace(run.config, train=settings),
            start=None if warm is None else Start("p" * 12, "best"),
        )
        finished = status == "finished"
        return made, RunResult(
            made.id, status, "", tuple(history), best if finished else None, counts if finished else {}
        )

    return call


def found(pair: tuple[Run, RunResult]) -> dict[tuple[str, str], str]:
    return {(item.code, item.subject): item.text for item in examine(*pair).findings}


def silent(pair: tuple[Run, RunResult]) -> dict[str, str]:
    return {item.code: item.reason for item in examine(*pair).silent}


def curve(name: str, values: Sequence[float]) -> dict[str, list[float]]:
    return {name: list(values)}


SCORE, TRAIN, VAL, NORM, NOISE = (
    "val/miou_dataset",
    "train/loss",
    "val/loss",
    "train/grad_norm",
    "train/grad_norm_cv",
)
FALLS = [1.0, 0.8, 0.6, 0.5, 0.4, 0.35, 0.3, 0.25, 0.2]

CASES = {
    "still_improving": (
        curve(SCORE, [0.10, 0.30, 0.40, 0.41, 0.42, 0.43, 0.44]),
        curve(SCORE, [0.10, 0.30, 0.40, 0.4015, 0.403, 0.4045, 0.406]),
    ),
    "still_improving beyond its scatter": (
        curve(SCORE, [0.10, 0.30, 0.40, 0.42, 0.41, 0.43, 0.44]),
        curve(SCORE, [0.10, 0.30, 0.40, 0.44, 0.39, 0.45, 0.42]),
    ),
    "plateau": (
        curve(SCORE, [0.1, 0.2, 0.3, 0.4, 0.500, 0.49, 0.5019, 0.48, 0.49, 0.50]),
        curve(SCORE, [0.1, 0.2, 0.3, 0.4, 0.500, 0.49, 0.5021, 0.48, 0.49, 0.50]),
    ),
    "overfit": (
        {TRAIN: FALLS, VAL: [1.0, 0.8, 0.6, 0.6, 0.6, 0.62, 0.66, 0.66, 0.661]},
        {TRAIN: FALLS, VAL: [1.0, 0.8, 0.6, 0.6, 0.6, 0.62, 0.65, 0.66, 0.66]},
    ),
    "overfit while train loss falls": (
        {TRAIN: FALLS, VAL: [1.0, 0.8, 0.6, 0.6, 0.6, 0.7, 0.8, 0.9, 1.0]},
        {TRAIN: [1.0, 0.8, 0.6, 0.5, 0.4, 0.5, 0.6, 0.7, 0.8], VAL: [1.0, 0.8, 0.6, 0.6, 0.6, 0.7, 0.8, 0.9, 1.0]},
    ),
    "unstable_loss": (curve(TRAIN, [1.0, 0.8, 0.6, 1.3, 0.5]), curve(TRAIN, [1.0, 0.8, 0.6, 1.2, 0.5])),
    "exploding_gradient": (curve(NORM, [2.0, 1.0, 1.0, 10.1, 1.0]), curve(NORM, [2.0, 1.0, 1.0, 9.9, 1.0])),
    "exploding_gradient, not one that is large at the start": (
        curve(NORM, [1.0, 1.0, 1.0, 30.0]),
        curve(NORM, [30.0, 1.0, 1.0, 1.0]),
    ),
    "vanishing_gradient": (
        {NORM: [1.0, 0.1, 0.01, 9e-4], TRAIN: [2.0, 1.9, 1.9, 1.9]},
        {NORM: [1.0, 0.1, 0.01, 2e-3], TRAIN: [2.0, 1.9, 1.9, 1.9]},
    ),
    "vanishing_gradient of an unsolved task": (
        {NORM: [1.0, 0.1, 0.01, 9e-4], TRAIN: [2.0, 1.0, 0.5, 0.21]},
        {NORM: [1.0, 0.1, 0.01, 9e-4], TRAIN: [2.0, 1.0, 0.5, 0.19]},
    ),
    "noisy_gradient": (curve(NOISE, [0.5, 1.2, 1.1]), curve(NOISE, [0.5, 1.2, 1.0])),
    "saturated": (
        curve("val/iou/Sky", [0.5, 0.95, 0.955, 0.951, 0.952, 0.959]),
        curve("val/iou/Sky", [0.5, 0.949, 0.955, 0.951, 0.952, 0.959]),
    ),
    "saturated and quiet": (
        curve("val/iou/Sky", [0.95, 0.955, 0.951, 0.952, 0.959]),
        curve("val/iou/Sky", [0.95, 0.955, 0.951, 0.952, 0.961]),
    ),
    "starved": (
        {"train/shown": 0.4, "train/shown/Sky": [0.1, 0.2, 0.29]},
        {"train/shown": 0.4, "train/shown/Sky": [0.1, 0.2, 0.31]},
    ),
    "weights_out_of_proportion": (
        {"train/shown": 1.0, "train/shown_share/Logs": 0.004, "train/weight_share/Logs": 0.081},
        {"train/shown": 1.0, "train/shown_share/Logs": 0.004, "train/weight_share/Logs": 0.079},
    ),
    "weights_out_of_proportion, too low": (
        {"train/shown": 1.0, "train/shown_share/Sky": 0.3, "train/weight_share/Sky": 0.0149},
        {"train/shown": 1.0, "train/shown_share/Sky": 0.3, "train/weight_share/Sky": 0.0151},
    ),
    "weights_out_of_proportion, and of some weight": (
        {"train/shown": 1.0, "train/shown_share/Logs": 0.001, "train/weight_share/Logs": 0.031},
        {"train/shown": 1.0, "train/shown_share/Logs": 0.001, "train/weight_share/Logs": 0.029},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_rule_of_the_curves_fires_at_its_threshold_and_not_before(case, make):
    code = case.split(" ")[0].rstrip(",")
    for metrics, fires in zip(CASES[case], (True, False), strict=True):
        epochs = max([3, *(len(values) for values in metrics.values() if isinstance(values, list))])
        pair = make(epochs, metrics=metrics)
        assert code not in silent(pair)
        assert (code in {name for name, _ in found(pair)}) == fires


def test_a_class_is_never_predicted_only_without_a_single_pixel(make):
    assert ("never_predicted", "Logs") in found(make(3, confusion=[[50, 0], [40, 0]]))
    assert ("never_predicted", "Logs") not in found(make(3, confusion=[[49, 1], [40, 0]]))
    assert ("never_predicted", "Logs") not in found(make(3, confusion=[[50, 0], [0, 0]]))


def test_best_epochs_at_either_end(make):
    scores = {"metrics": curve(SCORE, [0.3, 0.4, 0.45])}
    assert ("best_is_last", "") in found(make(3, best=3, **scores))
    assert ("best_is_last", "") not in found(make(3, best=2, **scores))
    assert ("best_is_last", "") not in found(make(3, best=3, planned=9, early_stop=EarlyStop(), **scores))
    assert ("best_is_start", "") in found(make(3, best=3, warm=0.46, **scores))
    assert ("best_is_start", "") not in found(make(3, best=3, warm=0.44, **scores))


@pytest.mark.parametrize(("trained", "severity"), [(4, "warning"), (5, "note"), (10, None)])
def test_an_early_stop_is_a_warning_where_most_of_the_schedule_is_unused(trained, severity, make):
    pair = make(trained, planned=10, early_stop=EarlyStop(patience=3))
    told = [item.severity for item in examine(*pair).findings if item.code == "stopped_early"]
    assert told == ([severity] if severity else [])


def test_too_few_epochs_or_measures_make_a_rule_silent_and_it_says_so(make):
    reasons = silent(make(2, metrics={TRAIN: [1.0, 9.0], VAL: [1.0, 9.0]}))
    assert reasons == {
        "still_improving": "needs 5 trained epochs, has 2",
        "plateau": "needs 10 trained epochs, has 2",
        "overfit": "needs 6 trained epochs, has 2",
        "unstable_loss": "needs 4 trained epochs, has 2",
        "exploding_gradient": "not in the journal: train/grad_norm",
        "vanishing_gradient": "not in the journal: train/grad_norm",
        "noisy_gradient": "not in the journal: train/grad_norm_cv",
        "best_is_last": "needs 3 trained epochs, has 2",
        "saturated": "needs 5 trained epochs, has 2",
        "starved": "not in the journal: train/shown",
        "weights_out_of_proportion": "not in the journal: train/shown",
    }


def test_a_run_that_failed_is_judged_by_its_curves_but_not_by_its_end(make):
    pair = make(5, planned=9, status="failed", metrics=curve(TRAIN, [1.0, 0.8, 0.6, 1.3, 2.5]))
    assert list(found(pair)) == [("unstable_loss", "")]
    assert silent(pair)["never_predicted"] == "the run did not finish"


def test_scores_that_are_not_defined_count_as_epochs_that_are_not_there(make):
    pair = make(6, metrics=curve(SCORE, [float("nan"), 0.3, 0.4, 0.5, float("nan"), 0.6]))
    assert silent(pair)["still_improving"] == "needs 5 trained epochs, has 4"


@pytest.mark.parametrize(
    ("code", "made", "says"),
    [
        (
            "still_improving",
            {"epochs": 6, "metrics": curve(SCORE, [0.1, 0.40, 0.41, 0.42, 0.43, 0.44])},
            "val miou_dataset rose by 1.00 ± 0.00 points an epoch (slope ± standard error) over epochs 2 to 6 "
            "(thresholds: 0.2 points and 2.35 standard errors). Longer training may score higher.",
        ),
        (
            "overfit",
            {"epochs": 9, "metrics": {TRAIN: FALLS, VAL: [1.0, 0.8, 0.6, 0.6, 0.6, 0.7, 0.8, 0.9, 1.0]}},
            "val loss rose from 0.6 (mean of epochs 3 to 5) to 0.9 (epochs 7 to 9), by 50 % (threshold: 10 %), while "
            "train loss fell from 0.5 to 0.25: the gap between them grew by 0.55.",
        ),
        (
            "unstable_loss",
            {"epochs": 5, "metrics": curve(TRAIN, [1.0, 0.8, 0.6, 1.6, 0.5])},
            "train loss jumped at 1 epoch of 5, most at epoch 4, to 2 times the median of the three epochs before it "
            "(threshold: 1.5 times).",
        ),
        (
            "starved",
            {"epochs": 3, "metrics": {"train/shown": 0.444, "train/shown/Sky": 0.031}},
            "Sky: an epoch showed 3.1 % of the pixels that the training split holds, of all classes together 44.4 %: "
            "0.07 times an even part (threshold: 0.5 times).",
        ),
        (
            "weights_out_of_proportion",
            {
                "epochs": 1,
                "metrics": {"train/shown": 1.0, "train/shown_share/Logs": 0.003, "train/weight_share/Logs": 0.1},
            },
            "Logs has 0.30 % of the pixels shown and 10.00 % of the loss' weight, 33 times its part (thresholds: 20 "
            "times, or one 20th, and one of the two at least 3 %).",
        ),
        (
            "never_predicted",
            {"epochs": 1, "confusion": [[50, 0], [4000, 0]]},
            "Logs has 4,000 pixels in val's ground truth and 0 in the predictions (threshold: more than 0).",
        ),
        (
            "best_is_start",
            {"epochs": 3, "warm": 0.46, "best": 3, "metrics": curve(SCORE, [0.3, 0.4, 0.45])},
            "no epoch beat the weights that it started from, 46.0 % of val miou_dataset; the best of 3 trained epochs "
            "is −1.0 points from them (threshold: above 0). It is judged by its own training all the same.",
        ),
        (
            "noisy_gradient",
            {"epochs": 3, "metrics": curve(NOISE, [0.5, 1.4, 1.5])},
            "the gradient's norm varied over an epoch's steps with a standard deviation of 1.4 times its mean (median "
            "over epochs; threshold: 1). Larger batches or train.accumulate make steps more alike.",
        ),
    ],
)
def test_findings_say_their_numbers_and_their_threshold(code, made, says, make):
    assert {name: line for (name, _), line in found(make(**made)).items()}[code] == says


def test_bands_by_share_of_the_true_pixels():
    assert [find_band(share) for share in (0.1, 0.0999, 0.01, 0.0099, 0.0)] == [
        "dominant",
        "common",
        "common",
        "rare",
        "absent",
    ]


def diagnosed(plan: Plan, results):
    groups = group_runs(plan, results)
    comparisons = make_comparisons(judge_splits(groups, plan.reference).judged, plan.margin, LookSchedule(), "val")
    return make_diagnosis(plan, results, make_bands(groups, plan.reference), comparisons), comparisons


def test_gained_and_lost_are_the_called_changes_alone(simulate):
    made = simulate({"old": 0.55, "better": 0.9, "same": 0.55}, (0, 1, 2))
    diagnosis, comparisons = diagnosed(made.plan, made.results)
    outcomes = {
        (item.variant, item.split, claim.measure): claim.outcome
        for item in comparisons
        if (item.against, item.split) == ("old", "val")
        for claim in item.classes
    }
    assert outcomes["better", "val", "Sky"] == "improved"
    told = {}
    for change in diagnosis.changes:
        for outcome, names in (
            ("improved", change.gained),
            ("regressed", change.lost),
            ("undecided", change.undecided),
        ):
            told |= {(change.variant, change.split, name): outcome for name in names}
    assert told == outcomes
    band_of = {item.name: item.band for item in diagnosis.bands}
    assert [band_of[name] for name in ("Sky", "Rocks", "Flowers", "Logs")] == ["dominant", "common", "rare", "absent"]
    assert {change.band for change in diagnosis.changes if "Sky" in change.gained} == {"dominant"}


def test_seeds_share_findings_and_the_page_counts_them(study):
    results = dict(study.results)
    for run in study.plan.runs:
        if run.label in ("baseline/seed0", "baseline/seed2"):
            history = [replace(item, metrics={**item.metrics, "train/loss": 1.0}) for item in results[run.id].history]
            history[5] = replace(history[5], metrics={**history[5].metrics, "train/loss": 2.0})
            results[run.id] = replace(results[run.id], history=tuple(history))
    diagnosis, _ = diagnosed(study.plan, results)
    baseline = next(item for item in diagnosis.variants if item.variant == "baseline")
    (shared,) = (item for item in baseline.shared if item.code == "unstable_loss")
    assert (shared.seeds, shared.judged, shared.severity) == ((0, 2), 3, "warning")
    assert baseline.shared[0] == shared
    assert diagnosis_sections.finding_lines(diagnosis, baseline)[0] == (
        "**Unstable loss** (warning; 2 of 3 seeds: 0, 2). Seed 0: train loss jumped at 1 epoch of 10, most at epoch 6, "
        "to 2 times the median of the three epochs before it (threshold: 1.5 times)."
    )


def test_classes_of_which_the_same_is_said_share_a_line(make):
    run, result = make(3, confusion=[[0, 0, 50], [0, 0, 40], [0, 0, 9]], classes=("Sky", "Logs", "Rocks"))
    plan = Plan("study", "", "only", 0.0, (run,))
    diagnosis = make_diagnosis(plan, {run.id: result}, (), ())
    assert diagnosis_sections.finding_lines(diagnosis, diagnosis.variants[0]) == [
        "**Class never predicted: Sky, Logs** (warning; 1 of 1 seed). Sky has 50 pixels in val's ground truth and 0 in "
        "the predictions (threshold: more than 0). The others' numbers: report.json."
    ]


def test_the_page_holds_every_rule_and_band(study):
    diagnosis, _ = diagnosed(study.plan, study.results)
    section = diagnosis_sections.diagnosis_section(diagnosis, "val", study.plan.reference)
    page = render_markdown(Page("s", tuple(section)))
    assert all(rule.title in page and text.escape(rule.states) in page for rule in RULES)
    assert "**Plateau** (note; " in page
    assert "the run did not finish (gentle-backbone/seed2)" in page
    assert "not in val: Logs 0.00" in page
    assert json.loads(diagnosis.model_dump_json())["rules"][0]["code"] == "still_improving"
