"""The shape of the house: imports point down, outside libraries have one door each, the command line starts fast."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "harness"
FLOORS = {
    -1: ["errors", "moved"],
    0: ["settings", "cores", "environment", "files", "fingerprint", "npz", "process_state", "randomness"],
    0.1: ["zip_checksum"],
    0.5: ["records", "common_settings", "signatures"],
    1: ["registry", "counts", "judged", "predictions", "scores", "class_mapping", "stats", "strict_yaml"],
    2: ["spec", "data", "models"],
    3: ["parts"],
    3.5: ["plugin"],
    4: ["train", "runs", "report"],
    4.5: ["tracking"],
    5: ["execute", "audit"],
    5.5: ["apply", "tune"],
    6: ["api"],
    7: ["cli"],
}
FLOOR_OF = {name: floor for floor, names in FLOORS.items() for name in names}
DOORS = {
    "mlflow": ["tracking/mlflow_", "apply/export/served.py"],
    "fsspec": ["data/remote.py"],
    "onnx": ["apply/export/formats.py", "apply/export/quantize.py"],
    "onnxruntime": ["apply/export/formats.py", "apply/export/served.py"],
    "matplotlib": ["report/figures/", "audit/figures.py", "tune/figures.py"],
    "optuna": ["tune/optuna_study.py"],
    "pyDOE3": ["spec/designs.py"],
    "ray": ["execute/remote/ray.py"],
    "segmentation_models_pytorch": ["parts/", "models/"],
    "typer": ["cli/"],
    "yaml": ["strict_yaml/", "report/page/text.py", "execute/run.py"],
}
FILES = sorted(ROOT.rglob("*.py"))


def unit(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {f"harness.{alias.name}" for alias in node.names if node.module == "harness"}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    here = unit(path)
    if here == "__init__":
        return
    for name in imported(path):
        parts = name.split(".")
        if parts[0] != "harness" or len(parts) == 1 or parts[1] == here:
            continue
        assert FLOOR_OF[parts[1]] < FLOOR_OF[here], f"{here} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_outside_libraries_have_one_door(path):
    place = path.relative_to(ROOT).as_posix()
    for name in {name.split(".")[0] for name in imported(path)} & DOORS.keys():
        assert any(place.startswith(door) for door in DOORS[name]), f"{place} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_short(path):
    assert len(path.read_text().splitlines()) <= 500


HEAVY = ["torch", "torchvision", "mlflow", "optuna", "ray", "segmentation_models_pytorch", "sklearn", "pandas"]


def modules_after(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint('\\n'.join(sys.modules))"
    command = [sys.executable, "-c", program]
    out = subprocess.run(command, cwd=ROOT.parent, capture_output=True, text=True, check=True).stdout
    return {line.split(".")[0] for line in out.splitlines()}


@pytest.mark.parametrize(
    ("code", "banned"),
    [
        ("import harness.cli.app", [*HEAVY, "numpy", "pydantic", "matplotlib"]),
        ("import harness.api, harness.parts, harness.data, harness.spec.load, harness.spec.plan", HEAVY),
        ("import harness.report.write", HEAVY),
        ("import harness.plugin", HEAVY),
        ("import harness.train.loop, harness.parts, harness.data", ["mlflow", "optuna", "ray", "matplotlib"]),
        ("import benchmarks.gpu.__main__", ["mlflow", "optuna", "ray", "matplotlib", "psutil", "sklearn", "typer"]),
    ],
)
def test_light_commands_import_nothing_heavy(code, banned):
    assert not modules_after(code) & set(banned)
