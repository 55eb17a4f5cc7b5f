"""A warm-started recipe that destroys what it starts from, trained for real: it never carries its parent's score."""

from __future__ import annotations

import functools
import json
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_study import harness_here

from harness import api
from harness.apply.choose import choose
from harness.counts import load_counts
from harness.errors import InputError
from harness.execute.events import Ended, Started
from harness.execute.inputs import make_reader
from harness.execute.run import run_one
from harness.execute.study import execute_plan
from harness.records import Machine, Plan, RunResult
from harness.runs.folder import load_result, read_progress, run_folder, save_result
from harness.runs.stale import remember_runs
from harness.scores import miou_dataset
from harness.tune.loop import open_search, searched, tune_variant

SPEC = """\
study: ruin
question: Does training at a ruinous rate carry the score of what it started from?
base:
  data: {name: desert, size: [32, 32], train_images: 16, val_images: 12, test_images: 6}
  model: {name: unet, base_channels: 4}
  loss: {cross_entropy: {}}
  optimizer: {name: adam, lr: 1.0e-2}
  train: {epochs: 10, batch_size: 4}
variants:
  parent: {}
  ruin:
    from: parent@best
    set: {optimizer: {name: sgd, lr: 20.0}, train.epochs: 3}
  after:
    from: ruin@best
    set: {train.epochs: 0}
seeds: [0, 1, 2]
compare: {reference: parent, epoch: best, split: val}
"""
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Trained:
    place: Path
    plan: Plan
    results: dict[str, RunResult]

    def result(self, label: str) -> RunResult:
        return self.results[next(run.id for run in self.plan.runs if run.label == label)]


def in_this_process(runs, folders):
    for run in runs:
        yield Started(run)
        start = folders[run.start.run_id].best if run.start else None
        run_one(run, folders[run.id], Machine("cpu"), start, lambda progress: None)
        yield Ended(run, load_result(folders[run.id]))


_KEPT: list[tempfile.TemporaryDirectory[str]] = []


@functools.cache
def trained() -> Trained:
    _KEPT.append(tempfile.TemporaryDirectory())
    place = Path(_KEPT[0].name)
    (place / "ruin.yaml").write_text(SPEC)
    plan = api.make_plan(api.load_spec(place / "ruin.yaml"))
    remember_runs(place / "mlruns", plan)
    events = execute_plan(plan, plan.runs, api.open_store(place / "mlruns"), in_this_process)
    ended = {event.run.id: event.result for event in events if isinstance(event, Ended)}
    assert {result.status for result in ended.values()} == {"finished"}
    return Trained(place, plan, ended)


def score(counts) -> float:
    return miou_dataset(counts.confusion_CC())


def same(first, second) -> bool:
    return bool(first.images == second.images and (first.confusion_NCC() == second.confusion_NCC()).all())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_best_last_and_start_are_counted_on_every_split(seed):
    """The parent's own counts are an oracle for the start: same weights, same images, same settings."""
    parent, ruin = (trained().result(f"{name}/seed{seed}") for name in ("parent", "ruin"))
    assert list(ruin.counts) == list(ruin.last_counts) == list(ruin.start_counts) == ["val", "test"]
    epochs = {item.epoch: item.metrics["val/miou_dataset"] for item in ruin.history}
    own = {epoch: value for epoch, value in epochs.items() if epoch > 0}
    assert ruin.best_epoch == max(own, key=lambda epoch: (own[epoch], -epoch))
    assert max(own.values()) < epochs[0], "a rate of 20 destroys the weights"
    assert score(ruin.counts["val"]) == pytest.approx(own[ruin.best_epoch])
    assert score(ruin.last_counts["val"]) == pytest.approx(own[3])
    for split in ("val", "test"):
        assert same(ruin.start_counts[split], parent.counts[split])
        assert not same(ruin.counts[split], parent.counts[split])
    assert parent.start_counts == {}
    assert score(parent.last_counts["val"]) == pytest.approx(parent.history[-1].metrics["val/miou_dataset"])


def test_what_starts_from_its_best_epoch_starts_from_its_own():
    for seed in range(3):
        ruin, after = (trained().result(f"{name}/seed{seed}") for name in ("ruin", "after"))
        assert [item.epoch for item in after.history] == [0]
        assert after.best_epoch == 0
        assert same(after.counts["test"], ruin.counts["test"])
        assert same(after.last_counts["test"], ruin.counts["test"])
        assert after.start_counts == {}


