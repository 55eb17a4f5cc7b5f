"""`python -m benchmarks.gpu` is ready for the few minutes in which a card is at hand, and no step costs the others."""

import json
import os
import re
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
import torch
from made_steps import MADE, find

from benchmarks.gpu.__main__ import STEPS
from benchmarks.gpu.record import PARTS, Record, Row, load, save
from benchmarks.gpu.steps import Rig, Step, make_steps, supervise

ROOT = Path(__file__).parents[2]
NAMED = ("torch", "torchvision", "numpy", "scipy", "pillow", "pydantic", "segmentation-models-pytorch")
"""Distributions that the program may need, with what these require."""
VARIABLE = "HARNESS_GPU_PYTHON"
"""Names a Python 3.12 that has these and no others; `.ci/run` makes one."""
HIDING = """
import sys
from importlib.machinery import PathFinder

class Hiding(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name in {banned} else PathFinder.find_spec(name, path, target)

sys.meta_path[:] = [Hiding if finder is PathFinder else finder for finder in sys.meta_path]
"""


def reachable(names):
    """Return distributions with all that they require, as far as it is installed; extras are left out."""
    found, waiting = set(), list(names)
    while waiting:
        name = canonical(waiting.pop())
        if name in found:
            continue
        found.add(name)
        try:
            wanted = requires(name) or []
        except PackageNotFoundError:
            continue
        waiting += [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in wanted if "extra ==" not in line]
    return found


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def banned_modules():
    allowed, kept = reachable(NAMED), {"harness", "benchmarks", *sys.stdlib_module_names}
    return {
        module
        for module, owners in packages_distributions().items()
        if not allowed & {canonical(owner) for owner in owners} and module not in kept
    }


def surroundings_of_this_python(tmp_path):
    banned = banned_modules()
    assert {"mlflow", "optuna", "psutil", "matplotlib", "sklearn"} <= banned
    assert not {"torch", "numpy", "yaml", "safetensors"} & banned
    (tmp_path / "sitecustomize.py").write_text(HIDING.format(banned=banned))
    return sys.executable, f"{tmp_path}:{ROOT}"


def surroundings_of_a_bare_python():
    python = os.environ.get(VARIABLE)
    if not python:
        pytest.skip(f"{VARIABLE} names no Python 3.12 with {', '.join(NAMED)} alone")
    code = "import sys, importlib.util as u; print(sys.version_info[:2], u.find_spec('mlflow'), u.find_spec('optuna'))"
    said = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "(3, 12) None None\n"
    return python, str(ROOT)


@pytest.mark.slow
@pytest.mark.parametrize("which", ["this", "bare"])
def test_every_step_runs_on_a_cpu_with_the_named_packages_alone(which, tmp_path):
    python, path = surroundings_of_this_python(tmp_path) if which == "this" else surroundings_of_a_bare_python()
    out = tmp_path / "out"
    command = [python, "-m", "benchmarks.gpu", "--minutes", "8", "--device", "cpu", "--out", str(out)]
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (out / "gpu.json").exists(), done.stderr[-3000:]
    record = load(out)
    problems = {row.step: (row.status, row.says, row.trace) for row in record.rows if row.status != "ok"}
    assert not problems, done.stderr[-3000:]
    assert done.returncode == 0
    assert [row.step for row in record.rows] == [step.name for step in STEPS]
    assert record.machine["torch"]
    table = (out / "gpu.md").read_text()
    assert table.startswith(f"**cpu**: {len(STEPS)} ok.")
    assert all(f"| {step.name} | ok |" in table for step in STEPS)


CHILD = """
import sys
from pathlib import Path
import torch
sys.path.insert(0, {here!r})
from made_steps import MADE
from benchmarks.gpu.steps import Rig, make_steps
make_steps(MADE, Rig(torch.device("cpu"), Path({out!r})), Path({out!r}), {until})
"""


@pytest.mark.slow
def test_a_step_that_fails_dies_or_hangs_is_a_row_and_not_the_end(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    save(tmp_path, Record({"device": "a card"}, tuple(Row(step.part, step.name) for step in MADE)))
    until = time.monotonic() + 300
    code = CHILD.format(here=str(Path(__file__).parent), out=str(tmp_path), until=until)
    rows = supervise(["-c", code], MADE, tmp_path, until).rows
    assert [(row.status, row.says) for row in rows] == [
        ("FAILED", "ValueError: no such kernel on this device"),
        ("FAILED", "its process ended with exit code 3"),
        ("FAILED", "ended after 2 s without a result"),
        ("ok", "1.5 times faster"),
        ("WRONG", "counts differ"),
    ]
    assert "in fail" in rows[0].trace
    assert json.loads((tmp_path / "gpu.json").read_text())["rows"][3]["numbers"] == {"times": 1.5, "noise": "nan"}
    assert "**a card**: 3 FAILED, 1 ok, 1 WRONG." in (tmp_path / "gpu.md").read_text()


def test_when_the_minutes_are_over_the_rest_is_not_reached(tmp_path):
    steps = [Step(PARTS[0], "first", find), Step(PARTS[2], "second", find)]
    save(tmp_path, Record({}, tuple(Row(step.part, step.name) for step in steps)))
    rig = Rig(torch.device("cpu"), tmp_path)
    make_steps(steps, rig, tmp_path, time.monotonic() - 1)
    assert [row.status for row in load(tmp_path).rows] == ["not reached", "not reached"]
    assert "| second | not reached |" in (tmp_path / "gpu.md").read_text()
    make_steps(steps, rig, tmp_path, time.monotonic() + 60)
    assert [row.status for row in load(tmp_path).rows] == ["ok", "ok"]


def test_the_documentation_quotes_the_card_that_was_measured():
    measured = (ROOT / "benchmarks/gpu/nvidia-h200.md").read_text()
    rows = {
        tuple(cell.strip() for cell in line.split("|")[1:4:2]) for line in measured.splitlines() if "| ok |" in line
    }
    page = (ROOT / "docs/performance.md").read_text().split("## On a GPU")[1].split("\n## ")[0]
    table = page.split("| :-- | :-- |\n")[1].split("\n\n")[0]
    quoted = [tuple(cell.strip() for cell in line.split("|")[1:3]) for line in table.splitlines()]
    assert len(quoted) > 10
    assert [row for row in quoted if row not in rows] == []
