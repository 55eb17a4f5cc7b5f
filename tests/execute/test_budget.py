"""A budget: what comes first, when it stops, and that what was left is done later, to the same numbers."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_study import TINY, final_counts, harness_here

from harness.execute.budget import Budget, order_runs, within
from harness.execute.events import Ended, Started, Tick, Warned
from harness.records import Plan, Run, RunResult, Start
from harness.runs.folder import run_folder, save_result

HOUR = 3600.0


def make_plan(parents, seeds, reference):
    """Return a plan: variant -> the variant it starts from; the seeds of a variant stand together."""
    runs = [
        Run(f"{name}{seed}", name, seed, config=None, inputs={}, start=parent and Start(f"{parent}{seed}", "best"))
        for name, parent in parents.items()
        for seed in seeds
    ]
    return Plan("study", "?", reference, 0.0, tuple(runs))


CHAIN = {"a": None, "b": "a", "plain": None, "c": "b", "reference": "b"}


def test_reference_then_one_seed_of_everything_then_further_seeds():
    """The reference starts from b, and that from a; seeds are in the order of the spec, not of size."""
    plan = make_plan(CHAIN, (3, 1), "reference")
    order = ["a3", "b3", "reference3", "plain3", "c3", "a1", "b1", "reference1", "plain1", "c1"]
    assert [run.id for run in order_runs(plan, plan.runs)] == order
    assert [run.id for run in order_runs(plan, plan.runs[4:])] == [id_ for id_ in order if id_[:-1] not in ("a", "b")]


@given(data=st.data(), seeds=st.lists(st.integers(0, 99), min_size=1, max_size=3, unique=True))
def test_each_run_comes_after_the_one_it_starts_from(data, seeds):
    names = [f"v{index}-" for index in range(data.draw(st.integers(1, 8)))]
    parents = {name: data.draw(st.sampled_from([None, *names[:place]])) for place, name in enumerate(names)}
    plan = make_plan(parents, seeds, data.draw(st.sampled_from(names)))
    ordered = order_runs(plan, plan.runs)
    assert sorted(run.id for run in ordered) == sorted(run.id for run in plan.runs)
    place = {run.id: index for index, run in enumerate(ordered)}
    assert all(place[run.start.run_id] < place[run.id] for run in plan.runs if run.start)
    assert [run.seed for run in ordered] == [seed for seed in seeds for _ in names]


class Clock:
    """Hours pass as the executor says."""

    def __init__(self):
        self.now = 0.0
        self.closed = False

    def executor(self, hours):
        """Each run takes so many hours, in which nothing is heard of it."""

        def execute(runs, folders):
            try:
                for run in runs:
                    yield Started(run)
                    for _ in range(hours * 10):
                        self.now += HOUR / 10
                        yield Tick()
                    result = RunResult(run.id, "finished")
                    save_result(folders[run.id], result)
                    yield Ended(run, result)
            finally:
                self.closed = True

        return execute


@pytest.fixture
def study(tmp_path):
    plan = make_plan(CHAIN, (0, 1), "reference")
    return plan, {run.id: run_folder(tmp_path, run.id) for run in plan.runs}


def spend(study, budget, hours=2):
    plan, folders = study
    clock = Clock()
    events = list(within(clock.executor(hours), plan, budget, lambda: clock.now)(plan.runs, folders))
    ended = [event.run.id for event in events if isinstance(event, Ended)]
    return clock, ended, [event.text for event in events if isinstance(event, Warned)]


def test_hours_end_what_is_under_way_though_nothing_is_heard(study):
    clock, ended, said = spend(study, Budget(hours=5))
    assert ended == ["a0", "b0"]
    assert clock.now == pytest.approx(5 * HOUR)
    assert clock.closed
    assert said == ["stopped by --max-hours 5: 2 of 10 runs finished; the same command goes on"]


def test_so_many_runs_and_no_more(study):
    _, ended, said = spend(study, Budget(runs=3))
    assert ended == ["a0", "b0", "reference0"]
    assert said == ["stopped by --max-runs 3: 3 of 10 runs finished; the same command goes on"]


def test_both_limits_and_the_one_that_was_met_is_named(study):
    assert "--max-hours 3:" in spend(study, Budget(hours=3, runs=3))[2][0]
    assert "--max-runs 1:" in spend(study, Budget(hours=3, runs=1))[2][0]


@pytest.mark.parametrize("budget", [Budget(), Budget(hours=21), Budget(runs=10)])
def test_a_budget_that_suffices_says_nothing(study, budget):
    _, ended, said = spend(study, budget)
    assert len(ended) == 10
    assert said == []


def test_without_a_budget_chains_keep_the_order_that_fills_the_cores(study):
    plan, folders = study
    assert spend(study, Budget())[1] == [run.id for run in plan.runs]
    single = replace(plan, runs=tuple(replace(run, start=None) for run in plan.runs))
    assert spend((single, folders), Budget())[1][:2] == ["reference0", "a0"]


@pytest.mark.slow
def test_a_study_in_three_calls_ends_whole(tmp_path):
    """The program as its user runs it: a report comes out each time, and nothing is done twice."""
    (tmp_path / "tiny.yaml").write_text(TINY)
    code, rows, said = run_tiny(tmp_path, "--max-runs", "1")
    assert (code, rows) == (0, ["finished", "to do", "to do", "to do"])
    assert "stopped by --max-runs 1: 1 of 4 runs finished; the same command goes on" in said
    assert "3 of 4 runs have no result" in (tmp_path / "reports/tiny/report.md").read_text()
    assert study_status(tmp_path) == "KILLED"
    first = final_counts(tmp_path / "mlruns")
    code, rows, said = run_tiny(tmp_path, "--max-hours", "0.0005", "--jobs", "1")
    assert code == 0
    assert "stopped by --max-hours 0.0005:" in said
    assert "to do" in rows
    code, rows, said = run_tiny(tmp_path)
    assert (code, rows) == (0, ["finished"] * 4)
    assert "baseline/seed0: finished before" in said
    assert first.items() <= final_counts(tmp_path / "mlruns").items()
    assert study_status(tmp_path) == "FINISHED"


def run_tiny(place, *options):
    done = harness_here("run", "tiny.yaml", "--json", *options, cwd=place)
    return done.returncode, [row["status"] for row in json.loads(done.stdout)["runs"]], done.stderr


def study_status(place):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{place}/mlruns/mlflow.db")
    experiment = client.get_experiment_by_name("tiny")
    (parent,) = client.search_runs([experiment.experiment_id], "tags.`harness.kind` = 'study'")
    return parent.info.status
