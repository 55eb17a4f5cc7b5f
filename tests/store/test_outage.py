"""A tracking server that goes away while runs train: nothing waits for it, nothing is lost, nothing comes twice."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tiny_study import TINY, harness_command, harness_here

from harness.records import Plan
from harness.tracking import background_sync
from harness.tracking.background_sync import BackgroundSync
from harness.tracking.protocol import StoreError

LONG = TINY.replace("study: tiny", "study: {name}").replace("epochs: 3", "epochs: 12").replace("[0, 1]", "[0]")


def start_study(place: Path, name: str, uri: str) -> subprocess.Popen[str]:
    (place / "study.yaml").write_text(LONG.replace("{name}", name))
    command = harness_command("run", "study.yaml", "--tracking-uri", uri, "--jobs", "1")
    return subprocess.Popen(
        command, cwd=place, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )


def read_until(process: subprocess.Popen[str], text: str) -> list[str]:
    lines: list[str] = []
    for line in process.stderr:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError(f"no line with {text!r} in {''.join(lines)}")


def stored_histories(uri: str, study: str) -> dict[str, list[tuple[int, float]]]:
    """Return harness id -> (step, val/loss) in the order in which the store gives them, of finished runs."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(study)
    runs = client.search_runs([experiment.experiment_id], "tags.`harness.kind` = 'run'")
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert {run.data.tags["harness.status"] for run in runs} == {"finished"}
    histories = {run.data.tags["harness.id"]: client.get_metric_history(run.info.run_id, "val/loss") for run in runs}
    return {id_: [(point.step, point.value) for point in points] for id_, points in histories.items()}


def journals(root: Path) -> dict[str, list[tuple[int, float]]]:
    found = {}
    for path in root.glob("runs/*/journal.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        found[path.parent.name] = [(line["epoch"], line["metrics"]["val/loss"]) for line in lines]
    return found


@pytest.mark.slow
def test_a_server_down_for_a_while_gets_every_epoch_once_and_in_order(lab, tmp_path):
    process = start_study(tmp_path, "outage", lab.uri)
    read_until(process, "epoch 3/12")
    lab.kill()
    read_until(process, "epoch 6/12")  # training goes on
    time.sleep(1)
    os.killpg(process.pid, signal.SIGSTOP)  # so that it is not done before the server is back
    lab.start()
    os.killpg(process.pid, signal.SIGCONT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "harness sync" not in err
    assert "Traceback" not in err
    stored = stored_histories(lab.uri, "outage")
    assert len(stored) == 2
    assert stored == journals(tmp_path / "mlruns")
    assert (tmp_path / "reports/outage/report.md").exists()


@pytest.mark.slow
def test_a_server_gone_for_good_costs_nothing_and_is_delivered_to_later(lab, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "s3cret-token")
    uri = lab.uri.replace("://", "://someone:s3cret-word@")
    process = start_study(tmp_path, "gone", uri)
    read_until(process, "epoch 2/12")
    lab.kill()
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "2 of 2 runs are finished" in out
    assert "harness sync gone" in err
    assert "Traceback" not in err
    assert (tmp_path / "reports/gone/report.html").exists()
    again = harness_here("report", "gone", "--tracking-uri", uri, "--reports", "again", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "again/gone/report.md").read_bytes() == (tmp_path / "reports/gone/report.md").read_bytes()
    undelivered = harness_here("sync", "--tracking-uri", uri, cwd=tmp_path)
    assert (undelivered.returncode, undelivered.stdout) == (1, "")
    assert undelivered.stderr == "error: the tracking store fails: its server does not answer\n"
    lab.start()
    first = harness_here("sync", "--tracking-uri", uri, cwd=tmp_path)
    assert (first.returncode, first.stdout) == (0, "gone: 2 brought to the store\n"), first.stderr
    assert stored_histories(lab.uri, "gone") == journals(tmp_path / "mlruns")
    second = harness_here("sync", "gone", "--tracking-uri", uri, cwd=tmp_path)
    assert (second.returncode, second.stdout) == (0, "gone: 2 there already\n"), second.stderr
    assert stored_histories(lab.uri, "gone") == journals(tmp_path / "mlruns")
    told = "".join([out, err, *(done.stdout + done.stderr for done in (again, undelivered, first, second))])
    assert "s3cret" not in told
    for path in [*tmp_path.rglob("*"), *lab.artifacts.rglob("*")]:
        assert not path.is_file() or b"s3cret" not in path.read_bytes(), path


class Recorded:
    """A store that writes down what it is asked, and fails as long as it is told to."""

    def __init__(self):
        self.asked, self.failing, self.slow_s = [], False, 0.0

    def open_study(self, plan):
        self._ask("open")

    def mirror(self, run, folder, status):
        self._ask((run.id, status))

    def _ask(self, what):
        time.sleep(self.slow_s)
        if self.failing:
            raise StoreError("it fails")
        self.asked.append(what)


class Named:
    def __init__(self, name):
        self.id = name


@pytest.fixture
def recorded(monkeypatch):
    monkeypatch.setattr(background_sync, "FIRST_PAUSE_S", 0.05)
    return Recorded()


def wait_until(condition):
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_telling_never_waits_and_only_the_last_status_is_delivered(recorded):
    recorded.slow_s = 0.2
    sync = BackgroundSync(recorded, Plan("s", "", "a", 0.0, ()), opened=True)
    began = time.monotonic()
    for _ in range(50):
        sync.tell(Named("a"), None, "running")
        sync.tell(Named("b"), None, "running")
    sync.tell(Named("a"), None, "finished")
    assert time.monotonic() - began < 0.2
    sync.close()
    assert recorded.asked[-2:] in ([("b", "running"), ("a", "finished")], [("a", "finished"), ("b", "running")])
    assert len(recorded.asked) <= 4
    assert sync.behind == 0


def test_a_failing_store_is_told_of_once_left_alone_and_caught_up_with(recorded):
    recorded.failing = True
    sync = BackgroundSync(recorded, Plan("s", "", "a", 0.0, ()), opened=False)
    sync.tell(Named("a"), None, "running")
    time.sleep(0.3)
    assert sync.news() == []  # who opened it in vain has said so
    sync.tell(Named("a"), None, "finished")
    recorded.failing = False
    wait_until(lambda: recorded.asked)
    sync.close()
    assert recorded.asked == ["open", ("a", "finished")]
    assert sync.news() == ["the tracking store answers again, and is brought up to date"]
    assert sync.behind == 0


def test_a_store_that_fails_to_the_end_is_tried_once_more_and_counted(recorded):
    sync = BackgroundSync(recorded, Plan("s", "", "a", 0.0, ()), opened=True)
    sync.tell(Named("a"), None, "running")
    wait_until(lambda: recorded.asked)
    recorded.failing = True
    for name in "abc":
        sync.tell(Named(name), None, "finished")
    sync.close()
    assert sync.behind == 3
    assert len(sync.news()) == 1
    assert recorded.asked == [("a", "running")]


def test_a_store_that_hangs_is_given_up_after_the_patience_of_an_interrupt(recorded):
    recorded.slow_s = 3.0
    sync = BackgroundSync(recorded, Plan("s", "", "a", 0.0, ()), opened=True)
    sync.tell(Named("a"), None, "finished")
    began = time.monotonic()
    sync.close(0.2)
    assert time.monotonic() - began < 1.0
    assert sync.behind == 1
