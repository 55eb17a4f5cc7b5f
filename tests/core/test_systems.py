"""What other systems lack is not missed before it is needed: macOS has no /proc, Windows no locks and no fork."""

import subprocess
import sys
from pathlib import Path

from tiny_study import TINY

LIGHT = "import harness.cli.app, harness.api, harness.parts, harness.data, harness.spec.load, harness.report.write\n"
WINDOWS = """
import os, signal, sys
import numpy, pandas, PIL.Image, psutil, pydantic, rich.progress, scipy.stats, typer, yaml  # have their own ways there
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None
for name in ("SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2"):
    delattr(signal, name)
for name in ("fork", "setsid", "getsid", "killpg", "getpgrp", "uname", "sched_getaffinity", "getuid"):
    delattr(os, name)
"""
MAC = """
import os, sys
from pathlib import Path
import sysconfig
sysconfig.get_config_vars()  # what Python itself was built for
import torch, psutil
del os.sched_getaffinity
sys.platform = "darwin"
for method in ("read_text", "glob"):
    def no_proc(path, *arguments, kept=getattr(Path, method), **options):
        if str(path).startswith("/proc"):
            if kept.__name__ == "glob":
                return iter(())
            raise FileNotFoundError(path)
        return kept(path, *arguments, **options)
    setattr(Path, method, no_proc)
"""


def run_program(code: str, place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=place, capture_output=True, text=True, check=False
    )


COMMANDS = """
import harness.cli.app
os.name = "nt"
for words in ("--help", "run tiny.yaml", "plan tiny.yaml"):
    sys.argv = ["harness", *words.split()]
    try:
        harness.cli.app.main()
    except SystemExit as end:
        print(end.code)
"""


def test_on_windows_there_is_one_message(tmp_path):
    done = run_program(WINDOWS + LIGHT + COMMANDS, tmp_path)
    assert done.stdout == "2\n" * 3, done.stderr
    assert done.stderr == 3 * (
        "error: harness runs on Linux and macOS; on Windows, install it in WSL (Windows Subsystem for Linux)\n"
    )


def test_on_windows_the_interface_says_so_where_it_would_lock(tmp_path):
    code = "from pathlib import Path\nfrom harness.files import locked\nwith locked(Path('lock')):\n    pass\n"
    done = run_program(WINDOWS + code, tmp_path)
    assert "HarnessError: harness runs on Linux and macOS; on Windows, install it in WSL" in done.stderr


def test_without_proc_and_affinity_a_run_is_made_and_recorded(tmp_path):
    """The parts of macOS's difference that can be had here: its processes list nothing, its cores are counted."""
    (tmp_path / "tiny.yaml").write_text(TINY.replace("epochs: 3", "epochs: 1"))
    code = """
from harness import api
from harness.execute.run import run_one
from harness.execute.probe import peak_memory
from harness.records import Machine
from harness.runs.folder import load_result, run_folder
plan = api.make_plan(api.load_spec("tiny.yaml"))
folder = run_folder(Path("store"), plan.runs[0].id)
run_one(plan.runs[0], folder, Machine("cpu"), None, lambda told: None)
result = load_result(folder)
print(result.status, result.provenance["cores"] == os.cpu_count(), peak_memory(Machine("cpu")) < 2**31)
"""
    done = run_program(MAC + code, tmp_path)
    assert done.stdout == "finished True True\n", done.stderr


def test_ones_own_processes_are_ended_where_the_system_lists_none(tmp_path):
    code = """
import signal, time
from harness.execute import families
child = os.fork()
if child == 0:
    families.lead_family()
    os.fork() or time.sleep(60)
    time.sleep(60)
time.sleep(0.5)
families.end_family(child)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
time.sleep(0.2)
try:
    os.killpg(child, 0)
except ProcessLookupError:
    print("none left")
"""
    done = run_program(MAC + code, tmp_path)
    assert done.stdout.splitlines()[0] == "-9", done.stderr
