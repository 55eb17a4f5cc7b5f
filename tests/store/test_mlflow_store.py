"""The MLflow store against a real SQLite store: the contract, replays, kills, several writers on a fresh store."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from toy_study import SPEC, epoch, finish, toy_plan

from harness.errors import InputError
from harness.records import RunResult
from harness.runs.folder import append_progress, load_result, run_folder, save_result
from harness.tracking.mlflow_store import MlflowStore
from harness.tracking.protocol import StoreError
from harness.tracking.server import make_server_command


@pytest.fixture
def plan(tmp_path):
    return toy_plan(tmp_path)


@pytest.fixture
def store(tmp_path):
    return MlflowStore(tmp_path / "mlruns")


def found_run(store, plan, run_id):
    client = store._client
    experiment = client.get_experiment_by_name(plan.study)
    runs = client.search_runs([experiment.experiment_id], f"tags.`harness.id` = '{run_id}'")
    assert len(runs) == 1
    return runs[0]


def test_contract_of_a_finished_run_and_replay_without_doubles(store, plan):
    store.open_study(plan)
    run = plan.runs[1]
    append_progress(run_folder(store.root, run.id), epoch(1))
    store.mirror(run, run_folder(store.root, run.id), "running")
    assert found_run(store, plan, run.id).info.status == "RUNNING"
    folder = finish(store, run)
    for again in (store, MlflowStore(store.root)):
        again.open_study(plan)
        again.mirror(run, folder, "finished")
        again.close_study("finished")
    found = found_run(store, plan, run.id)
    assert found.info.status == "FINISHED"
    assert found.info.run_name == "dice/seed0"
    tags = found.data.tags
    assert tags["harness.component.dice"] == "on"
    assert tags["harness.parent_id"] == plan.runs[0].id
    assert (tags["harness.variant"], tags["harness.seed"], tags["harness.status"]) == ("dice", "0", "finished")
    history = store._client.get_metric_history(found.info.run_id, "val/miou_dataset")
    assert [(point.step, point.timestamp) for point in history] == [(1, 1_000_001), (2, 1_000_002)]
    assert found.data.metrics["best/epoch"] == 2
    assert found.data.metrics["best/val/miou_dataset"] == pytest.approx(0.2)
    assert found.data.metrics["best/test/pixel_accuracy"] == pytest.approx(7 / 8)
    assert found.data.metrics["val/iou/a_b"] == pytest.approx(0.1)
    assert found.data.params["model.name"] == "unet"
    assert found.data.params["loss"] == "cross_entropy, dice"
    kept = {path.relative_to(store.root / "artifacts").as_posix().split("/artifacts/")[1] for path in artifacts(store)}
    assert {"evaluation/val.npz", "evaluation/test.npz", "result.json", "journal.jsonl"} <= kept
    assert {name for name in kept if name.startswith("checkpoints/")} == {"checkpoints/where.txt"}
    assert {"evaluation/regions/val-border.npz", "evaluation/predictions.npz"} <= kept
    assert {"spec.yaml", "plan.json"} <= kept


def artifacts(store):
    return [path for path in (store.root / "artifacts").rglob("*") if path.is_file()]


def test_plan_results_and_files_come_back_from_the_store_alone(store, plan, tmp_path):
    store.open_study(plan)
    run = plan.runs[0]
    store.mirror(run, finish(store, run), "finished")
    other = MlflowStore(tmp_path / "elsewhere", store.uri)
    assert other.load_plan("toy") == plan
    assert other.studies() == ("toy",)
    results = other.load_results("toy", [item.id for item in plan.runs])
    assert list(results) == [run.id]
    result = results[run.id]
    assert result.best_epoch == 2
    assert result.regions["val"]["border"].confusion_CC().tolist() == [[3, 1], [0, 4]]
    assert result.predictions.names == ("a",)
    folder = run_folder(other.root, run.id)
    assert other.fetch(run.id, "toy", folder)
    assert folder.best.read_bytes() == b"weights"
    assert load_result(folder).regions.keys() == {"val"}
    assert load_result(folder).predictions == result.predictions
    assert not other.fetch(plan.runs[1].id, "toy", run_folder(other.root, plan.runs[1].id))


def test_a_failed_and_a_skipped_run_say_why(store, plan):
    store.open_study(plan)
    for run, status in zip(plan.runs, ("failed", "skipped"), strict=True):
        folder = run_folder(store.root, run.id)
        save_result(folder, RunResult(run.id, status, "the loss is nan"))
        store.mirror(run, folder, status)
        found = found_run(store, plan, run.id)
        assert found.info.status == "FAILED"
        assert found.data.tags["harness.status"] == status
        assert found.data.tags["harness.reason"] == "the loss is nan"


def test_what_a_killed_process_left_running_is_shown_killed(store, plan):
    run = plan.runs[0]
    program = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
from toy_study import run_folder, toy_plan
from harness.files import locked
from harness.tracking.mlflow_store import MlflowStore
from harness.tracking.protocol import study_lock
from pathlib import Path
plan = toy_plan(Path({str(store.root.parent)!r}))
store = MlflowStore(Path({str(store.root)!r}))
folder = run_folder(store.root, plan.runs[0].id)
with locked(study_lock(store.root, "toy"), shared=True), locked(folder.lock):
    store.open_study(plan)
    store.mirror(plan.runs[0], folder, "running")
    print("running", flush=True)
    time.sleep(100)
"""
    holder = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "running\n"
    store._reap()
    assert found_run(store, plan, run.id).info.status == "RUNNING"
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate()
    store._reap()
    found = found_run(store, plan, run.id)
    assert (found.info.status, found.data.tags["harness.status"]) == ("KILLED", "interrupted")


