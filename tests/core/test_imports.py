"""The shape of the house: imports point down, outside libraries have one door each, the command line starts fast."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "harness"
FLOORS = {
    0: ["errors", "fingerprint", "moved", "process_state", "randomness", "settings"],
    1: ["environment", "files", "records", "registry", "strict_yaml"],
    2: ["counts", "data", "judged", "models", "predictions", "scores"],
    3: ["parts", "stats"],
    4: ["plugin", "spec"],
    5: ["report", "runs", "train"],
    6: ["audit", "tracking"],
    7: ["execute"],
    8: ["apply", "tune"],
    9: ["api"],
    10: ["cli"],
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
HERE = "tests/core/test_imports.py"
MOST_LINES = 500


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


def units_below(path: Path) -> set[str]:
    """Return the other files and folders of harness/ that a file imports from."""
    named = [name.split(".") for name in imported(path)]
    return {parts[1] for parts in named if parts[0] == "harness" and len(parts) > 1} - {unit(path)}


def test_each_file_and_folder_is_on_a_floor():
    below: dict[str, set[str]] = {}
    for path in FILES:
        below.setdefault(unit(path), set()).update(units_below(path))
    missing = [
        f"harness/{name} is on no floor: write '{name}' into FLOORS of {HERE}, on a floor above "
        f"{max((FLOOR_OF[other] for other in found if other in FLOOR_OF), default='none')} (it imports "
        f"{', '.join(sorted(found)) or 'nothing'})"
        for name, found in below.items()
        if name not in FLOOR_OF and name != "__init__"
    ]
    assert not missing, "\n".join(missing)
    gone = FLOOR_OF.keys() - below.keys()
    assert not gone, f"there is no harness/{', '.join(sorted(gone))} any more: take it out of FLOORS of {HERE}"


def test_imports_point_down():
    wrong = [
        f"{path.relative_to(ROOT.parent)} imports harness.{name}, which is not below it: move what both need to a "
        f"floor below both, or move the file; FLOORS of {HERE} says which floor each is on"
        for path in FILES
        if unit(path) in FLOOR_OF
        for name in sorted(units_below(path) & FLOOR_OF.keys())
        if FLOOR_OF[name] >= FLOOR_OF[unit(path)]
    ]
    assert not wrong, "\n".join(wrong)


def test_outside_libraries_have_one_door():
    wrong = [
        f"{path.relative_to(ROOT.parent)} imports {name}: {' and '.join(DOORS[name])} alone do, and others call those; "
        f"a new door is written into DOORS of {HERE}"
        for path in FILES
        for name in sorted({name.split(".")[0] for name in imported(path)} & DOORS.keys())
        if not path.relative_to(ROOT).as_posix().startswith(tuple(DOORS[name]))
    ]
    assert not wrong, "\n".join(wrong)


def test_files_are_short():
    long = [str(path) for path in FILES if len(path.read_text().splitlines()) > MOST_LINES]
    assert not long, f"more than {MOST_LINES} lines: give each concept of it a file of its own: {long}"


TESTS = ROOT.parent / "tests"


def test_no_test_module_imports_another():
    """Nor has two of one name: pytest imports them all by their names alone."""
    modules = sorted(TESTS.rglob("test_*.py"))
    names = {path.stem for path in modules}
    wrong = [
        f"{path.relative_to(ROOT.parent)} imports {found[1]}: move what both need into a module beside it, "
        "whose name does not begin with test_"
        for path in TESTS.rglob("*.py")
        for found in re.finditer(r"^\s*(?:from|import) (test_\w+)", path.read_text(), re.MULTILINE)
        if found[1] in names
    ]
    assert not wrong, "\n".join(wrong)
    assert len(names) == len(modules), "two test modules have one name: give one of them another"


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
