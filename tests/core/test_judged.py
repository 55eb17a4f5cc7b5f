"""Which of a run's counts are judged, and on which split: every case, on results and plans of bare bones."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from harness.judged import counts_at, is_evaluated_only, judged_results, primary_split
from harness.records import Plan, Progress, Run, RunResult, Start
from harness.settings import ScheduleChoice

BEST, LAST, BOTH = {"val": "of the best epoch"}, {"val": "of the last epoch"}, ("val", "test")
RESULT = RunResult(
    "id",
    "finished",
    history=tuple(Progress(epoch, 2, {}, improved=False, time_ms=0) for epoch in (0, 1, 2)),
    best_epoch=1,
    counts=BEST,
    last_counts=LAST,
    regions={"val": {}},
    contract={"size": "native"},
    examples="pictures",
    predictions="more pictures",
)
LATE = replace(RESULT, best_epoch=2, last_counts={})
INHERITED = replace(RESULT, best_epoch=0)
IDLE = replace(INHERITED, history=RESULT.history[:1], last_counts={})


@pytest.mark.parametrize(
    ("result", "best", "last"),
    [
        (RESULT, BEST, LAST),
        (LATE, BEST, BEST),
        (replace(RESULT, last_counts={}), BEST, {}),
        (INHERITED, {}, {}),
        (replace(INHERITED, history=RESULT.history[:2]), {}, {}),
        (replace(RESULT, counts={}), {}, {}),
        (IDLE, BEST, BEST),
    ],
    ids=[
        "both",
        "older, best is last",
        "older, best is another",
        "best is the start",
        "of one epoch",
        "no counts",
        "evaluated only",
    ],
)
def test_counts_of_the_best_and_of_the_last_trained_epoch(result, best, last):
    assert (counts_at(result, "best"), counts_at(result, "last")) == (best, last)


@pytest.mark.parametrize("epoch", ["best", "last"])
def test_results_as_they_are_judged(epoch):
    def judged(result):
        return judged_results(Plan("s", "?", "a", 0.0, (), epoch=epoch), {"id": result})["id"]

    of_last = {"regions": {}, "contract": {"size": "native", "checkpoint": "last"}}
    assert judged(RESULT) == (replace(RESULT, counts=LAST, predictions=None, **of_last) if epoch == "last" else RESULT)
    assert judged(LATE) == (replace(LATE, **of_last) if epoch == "last" else LATE)
    for untouched in (replace(RESULT, status="failed"), replace(RESULT, counts={})):
        assert judged(untouched) == untouched
    bare = {"counts": {}, "regions": {}, "examples": None, "predictions": None}
    without = judged(INHERITED)
    assert without == replace(INHERITED, best_epoch=None, reason=without.reason, **bare)
    assert "took the weights that it started from for its best epoch" in without.reason
    older = judged(replace(RESULT, last_counts={}))
    if epoch == "last":
        assert older == replace(RESULT, last_counts={}, reason=older.reason, **bare)
        assert "kept no counts of its last epoch" in older.reason


def make_config(split="val", epochs=5, schedule="cosine", early_stop=None):
    return SimpleNamespace(
        train=SimpleNamespace(epochs=epochs, early_stop=early_stop),
        evaluate=SimpleNamespace(select_split=split),
        schedule=ScheduleChoice.of(schedule, {}),
    )


@pytest.mark.parametrize(
    ("change", "best", "last"),
    [
        ({}, "test", "val"),
        ({"split": "held_out"}, "val", "val"),
        ({"epochs": 0}, "val", "val"),
        ({"epochs": 1}, "test", "val"),
        ({"early_stop": "set"}, "test", "test"),
        ({"schedule": "plateau"}, "test", "test"),
        ({"split": "held_out", "schedule": "plateau"}, "val", "val"),
        ({"epochs": 0, "schedule": "plateau"}, "val", "val"),
    ],
)
def test_val_is_primary_where_it_chose_nothing_of_what_is_compared(change, best, last):
    runs = (
        Run("1", "a", 0, make_config(split="held_out"), {}),
        Run("2", "b", 0, make_config(**change), {}),
    )
    for epoch, found in (("best", best), ("last", last)):
        plan = Plan("s", "?", "a", 0.0, runs, epoch=epoch)
        assert primary_split(plan, BOTH) == found
        assert primary_split(plan, ("val",)) == "val"
        assert primary_split(replace(plan, split="test"), ("val",)) == "test"


@pytest.mark.parametrize(
    ("parent", "which", "found"),
    [
        ({}, "best", "test"),
        ({}, "last", "val"),
        ({"split": "held_out"}, "best", "val"),
        ({"epochs": 0}, "best", "val"),
        ({"epochs": 1}, "best", "test"),
        (None, "last", "test"),
    ],
)
def test_a_start_that_val_chose_has_a_say(parent, which, found):
    start = Start("unknown" if parent is None else "1", which)
    runs = (
        Run("0", "z", 0, make_config(), {}),
        Run("1", "a", 0, make_config(**(parent or {})), {}),
        Run("2", "b", 0, make_config(), {}, start=start),
    )
    assert primary_split(Plan("s", "?", "a", 0.0, runs, epoch="last"), BOTH) == found


def test_a_run_of_no_epochs_is_evaluated_only():
    assert [is_evaluated_only(make_config(epochs=epochs)) for epochs in (0, 1)] == [True, False]
