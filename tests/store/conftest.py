"""A tracking server as a lab runs it, for the tests that need one, and a database that is made once."""

import shutil

import pytest
from lab_server import find_postgres, lab_server

from harness.tracking.mlflow_store import MlflowStore


@pytest.fixture(scope="session")
def lab():
    """Return a running server; a test that kills it starts it again."""
    if find_postgres() is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    pytest.importorskip("psycopg", reason="psycopg is not installed (pip install psycopg[binary])")
    with lab_server() as server:
        yield server


@pytest.fixture(scope="session")
def new_root(tmp_path_factory):
    """Return a function that makes a store's folder with a database that holds no study: making one takes seconds."""
    made = tmp_path_factory.mktemp("template")
    assert MlflowStore(made).studies() == ()

    def new_root(path):
        path.mkdir(parents=True)
        shutil.copy(made / "mlflow.db", path / "mlflow.db")
        return path

    return new_root