def test_each_kind_of_counts_lies_beside_its_contract():
    folder = run_folder(trained().place / "mlruns", trained().result("ruin/seed0").run_id)
    found = {path.relative_to(folder.evaluation).as_posix() for path in folder.evaluation.glob("**/*.npz")}
    assert {f"{where}{split}.npz" for where in ("", "last/", "start/") for split in ("val", "test")} <= found
    kinds = {
        where: json.loads((folder.evaluation / where / "contract.json").read_text()) for where in ("", "last", "start")
    }
    assert {where: contract["checkpoint"] for where, contract in kinds.items()} == {
        "": "best",
        "last": "last",
        "start": "start",
    }
    entry = json.loads(folder.result.read_text())
    assert {"evaluation/last/val.npz", "evaluation/start/test.npz"} <= entry["sha256"].keys()
    assert same(load_counts(folder.evaluation / "last" / "val.npz"), trained().result("ruin/seed0").last_counts["val"])


def test_the_report_calls_it_worse_than_its_start(tmp_path):
    report = api.make_report(trained().plan, trained().results, tmp_path)
    for split in ("val", "test"):
        claims = [item.headline for item in report.comparisons if item.split == split]
        own = [item for item in report.own_training if item.split == split]
        assert [(item.variant, item.start, item.kept_start) for item in own] == [("ruin", "parent@best", (0, 1, 2))]
        said = "regressed" if split == report.primary else "not judged"
        assert [claim.outcome for claim in (*claims, own[0].claim)] == [said, said]
        assert own[0].claim.delta < 0
        parent = report.variants[0].scores[split]["miou_dataset"]
        assert own[0].kept.values == parent.values
        assert not set(report.variants[1].scores[split]["miou_dataset"].values) & set(parent.values)
    text = (tmp_path / "ruin" / "report.md").read_text()
    assert "exactly like" not in text
    assert "Start -> own training: **ruin regressed**" in text
    assert "'after' is evaluated only (0 epochs): it scores the weights of ruin@best, untrained" in text


def test_the_registry_shows_its_own_best_epoch():
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{trained().place}/mlruns/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("ruin").experiment_id])
    metrics = {run.info.run_name: run.data.metrics for run in runs}
    for seed in range(3):
        parent, ruin = metrics[f"parent/seed{seed}"], metrics[f"ruin/seed{seed}"]
        result = trained().result(f"ruin/seed{seed}")
        assert ruin["best/epoch"] == result.best_epoch > 0
        assert ruin["best/val/miou_dataset"] == pytest.approx(score(result.counts["val"]))
        assert ruin["best/test/miou_dataset"] == pytest.approx(score(result.counts["test"]))
        assert ruin["last/test/miou_dataset"] == pytest.approx(score(result.last_counts["test"]))
        assert ruin["best/val/miou_dataset"] < parent["best/val/miou_dataset"]


def test_the_weights_that_are_used_are_its_own():
    store = api.open_store(trained().place / "mlruns")
    parent, ruin = (
        torch.load(choose(f"ruin/{name}/seed0@best", store).weights, weights_only=True) for name in ("parent", "ruin")
    )
    assert any(not torch.equal(parent[name], ruin[name]) for name in parent)
    chosen = choose("ruin/ruin@best", store)
    finals = {seed: score(trained().result(f"ruin/seed{seed}").counts["val"]) for seed in range(3)}
    assert chosen.seed == max(finals, key=lambda seed: finals[seed])


def test_the_store_brings_all_counts_elsewhere(tmp_path):
    store = api.open_store(tmp_path / "elsewhere", f"sqlite:///{trained().place}/mlruns/mlflow.db")
    result = trained().result("ruin/seed1")
    stored = store.load_results("ruin", [result.run_id])[result.run_id]
    folder = run_folder(tmp_path / "elsewhere", result.run_id)
    assert store.fetch(result.run_id, "ruin", folder)
    for found in (stored, load_result(folder)):
        assert same(found.last_counts["test"], result.last_counts["test"])
        assert same(found.start_counts["test"], result.start_counts["test"])


def harness(*arguments: str) -> subprocess.CompletedProcess[str]:
    return harness_here(*arguments, cwd=trained().place)


def test_the_gate_judges_the_spec_as_it_is_written():
    """The same command on the same results: the recipe fails, its parent's double passes, and an edit is noticed."""
    options = ("--variant", "ruin", "--max-drop", "0.01")
    failed = harness("gate", "ruin.yaml", *options)
    assert failed.returncode == 3, failed.stderr
    assert "not trained as written" not in failed.stdout
    by_name = harness("gate", "ruin", *options)
    assert (by_name.returncode, by_name.stdout) == (3, failed.stdout)
    assert harness("gate", "ruin.yaml", "--variant", "ruin", "--max-drop", "1").returncode == 0
    spec = trained().place / "edited.yaml"
    spec.write_text(SPEC.replace("lr: 20.0", "lr: 30.0"))
    edited = harness("gate", "edited.yaml", "--variant", "ruin", "--max-drop", "1")
    assert edited.returncode == 3, edited.stdout
    assert "3 runs not trained as written" in edited.stdout
    told = "ruin/seed0: skipped: it was trained with other settings (optimizer.lr 20.0 then, 30.0 now), not as the spec"
    assert told in edited.stdout
    assert harness("gate", "edited.yaml", "--variant", "ruin", "--max-drop", "1", "--set", "seed=1").returncode == 2
    more = harness("gate", "ruin.yaml", "--variant", "ruin", "--max-drop", "1", "--seeds", "0,1,2,3")
    assert more.returncode == 3
    assert "- parent/seed3: not run yet" in more.stdout
    assert "the spec's file" in harness("gate", "ruin", "--seeds", "0").stderr


