"""A store's folder may have any name: nothing is written beside it, and MLflow itself finds what is in it."""

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from mlflow import MlflowClient
from optuna.storages import RDBStorage
from toy_study import finish, toy_plan

from harness.errors import InputError
from harness.tracking.mlflow_store import MlflowStore
from harness.tracking.server import database_uri, default_uri, find_uri, make_server_command, sqlite_file

ODD = "a%41?b#c'd\"e f;&\\=+@:~$HOME|*{}[]日本ü\n.."
LONG = "ü" * 60 + "/" + "x" * 150
STRANGE = ["100%", "%41", "what?", "?mode=ro", "a#b", "q'uo\"te", ":memory:", "file:x", "~", ODD, LONG]
NAMES = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=60).filter(
    lambda name: name not in (".", "..") and len(name.encode()) < 250
)
SECONDS = 10
"""That one may take: a name that MLflow misunderstood took minutes."""


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def use(root: Path, plan) -> None:
    """Deliver a run, and find it again: as harness does, and as MLflow's own programs do."""
    store = MlflowStore(root)
    store.open_study(plan)
    store.mirror(plan.runs[0], finish(store, plan.runs[0]), "finished")
    again = MlflowStore(root)
    assert again.load_plan("toy") == plan
    assert list(again.load_results("toy", [plan.runs[0].id])) == [plan.runs[0].id]
    _, environment = make_server_command(root, None, 5001)
    client = MlflowClient(environment["MLFLOW_BACKEND_STORE_URI"])
    study = client.get_experiment_by_name("toy").experiment_id
    run = client.search_runs([study], "tags.`harness.kind` = 'run'")[0]
    assert "result.json" in {item.path for item in client.list_artifacts(run.info.run_id)}


@pytest.mark.slow
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES)
def test_any_name_is_a_root(name, new_root, tmp_path, monkeypatch):
    check_name(name, new_root, tmp_path, monkeypatch)


@pytest.mark.parametrize("name", STRANGE)
def test_names_that_mean_something_in_a_url_or_a_shell_are_roots(name, new_root, tmp_path, monkeypatch):
    check_name(name, new_root, tmp_path, monkeypatch)


def check_name(name, new_root, tmp_path, monkeypatch):
    """Use a root of this name in an empty folder, which then holds nothing else."""
    with TemporaryDirectory(dir=tmp_path) as place:
        parent, here = Path(place) / "parent", Path(place) / "here"
        here.mkdir()
        monkeypatch.chdir(here)
        root = new_root(parent / name)
        began = time.monotonic()
        use(root, toy_plan(Path(place)))
        assert time.monotonic() - began < SECONDS
        assert names_in(parent) == [Path(name).parts[0]]
        assert names_in(here) == []
        assert names_in(Path(place)) == ["here", "parent", "toy.yaml"]


def test_a_new_database_below_an_odd_name_and_its_searches(tmp_path):
    root = tmp_path / "parent" / ODD
    use(root, toy_plan(tmp_path))
    assert names_in(tmp_path / "parent") == [ODD]
    with closing(sqlite3.connect(root / "mlflow.db")) as database:
        assert database.execute("SELECT name FROM experiments WHERE name = 'toy'").fetchall() == [("toy",)]
    RDBStorage(database_uri(root / "optuna.db"))  # of harness tune
    assert (root / "optuna.db").exists()
    assert names_in(tmp_path / "parent") == [ODD]


@given(name=NAMES)
@example(name=ODD)
def test_a_database_is_found_again_by_its_uri(name):
    file = Path("/") / name / "mlflow.db"
    assert sqlite_file(database_uri(file)) == file
    assert find_uri(Path("mlruns"), database_uri(file)) == database_uri(file)


def test_common_names_keep_the_uri_that_people_write(tmp_path):
    root = tmp_path / "my runs, ü & ö"
    assert default_uri(root) == f"sqlite:///{root}/mlflow.db"
    assert find_uri(root, f"sqlite:///{root}/mlflow.db?timeout=30") == f"sqlite:///{root}/mlflow.db?timeout=30"


@pytest.mark.parametrize(
    ("root", "uri", "told"),
    [
        (os.fsdecode(b"caf\xe9"), None, r"caf\udce9/mlflow.db: the folder's name is not UTF-8"),
        ("/data/" + "x" * 200 + "/" + "y" * 250 + "/" + "z" * 30, None, "this path has 498 bytes"),
        ("mlruns", "sqlite:////data/what?/mlflow.db", "in a folder's name write ? as %3F"),
    ],
)
def test_what_no_uri_can_hold_is_refused_at_once(root, uri, told):
    with pytest.raises(InputError) as error:
        MlflowStore(Path(root), uri)
    assert told in str(error.value)
