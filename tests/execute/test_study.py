"""The program as its user runs it: whole studies, kills, repeats. Real processes, a real MLflow store."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tiny_study import TINY, final_counts, harness_command, harness_here

from harness.runs.folder import is_running, run_folder


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Return the counts of the tiny study run once, one run at a time, without disturbance."""
    place = tmp_path_factory.mktemp("undisturbed")
    (place / "tiny.yaml").write_text(TINY)
    done = harness_here("run", "tiny.yaml", "--jobs", "1", "--json", cwd=place)
    assert done.returncode == 0, done.stderr
    return place, done


def test_a_study_becomes_tracked_runs_and_a_report(undisturbed):
    place, done = undisturbed
    answer = json.loads(done.stdout)
    assert [row["status"] for row in answer["runs"]] == ["finished"] * 4
    assert answer["answer"] == json.loads((place / "reports/tiny/report.json").read_text())["answer"]
    assert (place / "reports/tiny/report.md").read_text().startswith("# ")
    assert json.loads((place / "reports/tiny/report.json").read_text())["study"] == "tiny"
    assert len(list((place / "reports/tiny/figures").glob("*.png"))) >= 6


def test_the_second_time_it_does_nothing_and_says_so(undisturbed):
    place, _ = undisturbed
    before = {path: path.stat().st_mtime_ns for path in (place / "reports").rglob("*") if path.is_file()}
    done = harness_here("run", "tiny.yaml", cwd=place)
    assert done.returncode == 0
    assert "nothing to do: all 4 runs are finished" in done.stderr
    *answer, last = done.stdout.splitlines()
    assert answer == json.loads((place / "reports/tiny/report.json").read_text())["answer"]
    assert "baseline on test" in answer[0], "val chose the epochs"
    assert last == "4 of 4 runs are finished; report: reports/tiny/report.md"
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.slow
def test_a_report_is_written_again_where_it_is_not_this_study_s_and_nothing_is_trained(workplace):
    """Another comparison was asked for, or the program was killed before its report: an earlier one does not count."""
    options = ("run", "tiny.yaml", "--seeds", "0")
    assert harness_here(*options).returncode == 0
    spec, report = workplace / "tiny.yaml", workplace / "reports/tiny/report.json"
    spec.write_text(spec.read_text() + "compare: {reference: baseline, margin: 0.25}\n")
    done = harness_here(*options)
    assert done.returncode == 0, done.stderr
    assert "epoch 1/" not in done.stderr
    assert "nothing to do" not in done.stderr
    assert json.loads(report.read_text())["margin"] == 0.25
    spec.write_text(spec.read_text().replace("lr: 3.0e-3", "lr: 2.0e-3"))
    earlier = report.read_text()
    with subprocess.Popen(harness_command(*options), cwd=workplace, stderr=subprocess.PIPE, text=True) as process:
        lines = iter(process.stderr)
        for _ in ("baseline", "the other"):
            while ": finished" not in next(lines):
                pass
        process.kill()
    assert report.read_text() == earlier
    done = harness_here(*options)
    assert done.returncode == 0, done.stderr
    assert "epoch 1/" not in done.stderr
    assert "nothing to do" not in done.stderr
    assert report.read_text() != earlier
    assert "nothing to do: all 2 runs are finished" in harness_here(*options).stderr
    (workplace / "reports/tiny/report.md").write_text("another study's")
    assert "nothing to do" not in harness_here(*options).stderr
    (workplace / "mlruns/studies/tiny/reported").write_bytes(b"\xff\xfe")
    assert harness_here(*options).returncode == 0


def test_report_is_made_again_from_the_store_alone(undisturbed, tmp_path):
    place, _ = undisturbed
    done = harness_here("report", "tiny", "--reports", str(tmp_path), cwd=place)
    assert done.returncode == 0, done.stderr
    first, again = place / "reports/tiny", tmp_path / "tiny"
    for path in first.rglob("*.*"):
        assert (again / path.relative_to(first)).read_bytes() == path.read_bytes(), path.name


