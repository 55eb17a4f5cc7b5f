"""A server with PostgreSQL and proxied artifacts; the commands about stores, and what they say when one is unusable."""

import os
import shutil
import socket
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from tiny_study import TINY, harness_command, harness_here
from toy_study import SPEC, epoch, finish

from harness.errors import InputError
from harness.execute.inputs import make_reader
from harness.records import RunResult
from harness.runs.folder import append_progress, load_result, run_folder, save_result
from harness.runs.studies import save_study
from harness.spec.load import load_spec
from harness.spec.plan import expand
from harness.tracking.mlflow_store import MlflowStore
from harness.tracking.protocol import StoreError
from harness.tracking.server import find_uri
from harness.tracking.sync import find_studies, sync_study


@pytest.fixture
def plan(tmp_path):
    path = tmp_path / "toy.yaml"
    path.write_text(SPEC)
    return expand(load_spec(path), make_reader())


def call(place, *arguments, **environment):
    command = harness_command(*arguments)
    return subprocess.run(
        command, cwd=place, env={**os.environ, **environment}, capture_output=True, text=True, timeout=200, check=False
    )


@pytest.mark.slow
def test_a_study_goes_through_the_server_and_is_reported_on_elsewhere(lab, tmp_path, plan):
    here = MlflowStore(tmp_path / "here", lab.uri)
    here.open_study(plan)
    for run in plan.runs:
        assert here.mirror(run, finish(here, run), "finished")
    here.close_study("finished")
    assert list(lab.artifacts.rglob("best.pt"))
    assert not (tmp_path / "here/artifacts").exists()
    (tmp_path / "elsewhere").mkdir()
    save_study(here.root, plan)
    arguments = ("report", "toy", "--tracking-uri", lab.uri, "--json")
    first = harness_here(*arguments, "--root", "here", "--reports", "first", cwd=tmp_path)
    other = harness_here(*arguments, "--reports", "../other", cwd=tmp_path / "elsewhere")
    assert (first.returncode, other.returncode) == (0, 0), first.stderr + other.stderr
    assert first.stdout.replace("first", "other") == other.stdout.replace("../other", "other")
    for path in (tmp_path / "first").rglob("*.*"):
        assert (tmp_path / "other" / path.relative_to(tmp_path / "first")).read_bytes() == path.read_bytes(), path
    folder = run_folder(tmp_path / "elsewhere/mlruns", plan.runs[0].id)
    assert MlflowStore(tmp_path / "elsewhere/mlruns", lab.uri).fetch(plan.runs[0].id, "toy", folder)
    assert folder.best.read_bytes() == b"weights"
    assert load_result(folder).counts["val"].confusion_CC().tolist() == [[3, 1], [0, 4]]


@pytest.mark.slow
def test_what_a_local_database_holds_is_delivered_to_a_server(lab, tmp_path, plan):
    """Of a study from before plans were kept on disk, and of a run whose folder is gone."""
    plan = expand(load_spec(tmp_path / "toy.yaml", seeds=[7]), make_reader())
    local = MlflowStore(tmp_path / "m", upload_weights=True)
    local.open_study(plan)
    for run in plan.runs:
        local.mirror(run, finish(local, run), "finished")
    shutil.rmtree(run_folder(local.root, plan.runs[0].id).path)
    target = MlflowStore(local.root, lab.uri)
    found = find_studies(local.root, local, [])
    assert found == (plan,)
    with pytest.raises(InputError, match="did you mean 'toy'"):
        find_studies(local.root, local, ["tou"])
    delivery = sync_study(plan, target, local)
    assert delivery.delivered == tuple(run.label for run in plan.runs)
    assert sync_study(plan, target, local).in_words == "2 there already"
    assert target.load_results("toy", [plan.runs[0].id])[plan.runs[0].id].best_epoch == 2