def test_the_last_epoch_is_compared_without_training_anything():
    """Written in the spec or set by an option; `report` works on what is stored."""
    place = trained().place
    (place / "last.yaml").write_text(SPEC.replace("epoch: best", "epoch: last"))
    option, expected = ("--set", "compare.epoch=last"), {}
    for split in ("val", "test"):
        expected[split] = [score(trained().result(f"ruin/seed{seed}").last_counts[split]) for seed in range(3)]
    for place_of, command in {
        "written": ("run", "last.yaml", "--json"),
        "set": ("run", "ruin.yaml", "--json", *option),
        "stored": ("report", "ruin.yaml", "--set", "compare.epoch=best", *option),
    }.items():
        done = harness(*command, "--reports", place_of)
        assert done.returncode == 0, done.stderr
        assert "epoch 1/" not in done.stderr
        report = json.loads((place / place_of / "ruin/report.json").read_text())
        assert report["epoch"] == "last"
        (ruin,) = [variant for variant in report["variants"] if variant["name"] == "ruin"]
        for split, values in expected.items():
            assert ruin["scores"][split]["miou_dataset"]["values"] == pytest.approx(values)
    text = (place / "stored/ruin/report.md").read_text()
    assert "which is not the epoch that is compared: of last epochs no pictures are kept" in text
    assert harness("gate", "ruin.yaml", "--variant", "ruin", *option).returncode == 3
    assert "only keys of compare do" in harness("report", "ruin", "--set", "train.epochs=1").stderr


def test_killed_after_any_epoch_it_keeps_its_own_best(tmp_path):
    """Stopped after its start, and after each epoch, a run ends with the counts that it has undisturbed."""
    run = next(run for run in trained().plan.runs if run.label == "ruin/seed0")
    start = run_folder(trained().place / "mlruns", run.start.run_id).best
    folder = run_folder(tmp_path, run.id)

    class Killed(BaseException):
        pass

    for number in range(4):

        def stop(progress, last=number):
            if getattr(progress, "epoch", None) == last:
                raise Killed

        with pytest.raises(Killed):
            run_one(run, folder, Machine("cpu"), start, stop)
        assert folder.best.exists() == (number > 0)
    run_one(run, folder, Machine("cpu"), start, lambda progress: None)
    found, whole = load_result(folder), trained().results[run.id]
    assert found.best_epoch == whole.best_epoch
    for kind in ("counts", "last_counts", "start_counts"):
        assert all(same(getattr(found, kind)[split], getattr(whole, kind)[split]) for split in ("val", "test"))


def test_a_search_scores_what_its_trials_trained(tmp_path):
    """Its objective and its bounds: were they those of the parent, every trial would be as good as any other."""
    search = "tune: {space: {optimizer.lr: {choice: [10.0, 20.0]}}, trials: 2, pruner: none, judge_on: val}\n"
    (tmp_path / "tuned.yaml").write_text(SPEC + search)
    spec = api.load_spec(tmp_path / "tuned.yaml")
    ruin = next(variant for variant in spec.variants if variant.name == "ruin")
    store, url = api.open_store(tmp_path / "mlruns"), f"sqlite:///{tmp_path}/optuna.db"
    site = open_search(spec, ruin, store, in_this_process, make_reader(), url=url)
    for _ in tune_variant(site):
        pass
    trials = searched(site).trials
    assert [trial.state for trial in trials] == ["finished"] * 2
    for trial in trials:
        start, *own = [item.metrics["val/miou_dataset"] for item in read_progress(run_folder(store.root, trial.run_id))]
        assert trial.scores == (max(own),)
        assert max(own) < start


def test_what_an_older_version_left_is_not_used_under_its_name():
    """The best epoch of a trained run is 0: its file is the parent's weights."""
    store = api.open_store(trained().place / "mlruns")
    folder = run_folder(store.root, trained().result("ruin/seed2").run_id)
    kept = load_result(folder)
    save_result(folder, replace(kept, best_epoch=0))
    try:
        with pytest.raises(InputError, match="the weights of its best epoch are not its own"):
            choose("ruin/ruin/seed2@best", store)
        with pytest.raises(InputError, match=r"last weights are kept where compare\.epoch is last"):
            choose("ruin/ruin/seed2@last", store)
        assert choose("ruin/ruin@best", store).seed in (0, 1)
    finally:
        save_result(folder, kept)
    assert np.isfinite(score(choose("ruin/ruin/seed2@best", store).counts["val"]))
