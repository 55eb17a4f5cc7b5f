"""Recorded looks: each set of complete runs once, for the very runs it was at; two machines' files are one record."""

from dataclasses import replace

import pytest

from harness.errors import InputError
from harness.records import Plan, Run, RunResult, Start
from harness.store.looks import RecordedLook, merge_looks, new_look, read_looks, taken_looks, write_looks


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
    return RecordedLook(frozenset(ids), at)


FIRST = look("a0", "a1", "b0", "b1", at=1)
SECOND = look("a0", "a1", "a2", "b0", "b1", "b2", at=2)
PAIR = ("a", "b")


def test_a_look_is_at_the_seeds_that_both_had():
    ragged = look("a0", "a1", "a2", "b0", "b1", at=1)
    assert taken_looks(make_plan(range(4)), (ragged,)) == {PAIR: ((0, 1),)}
    assert taken_looks(make_plan(range(4)), (FIRST, SECOND)) == {PAIR: ((0, 1), (0, 1, 2))}


def test_one_seed_is_no_look():
    assert taken_looks(make_plan(range(2)), (look("a0", "a1", "b0"),)) == {}


def test_looks_at_other_runs_do_not_count():
    """The settings of b were edited: its runs have other ids, and nobody has looked at them."""
    edited = make_plan(range(3))
    edited = replace(
        edited, runs=tuple(replace(run, id=f"{run.id}x") if run.variant == "b" else run for run in edited.runs)
    )
    assert taken_looks(edited, (FIRST, SECOND)) == {}


def test_looks_follow_the_runs_whatever_the_names():
    plan = make_plan(range(3))
    renamed = replace(plan, runs=tuple(replace(run, variant=f"study/{run.variant}") for run in plan.runs))
    assert taken_looks(renamed, (FIRST,)) == {("study/a", "study/b"): ((0, 1),)}


def test_leaving_out_a_seed_does_not_make_a_study_new():
    assert taken_looks(make_plan((1, 2, 3, 4)), (SECOND,)) == {PAIR: ((1, 2),)}


def test_fewer_seeds_afterwards_are_no_further_look():
    again = look("a0", "a1", "b0", "b1", at=3)
    assert taken_looks(make_plan(range(3)), (SECOND, again)) == {PAIR: ((0, 1, 2),)}


def test_own_training_is_a_pair_with_its_start():
    plan = make_plan(range(3), starts={"b": "a"})
    assert taken_looks(plan, (FIRST,)) == {PAIR: ((0, 1),), ("b", "a@best"): ((0, 1),)}


def finished(run):
    return RunResult(run.id, "finished", counts={"val": "some"}, best_epoch=1)


def test_what_failed_is_not_in_the_look_and_the_same_again_is_no_look():
    plan = make_plan(range(3))
    results = {run.id: finished(run) for run in plan.runs}
    results["b2"] = RunResult("b2", "failed", "the loss is nan")
    (found,) = new_look(plan, results, ())
    assert found.runs == {"a0", "a1", "a2", "b0", "b1"}
    assert new_look(plan, results, (found,)) == ()
    results["b2"] = finished(plan.runs[-1])
    (later,) = new_look(plan, results, (found,))
    assert taken_looks(plan, (found, later)) == {PAIR: ((0, 1), (0, 1, 2))}


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
