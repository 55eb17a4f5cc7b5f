"""A store that answers too late, or nonsense, is a store that fails: in one line, and with no word of MLflow's."""

import http.server
import sqlite3
import threading
import time
from contextlib import closing, contextmanager

import pytest
from every_call import ask_all
from toy_study import finish, toy_plan

from harness.tracking import mlflow_client
from harness.tracking.mlflow_store import MlflowStore


@pytest.fixture
def plan(tmp_path):
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "report.md").write_text("report")
    return toy_plan(tmp_path)


@contextmanager
def serving(status, body):
    """Yield the URI of a server that gives everyone the same answer."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def answer(self):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = answer

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"{}"),
        (200, b"[]"),
        (200, b"null"),
        (200, b"7"),
        (200, b"\xff\xfe"),
        (200, b"<html>Sign in</html>"),
        (200, b'{"experiments": 3}'),
        (200, b'{"experiments": [{}]}'),
        (200, b'{"experiment": {}, "run": {}, "runs": [{}]}'),
        (500, b"{}"),
        (404, b""),
        (403, b"no"),
    ],
)
def test_nonsense_from_a_server_is_a_store_that_fails(plan, tmp_path, monkeypatch, capfd, status, body):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with serving(status, body) as uri:
        store = MlflowStore(tmp_path / "mlruns", uri)
        finish(store, plan.runs[0])
        told = ask_all(store, plan, tmp_path)
    assert "open_study" in told
    assert all("\n" not in text and len(text) < 400 for text in told.values())
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.parametrize("begin", ["BEGIN IMMEDIATE", "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE"])
def test_a_locked_database_is_waited_for_and_told_of_in_one_line(plan, tmp_path, new_root, capfd, begin, monkeypatch):
    """For writing MLflow waits 20 s of its own; what cannot even be read is waited for by harness."""
    monkeypatch.setattr(mlflow_client, "PATIENCE_S", 2)
    root = new_root(tmp_path / "mlruns")
    store = MlflowStore(root)
    finish(store, plan.runs[0])
    with closing(sqlite3.connect(root / "mlflow.db", isolation_level=None)) as other:
        if "EXCLUSIVE;" in begin:
            other.execute("PRAGMA journal_mode = DELETE")
        for statement in begin.split("; "):
            other.execute(statement)
        began = time.monotonic()
        with pytest.raises(Exception, match=r"^the tracking store fails: another process keeps its database locked$"):
            store.open_study(plan)
    assert time.monotonic() - began >= 2
    assert ask_all(store, plan, tmp_path) == {}
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\0" + b"\1" * 5000])
def test_a_damaged_database_is_told_of_at_once(plan, tmp_path, capfd, content):
    store = MlflowStore(tmp_path / "mlruns")
    store.root.mkdir()
    (store.root / "mlflow.db").write_bytes(content)
    finish(store, plan.runs[0])
    told = ask_all(store, plan, tmp_path)
    assert set(told) >= {"open_study", "mirror", "load_plan"}
    assert "its database is damaged; move it away, and harness sync makes it anew" in told["open_study"]
    assert capfd.readouterr() == ("", "")
    (store.root / "mlflow.db").unlink()
    assert ask_all(store, plan, tmp_path) == {}
