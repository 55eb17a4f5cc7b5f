"""Every benchmark can be started, and says how."""

import ast
import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
SHARED = {"__init__", "cases", "mutants", "resample", "rivals", "setting", "simulated_counts"}
"""What several benchmarks use."""
FILES = {path.stem: path for path in sorted(FOLDER.glob("*.py")) if path.stem not in SHARED}
FILES |= {path.parent.name: path for path in FOLDER.glob("*/__main__.py")}
WITH_OPTIONS = [name for name, path in FILES.items() if "argparse" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("name", FILES)
def test_a_benchmark_says_how_it_is_started(name):
    tree = ast.parse(FILES[name].read_text(encoding="utf-8"))
    assert f"python -m benchmarks.{name}" in ast.get_docstring(tree)


@pytest.mark.parametrize("name", WITH_OPTIONS)
def test_a_benchmark_starts(name, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(".".join(FILES[name].relative_to(FOLDER.parent).with_suffix("").parts)).main()
    assert ended.value.code == 0
    assert "usage: " in capsys.readouterr().out
