"""Whether `harness plan --probe` foretells what a run takes: its time and its peak memory, against the runs themselves.

    python -m benchmarks.predicted_cost [ablations/phase3.yaml ...]

The study's first seed: every variant is probed, then run from beginning to end, one at a time, in a process like those
of `harness run`. The last two columns are what was foretold / what came.
"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.setting import describe, print_table
from harness import api
from harness.execute.fork_server import run_context
from harness.execute.machine import memory_of
from harness.execute.run import run_one
from harness.records import Machine, Run
from harness.runs.folder import RunFolder


def run_here(run: Run, place: Path) -> tuple[float, int]:
    """Make a run in this process; return its seconds, without importing torch, and the process's peak memory, bytes."""
    import harness.train.setup  # noqa: F401 - torch is imported before the clock starts

    start = None
    if run.start:
        parent = RunFolder(place / run.start.run_id)
        start = parent.best if run.start.which == "best" else parent.last
    began = time.perf_counter()
    run_one(run, RunFolder(place / run.id), Machine("cpu"), start, lambda event: None)
    return time.perf_counter() - began, memory_of(os.getpid(), "VmHWM")


def make_rows(study: Path) -> list[list[str]]:
    """Return a line for each variant: what was foretold, what came, and their ratios."""
    plan = api.make_plan(api.load_spec(study))
    runs = [run for run in plan.runs if run.seed == plan.runs[0].seed]
    costs = api.forecast(runs, jobs=1, device="cpu").costs
    rows = []
    with TemporaryDirectory() as place:
        for run in runs:
            with ProcessPoolExecutor(1, mp_context=run_context()) as alone:
                seconds, peak = alone.submit(run_here, run, Path(place)).result()
            cost = costs[run.variant]
            rows.append(
                [
                    plan.study,
                    run.variant,
                    f"{cost.seconds:.1f}",
                    f"{seconds:.1f}",
                    f"{cost.memory_bytes / 2**20:.0f}",
                    f"{peak / 2**20:.0f}",
                    f"{cost.seconds / seconds:.2f}",
                    f"{cost.memory_bytes / peak:.2f}",
                ]
            )
    return rows


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="*", type=Path, default=[Path("ablations/phase3.yaml")])
    given = parser.parse_args()
    print(describe("cpu", ["torchvision"]))
    rows = [row for study in given.studies for row in make_rows(study)]
    head = ["study", "variant", "foretold, s", "took, s", "foretold, MiB", "took, MiB", "time", "memory"]
    print_table(head, rows)


if __name__ == "__main__":
    main()
