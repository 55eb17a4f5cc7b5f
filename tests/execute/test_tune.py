"""Searches that are cut short go on where they were: in the small at every single step, and with real processes."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import time
from dataclasses import replace

import optuna
import pytest
from tiny_study import harness_command, harness_here

from harness.errors import HarnessError, InputError
from harness.execute.events import Advanced, Ended, Started
from harness.execute.inputs import make_reader
from harness.records import Progress, RunResult
from harness.runs.folder import append_progress, load_result, read_progress, run_folder, save_result
from harness.spec.load import load_spec
from harness.tune.loop import TrialEnded, open_search, searched, tune_variant

SPEC = """
study: hill
question: Is the top found?
base:
  data: {name: desert, size: [16, 16], train_images: 4, val_images: 9, test_images: 1}
  model: {name: unet, base_channels: 4}
  loss: {cross_entropy: {}}
  train: {epochs: 4, batch_size: 2}
variants:
  plain: {}
seeds: [0]
tune:
  space:
    optimizer.lr: {log_uniform: [1.0e-4, 1.0]}
    train.batch_size: {choice: [2, 4]}
  startup: 2
  trials: 7
"""


class Folders:
    """A store that keeps nothing but the run folders, and what it was told last of each run."""

    def __init__(self, root):
        self.root = root
        self.shown = {}

    def open_study(self, plan):
        assert plan.kind == "tuning"

    def mirror(self, run, folder, status):
        self.shown[run.id] = status

    def close_study(self, status):
        self.study = status

    def fetch(self, run_id, study, folder):
        return False


class Cut(BaseException):
    """The process is killed here."""


class Cutter:
    """Lets so many steps pass, then kills."""

    def __init__(self, steps=math.inf):
        self.left = steps

    def step(self):
        self.left -= 1
        if self.left < 0:
            raise Cut


def value_of(config, epoch):
    hill = -((math.log10(config.optimizer.lr) + 2) ** 2) + 0.1 * (config.train.batch_size == 2)
    return hill - 1 / epoch


def make_executor(cutter, trained):
    """Return an executor that needs no torch: a run's score is a hill over the learning rate, its journal is real."""

    def execute(runs, folders):
        for run in runs:
            folder = folders[run.id]
            yield Started(run)
            history = list(read_progress(folder))
            for epoch in range(1, run.config.train.epochs + 1):
                if epoch > len(history):
                    cutter.step()
                    trained.append((run.id, epoch))
                    metrics = {"val/miou_dataset": value_of(run.config, epoch), "train/images_per_s": 30.0}
                    history.append(Progress(epoch, run.config.train.epochs, metrics, True, epoch))
                    append_progress(folder, history[-1])
                    cutter.step()
                yield Advanced(run, history[epoch - 1])
            cutter.step()
            result = RunResult(run.id, "finished", history=tuple(history), best_epoch=len(history), seconds=20.0)
            save_result(folder, result)
            cutter.step()
            yield Ended(run, result)

    return execute


@pytest.fixture
def spec(tmp_path):
    def load(text=SPEC):
        (tmp_path / "hill.yaml").write_text(text)
        return load_spec(tmp_path / "hill.yaml")

    return load


def search(spec, root, cutter, trained, store=None):
    site = open_search(
        spec,
        spec.variants[0],
        store or Folders(root),
        make_executor(cutter, trained),
        make_reader(),
        url=f"sqlite:///{root}/optuna.db",
    )
    for event in tune_variant(site):
        cutter.step()
        yield event


def outcome(spec, root):
    site = open_search(spec, spec.variants[0], Folders(root), None, make_reader(), url=f"sqlite:///{root}/optuna.db")
    return [(t.number, t.state, t.values, t.scores, t.epochs, t.run_id) for t in searched(site).trials]


@pytest.mark.parametrize("pruner", ["median", pytest.param("hyperband", marks=pytest.mark.slow)])
def test_cut_at_any_step_it_ends_with_the_same_trials(spec, tmp_path, pruner):
    """Each life of the search is a little longer than the one before; all steps of a search are among its ends."""
    text = SPEC.replace("  startup: 2", f"  pruner: {pruner}\n  startup: 2")
    whole = Cutter()
    trained_whole = []
    events = list(search(spec(text), tmp_path / "whole", whole, trained_whole))
    expected = outcome(spec(text), tmp_path / "whole")
    assert {state for _, state, *_ in expected} == {"finished", "pruned"}
    assert sum(isinstance(event, TrialEnded) for event in events) == 7
    lives, trained = 0, []
    for steps in (0, 1, 2, 3, 5, 4, 7, 6, 9, 8, *[10] * 30):
        lives += 1
        try:
            list(search(spec(text), tmp_path / "pieces", Cutter(steps), trained))
            break
        except Cut:
            pass
    assert lives > 10
    assert outcome(spec(text), tmp_path / "pieces") == expected
    assert sorted(set(trained)) == sorted(set(trained_whole))
    assert len(trained) == len(set(trained))  # no epoch is trained twice: not even of a trial that was cut short


