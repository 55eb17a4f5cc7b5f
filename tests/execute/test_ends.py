"""What ends with a command and with a run: real processes, which ignore what they can, and real signals."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from tiny_study import TINY, harness_command, hear_signals

from harness import api
from harness.errors import InputError
from harness.execute import time_limits, worker
from harness.execute.device_slots import DeviceSlots
from harness.execute.events import Ended, Tick, Warned
from harness.execute.local import execute_in
from harness.execute.time_limits import ProgressWatch, TimeLimits, parse_duration
from harness.records import Machine
from harness.runs.folder import read_progress, run_folder

HELPERS = """
import multiprocessing, os, signal, subprocess, sys, threading, time
from pathlib import Path

PLACE = Path(__file__).parent

def wait_for_ever(name):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    (PLACE / "pids" / f"{os.getpid()}.{name}").touch()
    time.sleep(600)
    os._exit(0)

def start():
    if os.fork() == 0:  # holds the pipe, the log and the locks
        wait_for_ever("forked")
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:  # a daemon: no parent, a session of its own
            wait_for_ever("daemon")
        os._exit(0)
    os.wait()
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    other = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    (PLACE / "pids" / f"{other.pid}.program").touch()
    threading.Thread(target=time.sleep, args=(600,)).start()

if "/seed" in multiprocessing.current_process().name:  # in a run, not where the spec is read
    start()
pids_here = list((PLACE / "pids").iterdir())
"""
WAITING = """
import time
import harness.train.loop as loop
kept, calls = loop.forward, []
def forward(*arguments):
    calls.append(1)
    if len(calls) > 4:
        time.sleep(600)
    return kept(*arguments)
loop.forward = forward
"""


def write_study(place: Path, *plugins: str) -> None:
    (place / "pids").mkdir(exist_ok=True)
    (place / "helpers.py").write_text(HELPERS)
    (place / "waiting.py").write_text(WAITING)
    (place / "tiny.yaml").write_text(f"{TINY}plugins: [{', '.join(plugins)}]\n")


def pids(place: Path) -> list[int]:
    return [int(path.stem) for path in (place / "pids").iterdir()]


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def left(found: list[int], seconds: float = 5) -> list[int]:
    """Return which processes are still there after a while."""
    until = time.monotonic() + seconds
    while (still := [pid for pid in found if alive(pid)]) and time.monotonic() < until:
        time.sleep(0.05)
    return still


def wait_until(check, process: subprocess.Popen, seconds: float = 90) -> None:
    until = time.monotonic() + seconds
    while not check():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.05)


ONE = ("run", "tiny.yaml", "--only", "baseline", "--seeds", "0")


@pytest.mark.slow
def test_a_run_is_finished_when_its_process_is_and_its_helpers_end_with_it(harness_cli, workplace):
    """Helpers hold the pipe, the log and a thread of the process; one is a daemon, one a program in its own session."""
    write_study(workplace, "helpers")
    done = harness_cli(*ONE)
    assert done.returncode == 0, done.stderr
    assert len(pids(workplace)) == 3
    assert left(pids(workplace)) == []


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_however_a_command_ends_nothing_of_its_runs_is_left(workplace, signum):
    write_study(workplace, "helpers", "waiting")
    process = subprocess.Popen(
        harness_command(*ONE),
        cwd=workplace,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=hear_signals,
    )
    wait_until(lambda: len(pids(workplace)) == 3, process)
    family = [*pids(workplace), *(child.pid for child in psutil.Process(process.pid).children(recursive=True))]
    assert len(family) > 5
    process.send_signal(signum)
    _, err = process.communicate(timeout=60)
    assert left(family) == []
    if signum == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
        return
    assert process.returncode == 130
    assert err.endswith("interrupted: the same command goes on where it was\n")
    assert "Traceback" not in err
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{workplace}/mlruns/mlflow.db")
    experiment = client.get_experiment_by_name("tiny").experiment_id
    found = client.search_runs([experiment], max_results=9)
    assert {run.info.status for run in found} == {"KILLED"}


@pytest.mark.slow
def test_a_killed_run_leaves_no_helper(harness_cli, workplace):
    write_study(workplace, "helpers", "dying")
    (workplace / "dying.py").write_text(
        "import helpers, os, signal\nif helpers.pids_here:\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = harness_cli(*ONE)
    assert done.returncode == 1, done.stderr
    assert "was ended by SIGKILL" in done.stderr
    assert len(pids(workplace)) == 3
    assert left(pids(workplace)) == []


STANDING = """
from pathlib import Path
import harness.train.loop as loop
kept, calls = loop.forward, []
def stand_still():
    Path(__file__).with_name("stands").touch()
    while not Path(__file__).with_name("goes on").exists():  # works, holds the interpreter, and gets nowhere
        sum(range(10_000))
def forward(*arguments):
    calls.append(1)
    if len(calls) == 5:
        stand_still()
    return kept(*arguments)
