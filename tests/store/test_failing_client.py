"""Whatever MLflow's client raises, at whichever call, is a store that fails: nothing else ends, one line says so."""

import shutil
import subprocess
from pathlib import Path

import pytest
from every_call import ask_all
from faulty_mlflow import Faults, make_faulty
from tiny_study import harness_command, harness_here
from toy_study import finish, toy_plan

from harness.errors import InputError
from harness.execute.events import Warned
from harness.execute.study import execute_plan
from harness.runs.folder import run_folder
from harness.tracking import mlflow_store
from harness.tracking.mlflow_guard import GuardedClient, explain
from harness.tracking.mlflow_store import MlflowStore

KINDS = (RuntimeError("it fails"), ImportError("it fails"), ValueError("it fails"))


@pytest.fixture
def plan(tmp_path):
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "report.md").write_text("report")
    return toy_plan(tmp_path)


@pytest.mark.slow
def test_each_call_may_raise_anything_and_is_a_store_that_fails(plan, tmp_path, new_root, monkeypatch):
    faults = Faults()
    make_faulty(monkeypatch, faults)

    def new_store(name):
        store = MlflowStore(new_root(tmp_path / name))
        finish(store, plan.runs[0])
        return store

    assert ask_all(new_store("whole"), plan, tmp_path) == {}
    asked = list(faults.asked)
    assert {"client", "client.create_run", "client.log_batch", "files", "files.log_artifact"} <= set(asked)
    for call in asked:
        for error in KINDS:
            faults.call, faults.error = call, error
            store = new_store(f"{call}-{type(error).__name__}")
            told = ask_all(store, plan, tmp_path)
            assert told, call
            for text in told.values():
                assert text in (
                    f"the tracking store fails: {type(error).__name__}: {error}",
                    "the tracking store could not be opened for this study",
                )
            warned = list(execute_plan(plan, plan.runs[:1], store, lambda runs, folders: iter(())))
            failures = [event.text for event in warned if isinstance(event, Warned)]
            assert failures == [text for text in failures if "it fails" in text or "harness sync toy" in text]
        faults.call = ""
        assert ask_all(MlflowStore(store.root), plan, tmp_path) == {}, call  # nothing is left that stops it later


def test_errors_of_harness_itself_and_interrupts_are_not_the_stores(plan, tmp_path, new_root, monkeypatch):
    store = MlflowStore(new_root(tmp_path / "mlruns"))
    store.open_study(plan)
    finish(store, plan.runs[0])
    with monkeypatch.context() as patch:
        patch.setattr(mlflow_store, "tags_of", lambda plan, run: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store.mirror(plan.runs[0], run_folder(store.root, plan.runs[0].id), "finished")

    class Client:
        def call(self, error):
            raise error

    for error in (InputError("ours"), KeyboardInterrupt(), SystemExit(1)):
        with pytest.raises(type(error)):
            GuardedClient(Client()).call(error)


@pytest.mark.parametrize(
    ("module", "package"), [("psycopg", "ablation-harness[postgres]"), ("MySQLdb", "mysqlclient"), ("boto3", "boto3")]
)
def test_a_package_that_is_missing_is_named_as_pip_knows_it(module, package):
    error = RuntimeError("cannot connect")
    error.__cause__ = ModuleNotFoundError(f"No module named '{module}.base'")
    assert explain(error) == f"it needs the package {module}: pip install '{package}'"


SPEC = """
study: small
question: q
base:
  data: {name: desert, size: [32, 32], train_images: 4, val_images: 6, test_images: 1}
  model: {name: unet, base_channels: 4}
  loss: {cross_entropy: {}}
  train: {epochs: 1, batch_size: 2}
variants:
  baseline: {}
  dice: {set: {loss: {dice: {}}}}
seeds: [0]
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a folder with a study that was run, and whose store has gone."""
    place = tmp_path_factory.mktemp("trained")
    (place / "small.yaml").write_text(SPEC)
    (place / "MySQLdb.py").write_text("raise ModuleNotFoundError(\"No module named 'MySQLdb'\")")
    uri = "mysql://127.0.0.1/mlflow"
    done = subprocess.run(
        harness_command("run", "small.yaml", "--tracking-uri", uri, "--jobs", "1"),
        cwd=place,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "it needs the package MySQLdb: pip install 'mysqlclient'" in done.stderr
    assert "Traceback" not in done.stderr
    assert "2 of 2 runs are finished" in done.stdout
    assert f"harness sync small --tracking-uri {uri}" in done.stderr
    assert (place / "reports/small/report.md").exists()
    return place


COMMANDS = {
    "run": ["run", "small.yaml"],
    "report": ["report", "small", "--reports", "again"],
    "gate": ["gate", "small", "--max-drop", "1", "--reports", "again"],
    "sync": ["sync"],
}


def run_commands(place: Path) -> dict[str, tuple[int, str]]:
    """Run the commands anew; return each one's exit code and what it told the user, after checking what it wrote."""
    shutil.rmtree(place / "reports", ignore_errors=True)
    shutil.rmtree(place / "again", ignore_errors=True)
    ended = {}
    for name, arguments in COMMANDS.items():
        done = harness_here(*arguments)
        assert "Traceback" not in done.stderr, done.stderr
        ended[name] = (done.returncode, done.stderr)
    assert (place / "reports/small/report.md").exists()
    assert (place / "again/small/report.md").exists()
    assert (place / "again/small/gate.xml").exists()
    return ended


@pytest.mark.slow
def test_commands_end_as_without_a_store_whichever_call_fails(trained, tmp_path, new_root, monkeypatch):
    faults = Faults()
    make_faulty(monkeypatch, faults)
    new_root(tmp_path / "database")

    def enter(name):
        place = tmp_path / name
        shutil.copytree(trained, place)
        shutil.copy(tmp_path / "database" / "mlflow.db", place / "mlruns" / "mlflow.db")
        monkeypatch.chdir(place)
        return place

    whole = run_commands(enter("whole"))
    assert not any("warning: the tracking store" in err for _, err in whole.values())
    for number, name in enumerate(["*", "files.log_artifact"]):
        assert name == "*" or name in faults.asked
        faults.call, faults.error = name, KINDS[number % len(KINDS)]
        ended = run_commands(enter(str(number)))
        assert "it fails; the results are safe on this disk" in ended["run"][1]
        assert ended["sync"] == (1, f"error: the tracking store fails: {type(faults.error).__name__}: it fails\n")
        del ended["sync"]
        assert {command: code for command, (code, _) in ended.items()} == {
            command: code for command, (code, _) in whole.items() if command != "sync"
        }