def test_a_pruned_run_is_marked_and_its_journal_is_its_record(spec, tmp_path):
    store = Folders(tmp_path)
    for event in search(spec(), tmp_path, Cutter(), [], store):
        if isinstance(event, TrialEnded):
            assert store.study == "finished"  # the search goes well, whatever becomes of one trial
    pruned = [row for row in outcome(spec(), tmp_path) if row[1] == "pruned"]
    assert pruned
    for _, _, _, scores, epochs, run_id in pruned:
        result = load_result(run_folder(tmp_path, run_id))
        assert (result.status, store.shown[run_id]) == ("pruned", "pruned")
        assert re.match(r"median: miou_dataset -\d+\.\d{4} after epoch \d", result.reason)
        assert {item.epoch for item in result.history} == set(epochs)
        assert max(epochs) < 4
        assert not scores


def test_more_trials_can_be_asked_for_later(spec, tmp_path):
    list(search(spec(SPEC.replace("trials: 7", "trials: 4")), tmp_path / "pieces", Cutter(), []))
    list(search(spec(), tmp_path / "pieces", Cutter(), []))
    list(search(spec(), tmp_path / "whole", Cutter(), []))
    assert outcome(spec(), tmp_path / "pieces") == outcome(spec(), tmp_path / "whole")


def test_hours_end_a_search(spec, tmp_path):
    text = SPEC.replace("startup: 2", "startup: 9\n  hours: 0.015")  # 54 s, of which each trial says it took 20
    list(search(spec(text), tmp_path, Cutter(), []))
    assert len(outcome(spec(text), tmp_path)) == 3


def test_bounds_are_kept_by_the_winner(spec, tmp_path):
    text = SPEC.replace("startup: 2", "startup: 9\n  constraints: {images_per_s: {at_least: 31}}")
    list(search(spec(text), tmp_path, Cutter(), []))
    site = open_search(
        spec(text),
        spec(text).variants[0],
        Folders(tmp_path),
        None,
        make_reader(),
        url=f"sqlite:///{tmp_path}/optuna.db",
    )
    found = searched(site)
    assert {trial.state for trial in found.trials} == {"finished"}
    assert found.trials[0].excess == {"images_per_s at least 31": 1.0}
    assert found.winner is None


def test_two_processes_share_a_search(spec, tmp_path):
    """The second one neither repeats the trial under way nor waits for it."""
    first = search(spec(), tmp_path, Cutter(), [])
    assert [type(next(first)).__name__ for _ in range(2)] == ["TrialBegan", "Started"]
    others = [event.trial.number for event in search(spec(), tmp_path, Cutter(), []) if isinstance(event, TrialEnded)]
    assert others == [1, 2, 3, 4, 5, 6]
    assert [event.trial.number for event in first if isinstance(event, TrialEnded)] == [0]


def test_a_trial_that_fails_is_tried_once_more_and_the_search_goes_on(spec, tmp_path):
    attempts = []

    def execute(runs, folders):
        for run in runs:
            attempts.append(run.id)
            result = RunResult(run.id, "failed", "the loss is nan")
            save_result(folders[run.id], result)
            yield Started(run)
            yield Ended(run, result)

    plain = spec(SPEC.replace("trials: 7", "trials: 2"))
    site = open_search(plain, plain.variants[0], Folders(tmp_path), execute, make_reader(), url="sqlite:///:memory:")
    ended = [event.trial for event in tune_variant(site) if isinstance(event, TrialEnded)]
    assert [(trial.state, trial.reason) for trial in ended] == [("failed", "the loss is nan")] * 2
    assert len(attempts) == 4


def test_trials_of_a_variant_whose_start_fails_are_not_made(spec, tmp_path):
    def execute(runs, folders):
        result = RunResult(runs[0].id, "failed", "the loss is nan")
        save_result(folders[runs[0].id], result)
        yield Ended(runs[0], result)

    both = spec(SPEC.replace("  plain: {}", "  plain: {}\n  child: {from: plain@best}"))
    site = open_search(both, both.variants[1], Folders(tmp_path), execute, make_reader(), url="sqlite:///:memory:")
    with pytest.raises(HarnessError, match="plain/seed1 failed, from which trials start: the loss is nan"):
        list(tune_variant(site))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  trials: 7", "  objective: iou/Rock", "iou/Rock: no such class; did you mean 'Rocks'"),
        ("val_images: 9", "val_images: 2", "too few to hold a third of them out"),
    ],
)
def test_what_only_the_data_know_is_said_before_the_first_trial(spec, tmp_path, old, new, message):
    with pytest.raises(InputError, match=message):
        list(search(spec(SPEC.replace(old, new)), tmp_path, Cutter(), []))


REAL = """
study: real
question: Which learning rate?
base:
  data: {name: desert, size: [24, 24], train_images: 6, val_images: 9, test_images: 1}
  model: {name: unet, base_channels: 2}
  loss: {cross_entropy: {}}
  train: {epochs: 2, batch_size: 3}
variants:
  plain: {}
seeds: [0]
tune:
  space:
    optimizer.lr: {log_uniform: [1.0e-4, 1.0]}
  startup: 2
  trials: 4
"""


