"""What ends with a command and with a run: real processes, which ignore what they can, and real signals."""

import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from tiny_study import TINY, harness_command

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
import harness.train.step as step
kept, calls = step.forward_batch, []
def forward_batch(*arguments):
    calls.append(1)
    if len(calls) > 4:
        time.sleep(600)
    return kept(*arguments)
step.forward_batch = forward_batch
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
    done = harness_cli(*ONE, timeout=120)
    assert done.returncode == 0, done.stderr
    assert len(pids(workplace)) == 3
    assert left(pids(workplace)) == []


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_however_a_command_ends_nothing_of_its_runs_is_left(workplace, signum):
    write_study(workplace, "helpers", "waiting")
    process = subprocess.Popen(
        harness_command(*ONE), cwd=workplace, stderr=subprocess.PIPE, text=True, start_new_session=True
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
    done = harness_cli(*ONE, timeout=120)
    assert done.returncode == 1, done.stderr
    assert "was ended by SIGKILL" in done.stderr
    assert len(pids(workplace)) == 3
    assert left(pids(workplace)) == []
