"""A store that was copied, moved, or is seen under two paths works on what lies below its own root, and no other."""

import hashlib
import shutil
import socket
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus
from toy_study import append_progress, epoch, finish, run_folder, toy_plan

from harness.files import locked
from harness.tracking.mlflow_store import MlflowStore
from harness.tracking.protocol import study_lock
from harness.tracking.relocation import adopt_at
from harness.tracking.server import database_uri
from harness.tracking.sync import sync_study


@pytest.fixture
def plan(tmp_path):
    return toy_plan(tmp_path)


@pytest.fixture
def original(tmp_path, plan, new_root):
    """Return a store's folder with a finished run, a registered model of it, and an experiment that is the user's."""
    store = MlflowStore(new_root(tmp_path / "original"))
    store.open_study(plan)
    store.mirror(plan.runs[0], finish(store, plan.runs[0]), "finished")
    client = MlflowClient(store.uri)
    study = client.get_experiment_by_name("toy").experiment_id
    run = client.search_runs([study], f"tags.`harness.id` = '{plan.runs[0].id}'")[0].info.run_id
    model = client.create_logged_model(study, "segmentation", run)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "MLmodel").write_text("model")
    client.log_model_artifacts(model.model_id, str(tmp_path / "model"))
    client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    client.create_registered_model("scenes")
    client.create_model_version("scenes", model.artifact_location, run_id=run, model_id=model.model_id)
    own = client.create_experiment("own", artifact_location=(store.root / "artifacts" / "own").as_uri())
    client.log_text(client.create_run(own).info.run_id, "mine", "mine.txt")
    return store.root


def contents(root: Path) -> dict[str, str]:
    """Return file -> digest, with the rows of the database in place of its bytes."""
    found = {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file() and not path.name.startswith(("mlflow.db", ".lock"))
    }
    return {**found, "rows": "\n".join(rows(root))}


def rows(root: Path) -> list[str]:
    with closing(sqlite3.connect(root / "mlflow.db")) as database:
        return list(database.iterdump())


def listed(client: MlflowClient, run_id: str, folder: str | None = None) -> set[str]:
    found: set[str] = set()
    for item in client.list_artifacts(run_id, folder):
        found |= listed(client, run_id, item.path) if item.is_dir else {item.path}
    return found


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def uris(root: Path) -> dict[str, str]:
    """Return each address of harness's study, of its runs and models, by what it is of."""
    client = MlflowClient(database_uri(root / "mlflow.db"))
    study = client.get_experiment_by_name("toy")
    found = {"study": study.artifact_location}
    found |= {run.info.run_id: run.info.artifact_uri for run in client.search_runs([study.experiment_id])}
    found |= {
        item.model_id: item.artifact_location
        for item in client.search_logged_models(experiment_ids=[study.experiment_id])
    }
    return found | {item.name: item.source for item in client.search_model_versions()}


@pytest.mark.parametrize("original_stays", [True, False], ids=["copied", "moved"])
def test_a_copy_works_on_its_own_files_and_leaves_the_original_alone(original, plan, tmp_path, original_stays):
    copy, before = tmp_path / "copy", contents(original)
    own_rows = [row for row in rows(original) if "artifacts/own" in row]
    if original_stays:
        shutil.copytree(original, copy)
    else:
        original.rename(copy)
    said: list[str] = []
    store = MlflowStore(copy, say=said.append)
    store.open_study(plan)
    assert store.load_plan("toy") == plan
    assert list(store.load_results("toy", [run.id for run in plan.runs])) == [plan.runs[0].id]
    store.mirror(plan.runs[1], finish(store, plan.runs[1]), "finished")
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "report.md").write_text("report")
    store.attach("toy", tmp_path / "report", "report")
    store.close_study("finished")
    assert len(said) == 1
    assert f"copied or moved from {original}" in said[0]
    assert (contents(original) == before) if original_stays else not original.exists()
    if original_stays:
        left = MlflowStore(original)
        assert list(left.load_results("toy", [run.id for run in plan.runs])) == [plan.runs[0].id]
    client = MlflowClient(store.uri)  # as MLflow's UI sees it
    for name, uri in uris(copy).items():
        folder = Path(unquote(urlsplit(uri).path))
        assert folder.is_relative_to(copy), name
        assert folder.is_dir(), name
        if len(name) == 32:
            assert listed(client, name) == files_below(folder) > set()
    assert [row for row in rows(copy) if "artifacts/own" in row] == own_rows
    MlflowStore(copy, say=said.append).studies()
    assert len(said) == 1