def real_trials(place):
    names = optuna.study.get_all_study_names(storage=f"sqlite:///{place}/mlruns/optuna.db")
    (name,) = names
    study = optuna.load_study(study_name=name, storage=f"sqlite:///{place}/mlruns/optuna.db")
    return [(t.number, t.state.name, t.params, t.values, t.intermediate_values) for t in study.trials]


def kill_after(command, place, line, seconds):
    """Run the program until it prints a line and for some seconds more, then kill it; return what it said."""
    said = []
    with subprocess.Popen(command, cwd=place, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        while not said or line not in said[-1]:
            said.append(next(process.stderr))
        time.sleep(seconds)
        os.kill(process.pid, signal.SIGKILL)
    return "".join(said)


@pytest.mark.slow
def test_killed_in_a_trial_it_makes_the_same_trials_as_in_one_go(tmp_path):
    """Real processes, a real store, SIGKILL of the parent; then both reports are there, and MLflow shows it all."""
    places = [tmp_path / name for name in ("whole", "pieces")]
    for place in places:
        place.mkdir()
        (place / "real.yaml").write_text(REAL)
    command = harness_command("tune", "real.yaml", "--json")
    said = kill_after(command, places[0], "trial 4 of 4", 0)  # the comparison is made below
    assert "optuna" not in said.lower()
    kill_after(command, places[1], "trial 2 of 4", 1.0)  # in the next trial
    last = harness_here("tune", "real.yaml", "--json", cwd=places[1])
    assert last.returncode == 0, last.stderr
    assert "trial 1 of 4" not in last.stderr  # what is finished is not run again
    assert real_trials(places[1]) == real_trials(places[0])
    assert len(real_trials(places[0])) == 4
    runs = json.loads(last.stdout)["runs"]
    assert [(row["variant"], row["status"]) for row in runs] == [("plain", "finished"), ("plain-tuned", "finished")]
    page = (places[1] / "reports/real-tuned/tuning.md").read_text()
    assert "tuning saw none of these images" in page
    assert (places[1] / "reports/real-tuned/report.md").exists()
    _check_mlflow(places[1])


def _check_mlflow(place):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{place}/mlruns/mlflow.db")
    experiment = client.get_experiment_by_name("real-trials")
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if run.data.tags["harness.kind"] == "tuning"]
    trials = {run.data.tags["mlflow.runName"]: run for run in runs if run is not parent}
    assert set(trials) == {f"plain.trial{number:03}/seed1" for number in range(4)}
    assert {run.data.tags["mlflow.parentRunId"] for run in trials.values()} == {parent.info.run_id}
    states = {"COMPLETE": ("finished", "FINISHED"), "PRUNED": ("pruned", "KILLED")}
    for number, state, *_ in real_trials(place):
        run = trials[f"plain.trial{number:03}/seed1"]
        assert (run.data.tags["harness.status"], run.info.status) == states[state]
    (study,) = [
        run
        for run in client.search_runs([client.get_experiment_by_name("real-tuned").experiment_id])
        if run.data.tags["harness.kind"] == "study"
    ]
    assert {"tuning.md", "report.md"} <= {
        item.path.split("/")[-1] for item in client.list_artifacts(study.info.run_id, "report")
    }


def test_a_study_without_tuning_says_so(workplace):
    done = harness_here("tune", "tiny.yaml")
    assert done.returncode == 2
    assert (
        done.stderr
        == "error: tiny.yaml: the key 'tune' is missing: it says which settings are searched (docs/tuning.md)\n"
    )


def test_group_scores_are_those_of_the_groups_images(spec):
    """What wilcoxon compares; noting it gives the run no other id."""
    from harness.records import GROUP_PREFIX, Machine
    from harness.scores import all_scores, score_groups
    from harness.spec.plan import run_id
    from harness.train.evaluate import evaluate
    from harness.train.loop import train
    from harness.train.setup import build_setup

    plain = spec().variants[0].config
    noting = spec(SPEC.replace("epochs: 4", "epochs: 1") + "  pruner: none\n").variants[0].config
    noting = replace(
        noting, evaluate=noting.evaluate.model_copy(update={"epochs_by": "group", "select_split": "held_out"})
    )
    setup = build_setup(noting, Machine("cpu"), start=None)
    (epoch,) = train(setup)
    counts = evaluate(setup, "select").counts
    noted = {name.removeprefix(GROUP_PREFIX): v for name, v in epoch.metrics.items() if name.startswith(GROUP_PREFIX)}
    assert list(noted) == list(counts.groups)  # each image of desert is a group
    assert noted == score_groups(counts, "miou_dataset")
    one = replace(counts, groups=("all",) * len(counts.groups))
    for name, value in all_scores(counts).items():
        assert score_groups(one, name) == {"all": value}
    other = replace(plain, evaluate=plain.evaluate.model_copy(update={"epochs_by": "group"}))
    assert run_id(plain, {"data": "d"}, None) == run_id(other, {"data": "d"}, None)