def mlflow_statuses(place):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{place}/mlruns/mlflow.db")
    experiment = client.get_experiment_by_name("tiny")
    runs = client.search_runs([experiment.experiment_id])
    return {run.data.tags["mlflow.runName"]: run.info.status for run in runs}


def start(*options):
    return subprocess.Popen(
        harness_command("run", "tiny.yaml", *options), stderr=subprocess.PIPE, text=True, start_new_session=True
    )


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_with_the_same_counts_also_two_runs_at_once(undisturbed, workplace):
    """Its parent alone is killed: while it begins, then while runs train."""
    place, _ = undisturbed
    with start("--jobs", "2") as process:
        time.sleep(4)
        process.kill()
    with start("--jobs", "2") as process:
        next(line for line in process.stderr if "epoch 2/" in line)
        process.kill()
    done = harness_here("run", "tiny.yaml", "--jobs", "2")
    assert done.returncode == 0, done.stderr
    assert final_counts(workplace / "mlruns") == final_counts(place / "mlruns")
    assert len(final_counts(workplace / "mlruns")) == 4
    assert set(mlflow_statuses(workplace).values()) == {"FINISHED"}


@pytest.mark.slow
def test_ctrl_c_ends_all_processes_marks_the_runs_and_is_resumable(undisturbed, workplace):
    """The terminal sends the signal to the parent, its runs and what serves them, all at once."""
    place, _ = undisturbed
    process = start("--jobs", "2")
    next(line for line in process.stderr if "seed1: epoch 1/" in line)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.endswith("interrupted: the same command goes on where it was\n")
    assert "Traceback" not in err
    assert no_process_left(process.pid)
    folders = list(Path("mlruns/runs").iterdir())
    assert len(folders) >= 2
    assert not any(is_running(run_folder(Path("mlruns"), folder.name)) for folder in folders)
    assert "RUNNING" not in mlflow_statuses(workplace).values()
    before = {path: path.read_text() for path in Path("mlruns/runs").glob("*/journal.jsonl")}
    assert before
    done = harness_here("run", "tiny.yaml")
    assert done.returncode == 0, done.stderr
    assert [path for path, text in before.items() if not path.read_text().startswith(text)] == []
    assert final_counts(workplace / "mlruns") == final_counts(place / "mlruns")


def no_process_left(group):
    for _ in range(50):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.slow
def test_one_run_killed_takes_only_itself_and_those_that_need_it(workplace):
    process = subprocess.Popen(
        harness_command("run", "tiny.yaml", "--jobs", "1", "--json", "--set", "train.epochs=40"),
        cwd=workplace,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    first = next(line for line in process.stderr if "epoch 2/" in line)
    run_id = next(path.parent.name for path in workplace.glob("mlruns/runs/*/journal.jsonl"))
    processes = [path for path in Path("/proc").iterdir() if path.name.isdigit()]
    holders = [int(path.name) for path in processes if has_open(path, f"runs/{run_id}/lock")]
    os.kill(holders[0], signal.SIGKILL)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 1, err
    runs = {(row["variant"], row["seed"]): row for row in json.loads(out)["runs"]}
    assert "baseline/seed0" in first
    assert runs["baseline", 0]["status"] == "failed"
    assert "SIGKILL" in runs["baseline", 0]["reason"]
    assert runs["finetune", 0]["status"] == "skipped"
    assert runs["baseline", 1]["status"] == runs["finetune", 1]["status"] == "finished"
    assert "was ended by SIGKILL" in (workplace / "reports/tiny/report.md").read_text()


def has_open(process, ending):
    try:
        return any(str(fd.readlink()).endswith(ending) for fd in (process / "fd").iterdir())
    except OSError:
        return False


def test_bad_input_is_one_message_and_exit_code_2(workplace):
    spec = (workplace / "tiny.yaml").read_text().replace("base_channels: 4", "base_chanels: 4")
    (workplace / "tiny.yaml").write_text(spec)
    done = harness_here("run", "tiny.yaml")
    assert done.returncode == 2
    assert done.stderr.startswith("error: tiny.yaml:6:")
    assert "did you mean 'base_channels'" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (workplace / "mlruns").exists()
