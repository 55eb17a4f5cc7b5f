"""Would the tests notice? `python -m benchmarks.mutations`.

Changes the statistics and the judging of reports in one place at a time (a comparison, a sign, a constant, a guard, an
axis, ...), runs the tests that are meant to hold that file, and prints how many of the changes they noticed, and those
that they did not. Not changed is what nobody could observe: numbers up to 1e-6 and from 1e5 on, which stand for nothing
and for everything, and `strict=` of `zip`, which says what cannot be.

The tests of a file are imported once. Each change is made in a copy of that process (fork), and of the tests those run
that execute the changed statement, the quick ones first, until one fails. What was noticed is kept in a file, so that a
run that was stopped goes on where it was, and after new tests only what survived is tried again; of a file that was
edited since everything is. Tests that start a program of their own do not see the changes.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import numpy as np
import pytest

from benchmarks.mutants import Mutant, make_mutants, take_over

ROOT = Path(__file__).parents[1]
TESTS = {
    "harness/stats/attribution.py": ("stats/test_attribution",),
    "harness/stats/chances.py": ("stats/test_chances",),
    "harness/stats/effects.py": ("stats/test_effects", "stats/test_verdicts"),
    "harness/stats/folds.py": ("stats/test_folds",),
    "harness/stats/influence.py": ("stats/test_effects", "stats/test_resample"),
    "harness/stats/looks.py": ("stats/test_looks",),
    "harness/stats/margins.py": ("stats/test_margins", "stats/test_effects"),
    "harness/stats/noise.py": ("stats/test_noise", "stats/test_effects"),
    "harness/stats/power.py": ("stats/test_verdicts",),
    "harness/stats/spread.py": ("stats/test_spread", "stats/test_effects"),
    "harness/stats/verdicts.py": ("stats/test_verdicts", "stats/test_first_call", "stats/test_folds"),
    "harness/report/study/judge.py": (
        "report/test_claim_fields",
        "report/test_report_judge",
        "report/test_report_claims",
        "report/test_primary_split",
    ),
    "harness/report/study/over_looks.py": ("report/test_over_looks",),
    "harness/report/study/ranking.py": ("report/test_ranking", "report/test_report_judge"),
    "harness/report/study/attribution.py": ("report/test_attribution_parts",),
    "harness/report/study/class_bands.py": ("report/test_bands", "report/test_diagnosis"),
    "harness/report/study/seeds.py": ("report/test_estimates", "report/test_report_summary"),
    "harness/report/gate.py": ("report/test_gate", "report/test_primary_split"),
    "harness/report/study/own_training.py": ("report/test_report_own_training",),
    "harness/judged.py": ("core/test_judged", "report/test_primary_split"),
    "harness/execute/until_decided.py": ("execute/test_until_plans",),
}
"""File -> the tests that hold it by itself. The calibration, which holds the whole by simulation, is not among them."""
PATIENCE = 3.0
"""Seconds of computing, and four times what the tests take, after which a change that makes one hang is noticed."""


class Trial:
    """Plugin of pytest: instead of once, runs the tests of a file once for each of its changes."""

    def __init__(self, path: str, mutants: Sequence[tuple[Mutant, str]], record: Path) -> None:
        self.path, self.mutants, self.record = path, mutants, record

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the tests as they are, then with each change, and record whether they noticed."""
        unchanged = (ROOT / self.path).read_text()
        observed = _in_fork(lambda: _observe(session, self.path, unchanged), 600.0)
        if not observed:
            raise SystemExit(f"the tests of {self.path} fail as it is")
        executed = {name: set(lines) for name, lines, _ in observed}
        seconds = {name: taken for name, _, taken in observed}
        items = sorted(session.items, key=lambda item: seconds[item.nodeid])
        for mutant, text in self.mutants:
            chosen = [item for item in items if _executes(executed[item.nodeid], mutant.span)]
            patience = PATIENCE + 4 * sum(seconds[item.nodeid] for item in chosen)
            survived = _in_fork(partial(_pass, session, chosen, _module(self.path), text), patience)
            with self.record.open("a") as out:
                out.write(json.dumps({**asdict(mutant), "noticed": not survived}) + "\n")
        return True


def _module(path: str) -> ModuleType:
    return sys.modules[path.removesuffix(".py").replace("/", ".")]


def _executes(lines: set[int], span: tuple[int, int] | None) -> bool:
    return span is None or any(span[0] <= line <= span[1] for line in lines)