loop.forward = forward
"""


class Later:
    """The clock by which runs are judged; hours pass on it when the test says so."""

    def __init__(self):
        self.seconds = 0.0

    def monotonic(self):
        return time.monotonic() + self.seconds


@pytest.fixture
def later(monkeypatch):
    clock = Later()
    monkeypatch.setattr(time_limits, "time", clock)
    return clock


def begin_one_that_stands(place: Path, monkeypatch, patience: TimeLimits):
    """Return a run that will stand still in its second epoch, its folder, and the events of it and of another."""
    monkeypatch.syspath_prepend(place)
    (place / "standing.py").write_text(STANDING)
    (place / "tiny.yaml").write_text(TINY)
    first, other = api.make_plan(api.load_spec(place / "tiny.yaml")).runs[:2]
    standing = replace(first, config=replace(first.config, plugins=("standing",)))
    folders = {run.id: run_folder(place, run.id) for run in (standing, other)}
    events = execute_in(DeviceSlots(2, ("cpu",), 2), (standing, other), folders, Machine(), patience=patience)
    return standing, folders[standing.id], events


@pytest.mark.slow
def test_a_run_that_takes_too_long_is_ended_and_the_others_go_on(tmp_path, monkeypatch, later):
    standing, folder, events = begin_one_that_stands(tmp_path, monkeypatch, TimeLimits(run_s=5400))
    ends = {}
    for event in events:
        if isinstance(event, Ended):
            ends[event.run.id] = event.result
        if (tmp_path / "stands").exists() and ends:
            later.seconds = 5400
    assert [result.status for run_id, result in ends.items() if run_id != standing.id] == ["finished"]
    assert ends[standing.id].status == "failed"
    assert ends[standing.id].reason == (
        "it took longer than --run-timeout (1.5 h), and was ended; run again to continue from its last epoch"
    )
    assert [item.epoch for item in read_progress(folder)] == [1]


@pytest.mark.slow
def test_of_a_run_that_stands_still_it_is_said_once_where(tmp_path, monkeypatch, later):
    standing, folder, events = begin_one_that_stands(tmp_path, monkeypatch, TimeLimits(silence_s=1800, steps=1))
    ends, told, beats = {}, [], 0
    for event in events:
        if isinstance(event, Ended):
            ends[event.run.id] = event.result
        if isinstance(event, Warned):
            told.append(event.text)
        beats += isinstance(event, Tick) and (tmp_path / "stands").exists()
        if beats > worker.PULSE_S + 1:  # it has told all that it has done
            later.seconds += 1800
        if beats > worker.PULSE_S + 4:
            (tmp_path / "goes on").touch()
    assert ends[standing.id].status == "finished", "it is not ended"
    (said,) = (text for text in told if "standing.py" in text)
    assert "baseline/seed0 has trained or judged nothing for" in said
    assert 'in stand_still < File "' in said and "in forward" in said
    log = folder.log.read_text()
    assert log.count("most recent call first") > 1, "of all threads"
    assert "in stand_still" in log


def test_silence_is_measured_by_the_usual_batch_and_told_once(monkeypatch):
    """Of batches of 5 s each the limit is 20 of them, above the 60 s that are stated."""
    now = iter([0, 10, 60, 159, 161, 170, 175, 200, 300])
    monkeypatch.setattr("harness.execute.time_limits.time.monotonic", lambda: next(now))
    watch = ProgressWatch(TimeLimits(silence_s=60))
    watch.note(2)  # at 10 s
    watch.note(12)  # at 60 s
    assert [watch.silence() for _ in range(3)] == [0, 101, 0]
    watch.note(13)  # at 175 s: (175 - 10) / 11 = 15 s each
    assert [watch.silence() for _ in range(2)] == [0, 0]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90m", 5400), ("2h", 7200), ("1h30m", 5400), ("1.5h", 5400), ("45s", 45)]
)
def test_durations(text, seconds):
    assert parse_duration("--run-timeout", text) == seconds


@pytest.mark.parametrize("text", ["", "90", "0m", "-2h", "2 h", "h", "1e3s", "2h30", "9" * 400 + "h"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(InputError, match="write a duration above 0 such as 90m, 2h or 1h30m"):
        parse_duration("--run-timeout", text)


THREADS = """
import sys
import torch
from harness.errors import RunFailed
from harness.train.self_test import require_threads
state = torch.get_rng_state()
torch.set_num_threads(2)
try:
    require_threads(2, 5)
except RunFailed as error:
    print(error)
assert torch.equal(state, torch.get_rng_state())
sys.stdout.flush()
import os
os._exit(0)
"""


@pytest.mark.parametrize(
    ("variable", "told"),
    [
        pytest.param("OMP_THREAD_LIMIT=1", "torch waits for ever with train.threads: 2", marks=pytest.mark.slow),
        ("OMP_DYNAMIC=TRUE", "OMP_DYNAMIC=TRUE lets OpenMP give torch fewer threads than train.threads (2)"),
        ("OMP_WAIT_POLICY=passive", ""),
    ],
)
def test_threads_that_torch_does_not_get_are_found_and_the_variable_is_named(variable, told):
    environment = {**os.environ, **dict([variable.split("=")])}
    # The kernels that wait are those of a processor with vectors: older ones, which these ask for, never do.
    for name in ("OMP_NUM_THREADS", "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "OPENBLAS_CORETYPE"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-c", THREADS], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.startswith(told)
    assert (variable in done.stdout and "unset " in done.stdout) if told else not done.stdout
