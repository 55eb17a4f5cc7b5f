"""Recorded looks: each set of complete runs once, for the very runs it was at; two machines' files are one record."""

from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pytest

from harness.counts import make_counts
from harness.errors import InputError
from harness.judged import digest_counts
from harness.records import Plan, Run, RunResult, Start
from harness.runs.folder import write_entry
from harness.runs.looks import RecordedLook, looks_folder, merge_looks, new_look, read_looks, taken_looks, write_looks
from harness.stats.looks import LookHistory, LookSchedule
from harness.tracking.sync import _deliver_looks


def make_plan(seeds, ids="{name}{seed}", starts=None):
    starts = starts or {}
    runs = [
        Run(
            ids.format(name=name, seed=seed),
            name,
            seed,
            config=None,
            inputs={},
            start=Start(f"{starts[name]}{seed}", "best") if name in starts else None,
        )
        for name in "ab"
        for seed in seeds
    ]
    return Plan("study", "?", "a", 0.0, tuple(runs))


def look(*ids, at=0):
    return RecordedLook(dict.fromkeys(ids, ""), at)


def seeds(taken):
    """Return variant -> seeds, of each look."""
    return [{name: set(found) for name, found in item.complete.items()} for item in taken]


FIRST = look("a0", "a1", "b0", "b1", at=1)
SECOND = look("a0", "a1", "a2", "b0", "b1", "b2", at=2)


def test_a_look_is_at_the_seeds_that_were_complete():
    ragged = look("a0", "a1", "a2", "b0", "b1", at=1)
    assert seeds(taken_looks(make_plan(range(4)), (ragged,))) == [{"a": {0, 1, 2}, "b": {0, 1}}]
    assert seeds(taken_looks(make_plan(range(4)), (FIRST, SECOND))) == [
        {"a": {0, 1}, "b": {0, 1}},
        {"a": {0, 1, 2}, "b": {0, 1, 2}},
    ]


def test_one_seed_is_no_look():
    assert taken_looks(make_plan(range(2)), (look("a0", "b0"),)) == ()


def test_looks_at_other_runs_do_not_count():
    """The settings of b were edited: its runs have other ids, and nobody has looked at them. The look is not whole."""
    edited = make_plan(range(3))
    edited = replace(
        edited, runs=tuple(replace(run, id=f"{run.id}x") if run.variant == "b" else run for run in edited.runs)
    )
    (found,) = taken_looks(edited, (FIRST,))
    assert (seeds([found]), found.is_whole) == ([{"a": {0, 1}}], False)
    assert LookSchedule((), (found,)).at("ab", (0, 1)) == LookHistory((2,))


def test_looks_follow_the_runs_whatever_the_names():
    plan = make_plan(range(3))
    renamed = replace(plan, runs=tuple(replace(run, variant=f"study/{run.variant}") for run in plan.runs))
    (found,) = taken_looks(renamed, (FIRST,))
    assert (seeds([found]), found.is_whole) == ([{"study/a": {0, 1}, "study/b": {0, 1}}], True)


def test_leaving_out_a_seed_does_not_make_a_study_new():
    (found,) = taken_looks(make_plan((1, 2, 3, 4)), (SECOND,))
    assert (seeds([found]), found.is_whole) == ([{"a": {1, 2}, "b": {1, 2}}], False)


def test_a_seed_that_the_plan_leaves_out_was_seen_all_the_same(tmp_path):
    """It belongs to the variant of which other runs are there, under whatever name; an edited variant starts afresh."""
    plan = make_plan(range(3))
    write_looks(tmp_path, new_look(plan, {run.id: finished(run) for run in plan.runs}, ()))
    fewer = make_plan((0, 2))
    runs = [replace(run, variant=f"my {run.variant}") for run in fewer.runs]
    runs = [replace(run, id=f"{run.id}x") if run.variant == "my b" else run for run in runs]
    (found,) = taken_looks(fewer, read_looks(tmp_path))
    assert (seeds([found]), found.is_whole) == ([{"a": {0, 1, 2}, "b": {0, 1, 2}}], False)
    (edited,) = taken_looks(replace(fewer, runs=tuple(runs)), read_looks(tmp_path))
    assert seeds([edited]) == [{"my a": {0, 1, 2}}]


def finished(run):
    confusion = np.array([[run.seed + 1, 0], [0, 1]])
    return RunResult(run.id, "finished", counts={"val": make_counts([confusion], "i", "i", "xy")}, best_epoch=1)


def test_what_failed_is_not_in_the_look_and_the_same_again_is_no_look():
    plan = make_plan(range(3))
    results = {run.id: finished(run) for run in plan.runs}
    results["b2"] = RunResult("b2", "failed", "the loss is nan")
    (found,) = new_look(plan, results, ())
    assert found.runs.keys() == {"a0", "a1", "a2", "b0", "b1"}
    assert found.runs["a0"] == found.runs["b0"] == digest_counts(results["a0"]) != found.runs["a1"]
    assert new_look(plan, results, (found,)) == ()
    results["b2"] = finished(plan.runs[-1])
    (later,) = new_look(plan, results, (found,))
    assert [item.common("ab") for item in taken_looks(plan, (found, later))] == [{0, 1}, {0, 1, 2}]
    fewer = {key: result for key, result in results.items() if key[1] != "2"}
    assert new_look(plan, fewer, (found, later)) == (), "fewer runs than an earlier look had are no look of their own"


def test_what_was_made_anew_is_looked_at_anew():
    plan = make_plan(range(2))
    results = {run.id: finished(run) for run in plan.runs}
    (found,) = new_look(plan, results, ())
    results["b1"] = replace(finished(plan.runs[-2]), run_id="b1")
    (later,) = new_look(plan, results, (found,))
    assert later.runs.keys() == found.runs.keys()
    assert LookSchedule((), taken_looks(plan, (found, later))).at("ab", (0, 1)) == LookHistory((2,)), (
        "no new seeds: no other look"
    )


def test_looks_that_kept_no_digests_are_read(tmp_path):
    write_entry(tmp_path / "old.json", {"version": 1, "time_ms": 1, "runs": ["a0", "a1", "b0", "b1"]})
    assert read_looks(tmp_path) == (FIRST,)


def test_the_look_of_an_older_version_is_not_taken_again():
    plan = make_plan(range(2))
    assert new_look(plan, {run.id: finished(run) for run in plan.runs}, (FIRST,)) == ()


def test_two_machines_records_merge(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    write_looks(here, (FIRST,))
    write_looks(there, (replace(FIRST, time_ms=7), SECOND))
    write_looks(here, read_looks(there))
    assert read_looks(here) == (FIRST, SECOND)
    assert merge_looks((*read_looks(there), *read_looks(here))) == (FIRST, SECOND)
    assert read_looks(tmp_path / "nowhere") == ()


def test_a_damaged_file_is_named(tmp_path):
    write_looks(tmp_path, (FIRST,))
    (path,) = tmp_path.iterdir()
    path.write_text(path.read_text().replace("a0", "a7"))
    with pytest.raises(InputError, match=f"{path}: damaged; put a whole copy back, or remove it"):
        read_looks(tmp_path)


def test_sync_brings_looks_to_a_store_that_lacks_them(tmp_path):
    write_looks(looks_folder(tmp_path, "study"), (FIRST, SECOND))
    for there, attached in (((), 1), ((SECOND,), 1), ((FIRST, SECOND), 0)):
        store = Mock(root=tmp_path, **{"load_looks.return_value": there})
        _deliver_looks("study", store, None)
        assert store.attach.call_count == attached
