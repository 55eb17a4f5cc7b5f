"""Faults that are really caused: processes killed, disks that are full or read-only, files damaged, clocks set back."""

import ctypes
import json
import os
import resource
import shutil
import signal
import subprocess
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_study import TINY, final_counts, harness_command, harness_here

from harness import api
from harness.execute.events import Ended, Warned
from harness.execute.local import Local
from harness.execute.run import run_one
from harness.records import Machine
from harness.runs.folder import load_result, read_progress, run_folder
from harness.runs.stale import describe_stale, find_stale, remember_runs

MOMENTS = ("loading", "forward", "best half", "state half", "between renames", "before journal", "judging", "result")

SABOTEUR = """
import os, signal
from pathlib import Path

import harness.execute.run as one
import harness.runs.folder as folder
import harness.train.checkpoint as checkpoint
import harness.train.loop as loop
from harness.data.prepared import PreparedSplit

def claim():
    for path in sorted(Path(__file__).with_name("moments").glob("*")):
        try:
            path.unlink()
        except FileNotFoundError:  # another process was faster
            continue
        return path.name

def die(*ignored, **options):
    os.kill(os.getpid(), signal.SIGKILL)

def at_call(number, place, name, instead=die):
    kept, calls = getattr(place, name), []
    def call(*arguments, **options):
        calls.append(1)
        if len(calls) == number:
            instead(*arguments, **options)
        return kept(*arguments, **options)
    setattr(place, name, call)

def write_half(content, file):
    kept(content, file)
    file.seek(0, 2)
    file.truncate(file.tell() // 2)
    file.flush()
    die()

def die_at_second_rename(path, target):
    if target.name == "state.pt" and target.with_name("state.previous.pt").exists():
        die()

kept = checkpoint._save_sealed
match claim():
    case "loading": at_call(3, PreparedSplit, "stacked")
    case "forward": at_call(4, loop, "forward")
    case "best half": at_call(1, checkpoint, "_save_sealed", write_half)
    case "state half": at_call(4, checkpoint, "_save_sealed", write_half)
    case "between renames":
        replace = Path.replace
        Path.replace = lambda path, target: (die_at_second_rename(path, target), replace(path, target))[1]
    case "before journal": at_call(2, folder, "append_progress")
    case "judging": at_call(1, one, "evaluate_in_detail")
    case "result": at_call(1, folder, "write_entry")
"""


def make_plan(place: Path, text: str = TINY, **options):
    spec = place / "tiny.yaml"
    spec.write_text(textwrap.dedent(text))
    return api.make_plan(api.load_spec(spec, **options))


def run_all(runs, root: Path) -> dict[str, str]:
    """Execute runs without a tracking store; return id -> reason of those that failed."""
    folders = {run.id: run_folder(root, run.id) for run in runs}
    events = list(Local(Machine(), jobs=2)(runs, folders))
    return {e.run.id: e.result.reason for e in events if isinstance(e, Ended) and e.result.status != "finished"}


@pytest.mark.slow
def test_killed_at_each_moment_of_a_run_nothing_is_lost(tmp_path, monkeypatch):
    """Each of these runs is killed once, at another moment; continued, all have the counts of an undisturbed one."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "saboteur.py").write_text(SABOTEUR)
    (tmp_path / "moments").mkdir()
    for name in MOMENTS:
        (tmp_path / "moments" / name).touch()
    plan = make_plan(tmp_path, seeds=range(len(MOMENTS)))
    runs = [run for run in plan.runs if run.variant == "baseline"]
    assert run_all(runs, tmp_path / "undisturbed") == {}
    sabotaged = [replace(run, config=replace(run.config, plugins=("saboteur",))) for run in runs]
    failed = run_all(sabotaged, tmp_path / "killed")
    assert len(failed) == len(MOMENTS)
    assert [reason for reason in failed.values() if "run again to continue" not in reason] == []
    assert [reason for reason in failed.values() if "was ended by SIGKILL" not in reason] == []
    assert not list((tmp_path / "moments").iterdir())
    assert list((tmp_path / "killed").rglob(".*.partial")), "two were killed in mid-file"
    assert run_all(sabotaged, tmp_path / "killed") == {}
    assert final_counts(tmp_path / "killed") == final_counts(tmp_path / "undisturbed")
    left = {path.name for path in (tmp_path / "killed").rglob("*") if path.is_file()}
    assert left - {"plugins.zip"} == {path.name for path in (tmp_path / "undisturbed").rglob("*") if path.is_file()}


PARENT_SABOTEUR = """
import os, signal
from pathlib import Path
from mlflow import MlflowClient

