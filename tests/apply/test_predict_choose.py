"""RUN -> a chosen run, from run folders, from the tracking store, and on a machine without the data."""

import shutil

import numpy as np
import pytest

from harness import api
from harness.apply.choose import choose
from harness.apply.model import load_model
from harness.apply.recorded_run import read_config
from harness.errors import InputError
from harness.runs.folder import load_result, read_entry, record_weights, run_folder, write_entry


@pytest.fixture
def store(trained):
    return api.open_store(trained.place / "mlruns")


def run_of(store, variant, seed):
    return next(run for run in store.load_plan("rough").runs if (run.variant, run.seed) == (variant, seed))


def named(chosen):
    return chosen.label, chosen.run_id, chosen.weights, chosen.note


def test_without_a_seed_it_is_the_one_with_the_highest_selection_score(store):
    scores = {}
    for seed in (0, 1):
        result = load_result(run_folder(store.root, run_of(store, "small", seed).id))
        scores[seed] = max(epoch.metrics["val/miou_dataset"] for epoch in result.history)
    best = max(scores, key=scores.get)
    chosen = choose("rough/small@best", store)
    assert (chosen.study, chosen.variant, chosen.seed, chosen.which) == ("rough", "small", best, "best")
    assert chosen.label == f"rough/small/seed{best}@best"
    assert f"seed {best} is used" in chosen.note
    assert f"{scores[best]:.4f}" in chosen.note
    assert named(choose("rough/small", store)) == named(chosen)


def test_a_seed_an_epoch_and_ids_name_the_same_run(store, trained):
    from mlflow import MlflowClient

    run = run_of(store, "small", 1)
    folder = run_folder(store.root, run.id)
    shutil.copy(folder.best, folder.last)  # as a study leaves it that compares last epochs
    record_weights(folder, folder.last, folder.path)
    chosen = choose("rough/small/seed1@last", store)
    assert chosen.run_id == run.id
    assert chosen.weights == run_folder(store.root, run.id).last
    assert chosen.note == ""
    client = MlflowClient(f"sqlite:///{trained.place}/mlruns/mlflow.db")
    experiment = client.get_experiment_by_name("rough").experiment_id
    found = client.search_runs([experiment], f"tags.`harness.id` = '{run.id}'")[0].info
    client.create_registered_model("rough-model")
    client.create_model_version("rough-model", found.artifact_uri, run_id=found.run_id)
    client.set_registered_model_alias("rough-model", "winner", "1")
    best = choose("rough/small/seed1@best", store)
    for name in (run.id, found.run_id, f"{run.id}@best", "models:/rough-model/1", "models:/rough-model@winner"):
        assert named(choose(name, store)) == named(best), name
    with pytest.raises(InputError, match="did you mean 'winner'"):
        choose("models:/rough-model@winer", store)
    with pytest.raises(InputError, match="no version '7'; known: 1"):
        choose("models:/rough-model/7", store)
    with pytest.raises(InputError, match="did you mean 'rough-model'"):
        choose("models:/rough-modl/1", store)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rogh/small@best", "did you mean 'rough'"),
        ("rough/smal@best", "did you mean 'small'"),
        ("rough/small@bset", "did you mean 'best'"),
        ("rough/small/seed7", "known: 0, 1"),
        ("0123456789ab", "has such a run"),
        ("what is this", "names no run"),
    ],
)
def test_what_names_no_run_is_told_with_what_would(store, text, told):
    with pytest.raises(InputError, match=told):
        choose(text, store)


def test_the_config_read_back_is_the_one_that_was_run(store):
    for run in store.load_plan("rough").runs:
        assert read_config(run_folder(store.root, run.id).config) == run.config


def test_a_run_that_is_elsewhere_is_fetched_and_gives_the_same_logits(store, trained, tmp_path, monkeypatch):
    here = choose("rough/small/seed0@best", store)
    elsewhere = api.open_store(tmp_path / "empty", store.uri)
    there = choose("rough/small/seed0@best", elsewhere)
    assert there.folder.path == tmp_path / "empty" / "runs" / here.run_id
    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    monkeypatch.chdir(tmp_path)  # the data set is neither here nor where it was
    assert (load_model(here, device="cpu")([image]) == load_model(there, device="cpu")([image])).all()


def test_last_weights_that_stayed_where_they_were_are_told(store, tmp_path):
    elsewhere = api.open_store(tmp_path / "empty", store.uri)
    with pytest.raises(InputError, match="use @best"):
        choose("rough/small/seed0@last", elsewhere)


def test_unfinished_seeds_are_left_out_and_told(store, trained, tmp_path):
    run = run_of(store, "small", 0)
    copy = tmp_path / "mlruns"
    shutil.copytree(store.root / "runs", copy / "runs")
    result = copy / "runs" / run.id / "result.json"
    write_entry(result, {**read_entry(result), "status": "failed", "reason": "the loss is nan"})
    partial = api.open_store(copy, store.uri)
    chosen = choose("rough/small@best", partial)
    assert chosen.seed == 1
    assert "the others are not finished" in chosen.note


def test_a_model_that_sees_depth_is_refused(store):
    from dataclasses import replace

    chosen = choose("rough/small/seed0@best", store)
    seen = {**chosen.result.provenance["preprocessing"], "inputs": ["rgb", "depth"]}
    deep = replace(chosen, result=replace(chosen.result, provenance={"preprocessing": seen}))
    with pytest.raises(InputError, match="sees depth"):
        load_model(deep, device="cpu")