def _observe(session: pytest.Session, path: str, text: str) -> list[tuple[str, list[int], float]]:
    """Return for each test the lines of a file that it executes, and its seconds; nothing if one fails."""
    take_over(_module(path), text)
    found = []
    for item, following in zip(session.items, [*session.items[1:], None], strict=True):
        lines: set[int] = set()
        start = time.process_time()
        sys.settrace(_tracer(str(ROOT / path), lines))
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        sys.settrace(None)
        found.append((item.nodeid, sorted(lines), time.process_time() - start))
    return [] if session.testsfailed else found


def _tracer(path: str, lines: set[int]) -> Callable[[FrameType, str, object], Any]:
    def note(frame: FrameType, event: str, argument: object) -> Any:
        lines.add(frame.f_lineno)
        return note

    return lambda frame, event, argument: note if frame.f_code.co_filename == path else None


def _pass(session: pytest.Session, items: Sequence[pytest.Item], module: ModuleType, text: str) -> bool:
    """Return whether all tests pass with another text of a module; none is run after one that fails."""
    take_over(module, text)
    for item, following in zip(items, [*items[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.testsfailed:
            return False
    return True


def _in_fork(work: Callable[[], Any], seconds: float) -> Any:
    """Return what a function returns in a copy of this process; None where that ends otherwise, or computes longer."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(seconds), math.ceil(seconds)))
        try:
            with os.fdopen(writing, "w") as out:
                json.dump(work(), out)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    os.waitpid(process, 0)
    return json.loads(text) if text else None


def run(path: str, mutants: Sequence[tuple[Mutant, str]], record: Path) -> None:
    """Try changes of a file, in a process of its own: what its tests import is that of no other's."""
    process = os.fork()
    if process:
        if os.waitpid(process, 0)[1]:
            raise SystemExit(f"the tests of {path} do not pass: {' '.join(tests_of(path))}")
        return
    import hypothesis

    hypothesis.settings.register_profile("mutations", database=None, derandomize=True)
    options = ["-q", "-n", "0", "-p", "no:cacheprovider", "-o", "timeout=0", "-m", "not slow"]
    options += ["--hypothesis-profile=mutations", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os._exit(int(pytest.main([*options, *tests_of(path)], plugins=[Trial(path, mutants, record)])))


def tests_of(path: str) -> tuple[str, ...]:
    """Return the files of the tests that hold a file."""
    return tuple(f"tests/{name}.py" for name in TESTS[path])


def _read(record: Path) -> Iterator[tuple[tuple[str, str, int], bool]]:
    for entry in map(json.loads, record.read_text().splitlines() if record.exists() else ()):
        yield (entry["path"], entry["source"], entry["number"]), entry["noticed"]


def _key(mutant: Mutant) -> tuple[str, str, int]:
    return mutant.path, mutant.source, mutant.number


def main() -> None:
    """Print the changes that survived, then the score of each file and of all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="files whose path holds this word")
    parser.add_argument("--sample", type=int, default=0, help="as many changes of each file, drawn at random; 0: all")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--record", type=Path, default=Path("mutations.jsonl"), help="where what was tried is kept")
    arguments = parser.parse_args()
    os.chdir(ROOT)
    import scipy.interpolate
    import scipy.stats  # noqa: F401 - imported once here, not once for each file
    import torch  # noqa: F401

    print("| file | changes | tried | noticed |\n|---|---|---|---|", flush=True)
    survived: list[Mutant] = []
    total = np.zeros(3, int)
    for path in (path for path in TESTS if arguments.only in path):
        mutants = make_mutants(path, (ROOT / path).read_text())
        order = np.random.default_rng(arguments.seed).permutation(len(mutants))[: arguments.sample or None]
        chosen, known = [mutants[place] for place in sorted(order)], dict(_read(arguments.record))
        if new := [item for item in chosen if not known.get(_key(item[0]))]:
            run(path, new, arguments.record)
            known = dict(_read(arguments.record))
        missed = [mutant for mutant, _ in chosen if not known[_key(mutant)]]
        numbers = np.array([len(mutants), len(chosen), len(chosen) - len(missed)])
        print(f"| {path} | {len(mutants)} | {len(chosen)} | {numbers[2] / numbers[1]:.0%} |", flush=True)
        survived, total = survived + missed, total + numbers
    print(f"| all | {total[0]} | {total[1]} | {total[2] / total[1]:.0%} |\n")
    for mutant in survived:
        print(f"- {mutant.path}:{mutant.line}: `{mutant.change}`")


if __name__ == "__main__":
    main()