kept, calls = MlflowClient.log_batch, []

def log_batch(self, *arguments, **options):
    calls.extend(["metrics"] if "metrics" in options else [])
    if len(calls) == 2 and Path("kill").exists():
        Path("kill").unlink()
        half = options["metrics"][: len(options["metrics"]) // 2]
        kept(self, *arguments, **{**options, "metrics": half})
        os.kill(os.getpid(), signal.SIGKILL)
    return kept(self, *arguments, **options)

MlflowClient.log_batch = log_batch
"""


@pytest.mark.slow
def test_parent_killed_while_mlflow_is_written_each_metric_is_there_once(harness_cli, workplace):
    (workplace / "parent_saboteur.py").write_text(PARENT_SABOTEUR)
    (workplace / "tiny.yaml").write_text(f"{TINY}plugins: [parent_saboteur]\n")
    (workplace / "kill").touch()
    options = ("run", "tiny.yaml", "--only", "baseline", "--seeds", "0")
    assert harness_cli(*options).returncode == -signal.SIGKILL
    done = harness_cli(*options)
    assert done.returncode == 0, done.stderr
    assert "plugin parent_saboteur: imported, because the spec names it, from" in done.stderr
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{workplace}/mlruns/mlflow.db")
    (child,) = client.search_runs(
        [client.get_experiment_by_name("tiny").experiment_id], "tags.`harness.kind` = 'run'", max_results=9
    )
    (folder,) = (path.parent for path in workplace.glob("mlruns/runs/*/result.json"))
    journal = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    for name in ("val/loss", "train/loss", "val/miou_dataset", "lr/head"):
        logged = [(point.step, point.value) for point in client.get_metric_history(child.info.run_id, name)]
        assert logged == [(line["epoch"], line["metrics"][name]) for line in journal]
    assert child.info.status == "FINISHED"


BIG = """
  big: {set: {model.base_channels: 32}}
  needs-big: {from: big@best, like: big}
  finetune:
"""


def limit_files(size: int):
    """Return what forbids a process, and those that it starts, files larger than this: a full disk for big ones."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.slow
def test_no_room_for_a_checkpoint_stops_that_run_alone_and_is_made_good(workplace):
    """Weights of 8 MB do not fit, those of the small network do: real refusals of the system, with no right needed."""
    (workplace / "tiny.yaml").write_text(
        TINY.replace("\n  finetune:\n", BIG).replace("base_channels: 4", "base_channels: 2").replace("hs: 3", "hs: 1")
    )
    command = harness_command("run", "tiny.yaml", "--seeds", "0", "--json")
    limited = subprocess.run(
        command, cwd=workplace, capture_output=True, text=True, check=False, preexec_fn=limit_files(6_000_000)
    )
    assert limited.returncode == 1, limited.stderr
    rows = {row["variant"]: row for row in json.loads(limited.stdout)["runs"]}
    assert {name: row["status"] for name, row in rows.items()} == {
        "baseline": "finished",
        "big": "failed",
        "needs-big": "skipped",
        "finetune": "finished",
    }
    reason = rows["big"]["reason"]
    assert "checkpoints/best.pt: cannot be written: File too large; the disk " in reason
    assert " bytes free of " in reason and "run the same command again" in reason
    assert "Traceback" not in limited.stderr
    assert not list(workplace.rglob(".*.partial"))
    done = harness_here("run", "tiny.yaml", "--seeds", "0", "--json", cwd=workplace)
    assert done.returncode == 0, done.stderr
    assert {row["status"] for row in json.loads(done.stdout)["runs"]} == {"finished"}


def make_dataset(place: Path, changed: bool = False) -> None:
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (place / kind).mkdir(parents=True, exist_ok=True)
    for index in range(12):
        mask = rng.integers(0, 2, (16, 16)).astype(np.uint8)
        picture = rng.integers(0, 255, (16, 16, 3), np.uint8)
        Image.fromarray(picture).save(place / "images" / f"i{index}.png")
        Image.fromarray(1 - mask if changed and index == 3 else mask).save(place / "masks" / f"i{index}.png")


def on_folder(text: str) -> str:
    lines = ["  data: {name: folder, root: data, size: [16, 16], classes: [a, b], val_fraction: 0.4}"]
    return "\n".join(lines[0] if line.startswith("  data:") else line for line in text.splitlines()) + "\n"


@pytest.mark.slow
def test_data_changed_between_two_runs_stale_results_are_named_and_not_mixed(workplace):
    (workplace / "tiny.yaml").write_text(on_folder(TINY))
    make_dataset(workplace / "data")
    options = ("tiny.yaml", "--seeds", "0")
    assert harness_here("run", *options).returncode == 0
    make_dataset(workplace / "data", changed=True)
    told = "baseline/seed0, finetune+dice/seed0: trained before on other data (digest of data "
    planned = harness_here("plan", *options)
    assert told.split(",")[0] in planned.stderr and "is stale and not reported" in planned.stderr, planned.stderr
    assert "2 to do" in planned.stdout
    partly = harness_here("run", *options, "--only", "baseline", "--json")
    assert partly.returncode == 0, partly.stderr
    assert "baseline/seed0: trained before on other data (digest of data " in partly.stderr
    reported = harness_here("report", "tiny", "--json")
    rows = {row["variant"].split("+")[0]: row["status"] for row in json.loads(reported.stdout)["runs"]}
    assert rows == {"baseline": "finished", "finetune": "to do"}, "the old result is not of this study any more"
    again = harness_here("plan", *options)
    assert "finetune" in again.stderr and "baseline/seed0" not in again.stderr


def test_what_differs_is_named_setting_by_setting(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.runs.stale.is_finished", lambda folder: folder.path.name in finished)
    before, now = (make_plan(tmp_path, TINY.replace("3.0e-3", lr)) for lr in ("3.0e-3", "1.0e-3"))
    finished = {run.id for run in before.runs}
    remember_runs(tmp_path, before)
    remember_runs(tmp_path, now)
    assert find_stale(tmp_path, before) == ()
    (text,) = describe_stale(find_stale(tmp_path, now))
    assert text == (
        "baseline/seed0, baseline/seed1, finetune/seed0, finetune/seed1: trained before with other settings "
        "(optimizer.lr 0.003 then, 0.001 now); this result is stale and not reported, the run is made again"
    )
    finished |= {run.id for run in now.runs}
    assert find_stale(tmp_path, now) == ()


def test_data_changed_after_planning_is_not_trained_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_dataset(tmp_path / "data")
    plan = make_plan(tmp_path, on_folder(TINY), seeds=[0])
    make_dataset(tmp_path / "data", changed=True)
    with pytest.raises(Exception, match="data changed on disk after the study was planned; run the same command again"):
        run_one(plan.runs[0], run_folder(tmp_path, "x"), Machine(), None, lambda told: None)
    assert not list(tmp_path.rglob("*.pt"))


def run_here(run, root: Path, start: Path | None = None) -> list[object]:
    """Make one run in this process, and return what it told."""
    told: list[object] = []
    run_one(run, run_folder(root, run.id), Machine(), start, told.append)
    return told


class Stop(Exception):
    pass


def stop_after(epoch: int):
    def tell(told):
        if getattr(told, "epoch", None) == epoch:
            raise Stop

    return tell


def test_a_damaged_state_is_replaced_by_the_one_before_and_said_so(tmp_path):
    run = make_plan(tmp_path, seeds=[0]).runs[0]
    run_here(run, tmp_path / "undisturbed")
    folder = run_folder(tmp_path / "damaged", run.id)
    with pytest.raises(Stop):
        run_one(run, folder, Machine(), None, stop_after(2))
    content = bytearray(folder.state.read_bytes())
    content[len(content) // 2] ^= 16
    folder.state.write_bytes(content)
    folder.best.write_bytes(folder.best.read_bytes()[:1000])  # its copy in the state is used
    told = run_here(run, tmp_path / "damaged")
    note = "the checkpoint state.pt was damaged (its checksum does not match): training went on after epoch 1 instead"
    assert told[0] == Warned(f"baseline/seed0: {note}")
    assert note in load_result(folder).provenance["notes"]
    assert [item.epoch for item in load_result(folder).history] == [1, 2, 3]
    assert final_counts(tmp_path / "damaged") == final_counts(tmp_path / "undisturbed")


def test_damaged_weights_of_a_finished_run_are_not_started_from(tmp_path):
    parent, child = make_plan(tmp_path, seeds=[0]).runs
    run_here(parent, tmp_path)
    folder = run_folder(tmp_path, parent.id)
    content = bytearray(folder.best.read_bytes())
    content[len(content) // 3] ^= 1
    folder.best.write_bytes(content)
    with pytest.raises(
        Exception, match=r"weights that it starts from are damaged \(its checksum does not match\)"
    ) as e:
        run_here(child, tmp_path, folder.best)
    assert f"remove the folder {folder.path}, and harness run trains that run again" in str(e.value)
    shutil.rmtree(folder.path)
    run_here(parent, tmp_path)
    run_here(child, tmp_path, folder.best)
    assert load_result(run_folder(tmp_path, child.id)).status == "finished"


def test_times_never_go_back_with_the_clock(tmp_path, monkeypatch):
    """The clock is set back by an hour after the first epoch, and again while the run is interrupted."""
    clock = iter([5_000_000, 1_400_000, 1_500_000, 200_000, 300_000])
    monkeypatch.setattr("harness.train.loop.time.time_ns", lambda: next(clock) * 1_000_000)
    run = make_plan(tmp_path, TINY.replace("epochs: 3", "epochs: 4"), seeds=[0]).runs[0]
    folder = run_folder(tmp_path, run.id)
    with pytest.raises(Stop):
        run_one(run, folder, Machine(), None, stop_after(2))
    run_here(run, tmp_path)
    times = [item.time_ms for item in read_progress(folder)]
    assert times == sorted(set(times))
    assert times[0] == 5_000_000
    assert load_result(folder).seconds > 0


def as_a_user():
    """Give up root's right to write everywhere (the capability CAP_DAC_OVERRIDE); others have none."""
    if os.getuid() == 0:
        ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)  # PR_CAPBSET_DROP


@pytest.mark.parametrize("place", [".", pytest.param("mlruns", marks=pytest.mark.slow), "mlruns/studies/tiny"])
def test_a_read_only_store_is_one_message(workplace, place):
    (workplace / place).mkdir(parents=True, exist_ok=True)
    (workplace / place).chmod(0o555)
    done = subprocess.run(
        harness_command("run", "tiny.yaml"),
        cwd=workplace,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=as_a_user,
    )
    assert done.returncode == 2, done.stderr
    (message,) = (line for line in done.stderr.splitlines() if line.startswith("error"))
    assert message.startswith(f"error: {workplace}/mlruns/")
    assert message.endswith("cannot be written: Permission denied; give a folder that you may write to")
    assert "Traceback" not in done.stderr
