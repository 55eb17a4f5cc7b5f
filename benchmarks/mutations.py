"""Would the tests notice? `python -m benchmarks.mutations`.

Changes the statistics and the judging of reports in one place at a time (a comparison, a sign, a constant, a guard, an
axis, ...), runs the tests that are meant to hold that file in a copy of the tree, and prints how many of the changes
they noticed, and those that they did not. What was tried is kept in a file, so that a run that was stopped goes on
where it was; changes of a file that was edited since are tried again.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from harness.fingerprint import fingerprint

ROOT = Path(__file__).parents[1]
TESTS = {
    "harness/stats/attribution.py": ("stats/test_attribution",),
    "harness/stats/effects.py": ("stats/test_effects", "stats/test_verdicts"),
    "harness/stats/influence.py": ("stats/test_effects", "stats/test_resample"),
    "harness/stats/looks.py": ("stats/test_looks",),
    "harness/stats/margins.py": ("stats/test_margins", "stats/test_effects"),
    "harness/stats/noise.py": ("stats/test_noise", "stats/test_effects"),
    "harness/stats/power.py": ("stats/test_verdicts",),
    "harness/stats/resample.py": ("stats/test_resample",),
    "harness/stats/spread.py": ("stats/test_spread", "stats/test_effects"),
    "harness/stats/verdicts.py": ("stats/test_verdicts",),
    "harness/report/judge.py": ("report/test_report_judge", "report/test_report_claims"),
    "harness/report/ranking.py": ("report/test_report_judge", "report/test_report_claims"),
    "harness/report/attribution.py": ("report/test_report_attribution",),
    "harness/report/gate.py": ("report/test_gate",),
}
"""File -> the tests that hold it by itself. The calibration, which holds the whole by simulation, is not among them."""
COPIED = ("harness", "tests", "benchmarks", "pyproject.toml", "ablations")
TIMEOUT = 120.0
"""Seconds after which a change that makes a test hang counts as noticed."""
COMPARED = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
COMPUTED = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult}
SWAPPED = {"max": "min", "min": "max", "any": "all", "all": "any"}


@dataclass(frozen=True)
class Mutant:
    """One change of one file."""

    path: str
    line: int
    change: str
    """What was, and what is instead."""
    number: int
    """Place among the file's changes."""
    source: str
    """Digest of the file as it was."""


def make_mutants(path: str, text: str) -> list[tuple[Mutant, str]]:
    """Return all changes of a file, each with the text that it leaves."""
    found: list[tuple[Mutant, str]] = []
    source, tree = fingerprint(text), ast.parse(text)
    for node in list(_walk(tree)):
        kind, fields, before = node.__class__, dict(vars(node)), ast.unparse(node)
        for change in _changes(node):
            change()
            told = f"{_short(before)} -> {_short(ast.unparse(node))}"
            found.append((Mutant(path, node.lineno, told, len(found), source), ast.unparse(tree)))
            _restore(node, kind, fields)
    return found


def _restore(node: ast.AST, kind: type, fields: dict[str, object]) -> None:
    node.__class__ = kind
    vars(node).clear()
    vars(node).update(fields)


