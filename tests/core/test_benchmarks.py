"""Every benchmark can be started, and says how."""

import ast
import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
SHARED = {"__init__", "cases", "rivals", "setting", "simulated_counts"}
"""What several benchmarks use."""
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in SHARED)
WITH_OPTIONS = [name for name in NAMES if "argparse" in (FOLDER / f"{name}.py").read_text(encoding="utf-8")]


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_says_how_it_is_started(name):
    tree = ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    assert f"python -m benchmarks.{name}" in ast.get_docstring(tree)


@pytest.mark.parametrize("name", WITH_OPTIONS)
def test_a_benchmark_starts(name, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"benchmarks.{name}").main()
    assert ended.value.code == 0
    assert "usage: " in capsys.readouterr().out