def test_what_seemed_to_run_when_it_was_copied_is_shown_as_killed_in_the_copy_alone(original, plan, tmp_path):
    store = MlflowStore(original)
    store.open_study(plan)
    folder = run_folder(original, plan.runs[1].id)
    append_progress(folder, epoch(1))
    store.mirror(plan.runs[1], folder, "running")
    copy = tmp_path / "copy"
    shutil.copytree(original, copy)
    with locked(folder.lock):
        MlflowStore(copy)._reap()
        MlflowStore(original)._reap()
    shown = {}
    for root in (original, copy):
        client = MlflowClient(database_uri(root / "mlflow.db"))
        study = client.get_experiment_by_name("toy").experiment_id
        found = client.search_runs([study], f"tags.`harness.id` = '{plan.runs[1].id}'")[0]
        assert found.data.tags["harness.root"] == str(root)
        assert found.data.tags["harness.host"] == socket.gethostname()
        shown[root.name] = found.info.status
    assert shown == {"original": "RUNNING", "copy": "KILLED"}


def test_a_copy_whose_database_cannot_be_changed_still_reads_its_own_files(original, plan, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(original, copy)
    result = next(copy.glob("artifacts/toy/*/artifacts/result.json"))
    result.write_text('{"version": 0}')
    with closing(sqlite3.connect(copy / "mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        store = MlflowStore(copy)
        assert store.load_plan("toy") == plan
        with pytest.raises(Exception, match="version 0"):
            store.load_results("toy", [plan.runs[0].id])
    assert uris(copy) == uris(original)


def test_a_folder_seen_under_two_paths_is_not_changed_back_and_forth(original, plan, tmp_path):
    """In a container the same folder has another path; here the container is a store that was renamed while in use."""
    link, said = tmp_path / "link", []
    link.symlink_to(original)
    MlflowStore(link, say=said.append).open_study(plan)
    with closing(sqlite3.connect(original / "mlflow.db")) as database, database:  # a mount, on the same machine
        for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
            database.execute(f"UPDATE {table} SET {column} = replace({column}, 'file://{original}/', 'file://{link}/')")
    before = uris(original)
    assert str(link) in before["study"]
    MlflowStore(original, say=said.append).open_study(plan)
    assert (uris(original), said) == (before, [])

    link.unlink()
    with locked(study_lock(original, "toy"), shared=True):  # whoever sees it under the other path executes the study
        store = MlflowStore(original, say=said.append)
        store.open_study(plan)
        store.mirror(plan.runs[1], finish(store, plan.runs[1]), "finished")
    assert said == []
    assert {name: uri for name, uri in uris(original).items() if name in before} == before
    assert not link.exists()
    assert len(list(original.glob("artifacts/toy/*/artifacts/result.json"))) == 2
    assert str(link) in adopt_at(original, None)  # as before MLflow's UI is started
    assert adopt_at(original, None) == ""
    assert all(uri.startswith(f"file://{original}/") for uri in uris(original).values())


def test_a_database_apart_from_the_root_leads_to_where_the_files_are(plan, tmp_path, new_root):
    uri = database_uri(new_root(tmp_path / "lab") / "mlflow.db")
    store = MlflowStore(tmp_path / "mine", uri)
    store.open_study(plan)
    store.mirror(plan.runs[0], finish(store, plan.runs[0]), "finished")
    another = MlflowStore(tmp_path / "another", uri)
    another.open_study(plan)  # one study, as on a server: its files stay where they are
    assert list(another.load_results("toy", [plan.runs[0].id])) == [plan.runs[0].id]
    assert not (tmp_path / "another" / "artifacts").exists()
    (tmp_path / "mine").rename(tmp_path / "renamed")
    renamed = MlflowStore(tmp_path / "renamed", uri)
    renamed.open_study(plan)
    assert list(renamed.load_results("toy", [plan.runs[0].id])) == [plan.runs[0].id]
    assert not (tmp_path / "mine").exists()


def test_a_copied_database_apart_from_the_root_leads_to_the_files_beside_it(original, plan, tmp_path):
    copy, before = tmp_path / "copy", contents(original)
    shutil.copytree(original, copy)
    store = MlflowStore(tmp_path / "mine", database_uri(copy / "mlflow.db"))
    store.open_study(plan)
    store.mirror(plan.runs[1], finish(store, plan.runs[1]), "finished")
    assert contents(original) == before
    assert len(list(copy.glob("artifacts/toy/*/artifacts/result.json"))) == 2


def test_a_copy_of_the_run_folders_alone_is_delivered_to_a_database_of_its_own(original, plan, tmp_path, new_root):
    copy = new_root(tmp_path / "copy")
    shutil.copytree(original / "runs", copy / "runs")
    before = contents(original)
    assert sync_study(plan, MlflowStore(copy)).delivered == (plan.runs[0].label,)
    assert contents(original) == before
    assert all(uri.startswith(f"file://{copy}/") for uri in uris(copy).values())
    shutil.rmtree(copy / "artifacts")
    assert sync_study(plan, MlflowStore(copy)).delivered == (plan.runs[0].label,)
    assert sync_study(plan, MlflowStore(copy)).there == (plan.runs[0].label,)
    assert len(list(copy.glob("artifacts/toy/*/artifacts/result.json"))) == 1