def _walk(node: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    """Return the expressions and statements that compute: no annotations, no documentation."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        if isinstance(node, ast.keyword) and node.arg == "strict":  # says what cannot be
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.expr | ast.stmt):
                yield child
            if isinstance(child, ast.AST):
                yield from _walk(child)


def _changes(node: ast.AST) -> list[Callable[[], None]]:
    """Return what may be done to a node, as functions that do it."""
    return [*_changes_of_operators(node), *_changes_of_flow(node)]


def _changes_of_operators(node: ast.AST) -> Iterator[Callable[[], None]]:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARED:
        yield lambda: setattr(node, "ops", [COMPARED[type(node.ops[0])](), *node.ops[1:]])
    if isinstance(node, ast.BinOp) and type(node.op) in COMPUTED:
        yield lambda: setattr(node, "op", COMPUTED[type(node.op)]())
    if isinstance(node, ast.BoolOp):
        other = ast.Or if isinstance(node.op, ast.And) else ast.And
        yield lambda: setattr(node, "op", other())
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield lambda: _restore(node, node.operand.__class__, vars(node.operand).copy())
    if isinstance(node, ast.Constant) and type(node.value) in (int, float, bool):
        yield lambda: setattr(node, "value", _other(node.value))


def _changes_of_flow(node: ast.AST) -> Iterator[Callable[[], None]]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SWAPPED:
        swapped = ast.Name(SWAPPED[node.func.id])
        yield lambda: setattr(node, "func", swapped)
    if isinstance(node, ast.If) and isinstance(node.body[0], ast.Return | ast.Raise | ast.Continue):
        yield lambda: setattr(node, "test", ast.Constant(False))
    if isinstance(node, ast.IfExp):
        body, other = node.body, node.orelse
        yield lambda: _restore(node, body.__class__, vars(body).copy())
        yield lambda: _restore(node, other.__class__, vars(other).copy())


def _other(value: object) -> object:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return {0: 1, 1: 0}.get(value, value + 1)
    return float(value) * 1.5 if isinstance(value, float) and value else 1.0


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 70 else f"{line[:67]}..."


def tests_of(path: str) -> tuple[str, ...]:
    """Return the files of the tests that hold a file."""
    return tuple(f"tests/{name}.py" for name in TESTS[path])


def is_noticed(tree: Path, tests: tuple[str, ...]) -> bool:
    """Return whether the tests fail in a tree; in a process of its own, forked after the slow imports."""
    process = os.fork()
    if process == 0:
        os._exit(_run_tests(tree, tests))
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return status != 0
        time.sleep(0.02)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return True


def _run_tests(tree: Path, tests: tuple[str, ...]) -> int:
    import pytest

    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.chdir(tree)
    sys.path[:] = [str(tree), *(place for place in sys.path if Path(place or ".").resolve() != ROOT)]
    for name in [name for name in sys.modules if name.split(".")[0] in ("harness", "benchmarks")]:
        del sys.modules[name]
    quiet = ["-W", "ignore::pytest.PytestAssertRewriteWarning", "-p", "no:cacheprovider"]
    return int(pytest.main(["-x", "-q", "-n", "0", *quiet, *tests]))


def copy_tree(folder: Path) -> None:
    """Copy what the tests need."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "mlruns"))
        else:
            shutil.copy(source, folder / name)


def run(mutants: list[tuple[Mutant, str]], record: Path) -> list[tuple[Mutant, bool]]:
    """Return for each change whether it was noticed; what the record holds is not tried again."""
    record.parent.mkdir(parents=True, exist_ok=True)
    lines = record.read_text().splitlines() if record.exists() else []
    known = {(entry["path"], entry["source"], entry["number"]): entry["noticed"] for entry in map(json.loads, lines)}
    results = []
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name)
        copy_tree(tree)
        for path in sorted({mutant.path for mutant, _ in mutants}):
            if is_noticed(tree, tests_of(path)):
                raise SystemExit(f"the tests of {path} fail on the tree as it is: {' '.join(tests_of(path))}")
        for mutant, text in mutants:
            key = (mutant.path, mutant.source, mutant.number)
            if key not in known:
                original = (ROOT / mutant.path).read_text()
                (tree / mutant.path).write_text(text)
                known[key] = is_noticed(tree, tests_of(mutant.path))
                (tree / mutant.path).write_text(original)
                with record.open("a") as out:
                    out.write(json.dumps({**asdict(mutant), "noticed": known[key]}) + "\n")
            results.append((mutant, known[key]))
            if not known[key]:
                print(f"survived: {mutant.path}:{mutant.line}: {mutant.change}", flush=True)
    return results


def main() -> None:
    """Print the changes that survived, then the score of each file and of all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="files whose path holds this word")
    parser.add_argument("--sample", type=int, default=0, help="as many changes, drawn at random; 0 tries all")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--record", type=Path, default=Path("mutations.jsonl"), help="where what was tried is kept")
    arguments = parser.parse_args()
    sys.dont_write_bytecode = True
    import hypothesis  # noqa: F401 - imported once here, not once for each change
    import pytest  # noqa: F401
    import scipy.interpolate
    import scipy.stats  # noqa: F401
    import torch  # noqa: F401

    paths = [path for path in TESTS if arguments.only in path]
    mutants = [item for path in paths for item in make_mutants(path, (ROOT / path).read_text())]
    if arguments.sample:
        order = np.random.default_rng(arguments.seed).permutation(len(mutants))[: arguments.sample]
        mutants = [mutants[place] for place in sorted(order)]
    results = run(mutants, arguments.record)
    print("| file | changes | noticed |\n|---|---|---|")
    for path in [*paths, ""]:
        found = [noticed for mutant, noticed in results if path in ("", mutant.path)]
        if found:
            print(f"| {path or 'all'} | {len(found)} | {sum(found) / len(found):.0%} |")


if __name__ == "__main__":
    main()