def test_failed_unfinished_and_damaged_runs_are_delivered_as_what_they_are(tmp_path):
    (tmp_path / "toy.yaml").write_text(SPEC)
    plan = expand(load_spec(tmp_path / "toy.yaml", seeds=[0, 1]), make_reader())
    store = MlflowStore(tmp_path / "m")
    damaged, failed, unfinished, missing = plan.runs
    save_result(run_folder(store.root, failed.id), RunResult(failed.id, "failed", "the loss is nan"))
    append_progress(run_folder(store.root, unfinished.id), epoch(1))
    finish(store, damaged).result.write_text("{")
    delivery = sync_study(plan, store)
    assert delivery.delivered == (failed.label, unfinished.label)
    assert delivery.missing == (missing.label,)
    assert "damaged" in delivery.refused[0]
    again = sync_study(plan, store)
    assert again.there == (failed.label, unfinished.label)
    append_progress(run_folder(store.root, unfinished.id), epoch(2))
    assert sync_study(plan, store).delivered == (unfinished.label,)
    client = store._client
    runs = client.search_runs([client.get_experiment_by_name("toy").experiment_id], "tags.`harness.kind` = 'run'")
    shown = {run.data.tags["harness.id"]: run.info.status for run in runs}
    assert shown == {failed.id: "FAILED", unfinished.id: "KILLED"}


@contextmanager
def refusing_server():
    """Answer every request with 401, and what was sent."""

    class Refuse(BaseHTTPRequestHandler):
        def do_GET(self):
            body = f"no: {self.headers}".encode()
            self.send_response(401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *words):
            pass

    server = HTTPServer(("127.0.0.1", 0), Refuse)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()


def test_who_is_refused_reads_what_to_set_and_no_password(tmp_path):
    with refusing_server() as port:
        uri = f"http://someone:s3cret-word@127.0.0.1:{port}"
        done = call(tmp_path, "report", "toy", "--tracking-uri", uri, MLFLOW_TRACKING_TOKEN="s3cret-token")
    assert done.returncode == 1
    assert "MLFLOW_TRACKING_TOKEN" in done.stderr
    assert "s3cret" not in done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("word", ["s3cret-word", "s3cret/with:all#kinds", "s3cret@twice"])
def test_a_database_that_refuses_shows_no_password(lab, tmp_path, word):
    with pytest.raises(StoreError) as caught:
        MlflowStore(tmp_path, lab.database.replace("://lab:", f"://lab:{word}")).studies()
    assert "s3cret" not in str(caught.value)
    assert lab.database.partition("lab:")[2].partition("@")[0] not in str(caught.value)  # the rest of the password


def test_a_folder_is_no_tracking_store(tmp_path):
    for uri in ("./mlruns", "file:///tmp/x"):
        with pytest.raises(InputError, match="write http://host:port"):
            find_uri(tmp_path, uri)


def test_ui_on_a_taken_port_names_a_free_one(tmp_path):
    (tmp_path / "mlruns").mkdir()
    (tmp_path / "mlruns/mlflow.db").touch()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = call(tmp_path, "ui", "--port", str(port))
    assert done.returncode == 2
    start = f"error: port {port} cannot be used (Address already in use); port "
    assert done.stderr.startswith(start)
    free = done.stderr[len(start) :].split()[0]
    assert done.stderr == f"{start}{free} is free: harness ui --port {free}\n"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", int(free)))


WITHOUT_POWER = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
"""Before a command: have root respect the permissions of files, as everyone else must."""


@pytest.mark.skipif(bool(WITHOUT_POWER) and not shutil.which("setpriv"), reason="root ignores permissions; no setpriv")
def test_a_read_only_folder_is_one_message(tmp_path):
    (tmp_path / "tiny.yaml").write_text(TINY)
    (tmp_path / "mlruns").mkdir()
    (tmp_path / "mlruns").chmod(0o555)
    command = [*WITHOUT_POWER, *harness_command("run", "tiny.yaml")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    errors = [line for line in done.stderr.splitlines() if not line.startswith("warning: ")]
    assert len(errors) == 1
    assert errors[0].startswith(f"error: {tmp_path}/mlruns")
    assert "Permission denied" in errors[0]
    (tmp_path / "mlruns").chmod(0o755)
