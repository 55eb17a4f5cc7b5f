"""Time and memory of `harness report` over many stored runs: `python -m benchmarks.report_stored [RUNS] [URI]`.

RUNS (1000) simulated runs of five seeds a variant, on 50 images of 8 classes, with three epochs each, are written into
run folders and mirrored to a store, a new SQLite database unless a URI is given. Then the report is written twice by
the command: where the run folders are, and on another machine that has nothing but the store.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.report_scale import draw_counts, make_study_of
from benchmarks.setting import harness_command
from harness.records import Progress
from harness.runs.folder import append_progress, run_folder, save_result
from harness.runs.studies import save_study
from harness.tracking.mlflow_store import MlflowStore

SEEDS, IMAGES, CLASSES, EPOCHS = 5, 50, 8, 3


def store_study(place: Path, runs: int, uri: str | None) -> str:
    """Write the runs into folders and a store; return the store's URI."""
    generator = np.random.default_rng(0)
    truth_NC = generator.integers(0, 20_000, (IMAGES, CLASSES)) * (generator.random((IMAGES, CLASSES)) < 0.8)
    names = [(f"v{variant}", seed) for variant in range(runs // SEEDS) for seed in range(SEEDS)]
    plan, results = make_study_of({name: draw_counts(truth_NC, generator) for name in names})
    store = MlflowStore(place / "mlruns", uri)
    save_study(store.root, plan)
    store.open_study(plan)
    for run in plan.runs:
        folder = run_folder(store.root, run.id)
        scores = generator.random(EPOCHS)
        for epoch, score in enumerate(scores, start=1):
            metrics = {"train/loss": 1 / epoch, "val/loss": 1.0, "val/miou_dataset": float(score)}
            append_progress(folder, Progress(epoch, EPOCHS, metrics, epoch == 1, 1000 * epoch))
        save_result(folder, replace(results[run.id], colours=((0, 0, 0),) * CLASSES))
        store.mirror(run, folder, "finished")
    store.close_study("finished")
    return store.uri


def report(place: Path, uri: str) -> str:
    """Run `harness report` in a folder; return what it took."""
    place.mkdir(exist_ok=True)
    command = harness_command("report", "scale", "--tracking-uri", uri)
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=place, env={**os.environ, "PYTHONPATH": str(Path.cwd())})
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    busy = used.ru_utime + used.ru_stime
    code = os.waitstatus_to_exitcode(status)
    return f"{seconds:.0f} s, {busy:.0f} s of a processor, {used.ru_maxrss / 1024:.0f} MiB at most (exit code {code})"


def main() -> None:
    """Print what storing and reporting took."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        began = time.perf_counter()
        uri = store_study(place, runs, sys.argv[2] if len(sys.argv) > 2 else None)
        print(f"{runs} runs written and mirrored: {time.perf_counter() - began:.0f} s", flush=True)
        print(f"report where the run folders are: {report(place, uri)}", flush=True)
        print(f"report from the store alone: {report(place / 'elsewhere', uri)}")


if __name__ == "__main__":
    main()