def test_four_processes_on_a_fresh_store_lose_nothing(tmp_path):
    program = """
import sys
from pathlib import Path
import harness.data, harness.parts
from harness.predictions import PredictedImage, pack_predictions
from harness.records import Progress
from harness.spec.load import load_spec
from harness.spec.plan import expand
from harness.runs.folder import append_progress, run_folder
from harness.tracking.mlflow_store import MlflowStore
plan = expand(load_spec(sys.argv[1], seeds=[int(sys.argv[2])]), lambda config: {"data": "d"})
store = MlflowStore(Path(sys.argv[3]))
store.open_study(plan)
for number in range(1, 6):
    for run in plan.runs:
        metrics = {"val/loss": 1.0, "val/miou_dataset": number / 10}
        append_progress(run_folder(store.root, run.id), Progress(number, 5, metrics, True, number))
        store.mirror(run, run_folder(store.root, run.id), "running")
"""
    (tmp_path / "toy.yaml").write_text(SPEC)
    command = [sys.executable, "-c", program, str(tmp_path / "toy.yaml")]
    writers = [
        subprocess.Popen([*command, str(seed), str(tmp_path / "m")], stderr=subprocess.PIPE) for seed in range(4)
    ]
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert writer.returncode == 0, errors.decode()
    client = MlflowStore(tmp_path / "m")._client
    experiment = client.get_experiment_by_name("toy")
    children = client.search_runs([experiment.experiment_id], "tags.`harness.kind` = 'run'")
    assert len(children) == 8
    assert len(client.search_runs([experiment.experiment_id], "tags.`harness.kind` = 'study'")) == 1
    for child in children:
        assert len(client.get_metric_history(child.info.run_id, "val/miou_dataset")) == 5


def test_foreign_and_deleted_experiments_are_named_with_a_command_that_restores(store, plan, tmp_path):
    store._client.create_experiment("toy")
    with pytest.raises(InputError, match="an experiment of this name that is not a study"):
        store.open_study(plan)
    store._client.delete_experiment(store._client.get_experiment_by_name("toy").experiment_id)
    with pytest.raises(InputError, match="keeps a deleted experiment") as told:
        store.open_study(plan)
    advice = str(told.value).rpartition("restore the experiment: ")[2]
    place = tmp_path / "elsewhere"
    place.mkdir()
    done = subprocess.run(advice, shell=True, cwd=place, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert store._client.get_experiment_by_name("toy").lifecycle_stage == "active"


def test_a_server_that_is_gone_is_a_store_error(tmp_path, plan, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    gone = MlflowStore(tmp_path / "m", "http://127.0.0.1:9")
    with pytest.raises(StoreError, match="does not answer"):
        gone.open_study(plan)
    with pytest.raises(StoreError, match="could not be opened"):
        gone.mirror(plan.runs[0], run_folder(gone.root, plan.runs[0].id), "running")


def test_the_ui_is_for_this_machine_alone(tmp_path):
    with pytest.raises(InputError, match="no study was run here yet"):
        make_server_command(tmp_path, None, 5001)
    (tmp_path / "mlflow.db").touch()
    command, environment = make_server_command(tmp_path, None, 5001)
    assert str(tmp_path) not in " ".join(command)
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert environment["MLFLOW_BACKEND_STORE_URI"] == f"sqlite:///{tmp_path}/mlflow.db"
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
    with pytest.raises(InputError, match="a server already"):
        make_server_command(tmp_path, "http://127.0.0.1:9", 5001)


def test_plan_json_is_plain(store, plan):
    store.open_study(replace(plan, spec_text="ü"))
    texts = [path.read_text() for path in artifacts(store) if path.name == "plan.json"]
    assert json.loads(texts[0])["spec_text"] == "ü"
