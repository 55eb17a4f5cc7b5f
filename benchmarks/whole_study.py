"""A whole study against hand-written scripts: `python -m benchmarks.whole_study [ablations/phase3.yaml]` (10 minutes).

The harness: `harness run` as a user types it, from an empty folder: planning, processes, caches, checkpoints, tracking
in MLflow, closer evaluation at the end, report. The scripts: the plain loop of `benchmarks.rivals` (DataLoader with
two workers, PNGs decoded in each epoch, `.item()`, scikit-learn) for each run of the study, one after another, with all
of the machine's cores; what comes before their first epoch (imports, drawing the scenes) is not counted, and they keep
no record, draw nothing and compare nothing. Frozen weights and the size of crops are those of each run.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.rivals import make_plain, write_pngs
from benchmarks.setting import describe, harness_command, print_table
from harness.records import Machine, Plan
from harness.spec.load import load_spec
from harness.spec.plan import expand
from harness.train.setup import build_setup

REPOSITORY = Path(__file__).parents[1]


def run_harness(study: Path, place: Path) -> float:
    """Return the wall seconds of the whole study."""
    command = harness_command("run", str(study.resolve()))
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "HARNESS_CACHE": str(place / "cache")}
    began = time.perf_counter()
    subprocess.run(command, cwd=place, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def run_scripts(plan: Plan, place: Path) -> tuple[float, int]:
    """Return the wall seconds of all runs' epochs, one run after another, and the number of epochs."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    seconds, epochs = 0.0, 0
    for number, run in enumerate(plan.runs):
        setup = build_setup(run.config, Machine("cpu"), start=None)
        files = place / str(number)
        files.mkdir()
        for split in ("train", "val"):
            write_pngs(setup.data.splits[split], files / split)
        epoch = make_plain(setup, files, 2, time.perf_counter)
        for _ in range(run.config.train.epochs):
            seconds += epoch().whole
            epochs += 1
    return seconds, epochs


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", nargs="?", type=Path, default=REPOSITORY / "ablations" / "phase3.yaml")
    given = parser.parse_args()
    print(describe("cpu", ["torchvision", "mlflow", "scikit-learn"]))
    plan = expand(load_spec(given.study), lambda config: {"data": "x"})
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        ours = run_harness(given.study, place)
        scripts, epochs = run_scripts(plan, place)
    print_table(
        [f"{plan.study}: {len(plan.runs)} runs, {epochs} epochs", "seconds", "times the harness's"],
        [
            ["harness run, all of it", f"{ours:.0f}", "1"],
            ["scripts, epochs only", f"{scripts:.0f}", f"{scripts / ours:.2f}"],
        ],
    )


if __name__ == "__main__":
    main()
