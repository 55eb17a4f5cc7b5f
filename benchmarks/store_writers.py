"""Processes that write to one tracking store at once: `python -m benchmarks.store_writers [URI...]`.

Eight processes, each with five runs of twenty epochs of sixty metrics, log as `harness run` does (each epoch into the
run's folder, then into the store); afterwards another process counts what the store holds. Without a URI the store is a
new SQLite database. `python tests/store/lab_server.py` starts a PostgreSQL and a server, and prints their URIs.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlparse

from harness.errors import HarnessError
from harness.records import Plan, Progress
from harness.runs.folder import append_progress, run_folder
from harness.spec.load import load_spec
from harness.spec.plan import expand
from harness.tracking.mlflow_client import Connection
from harness.tracking.mlflow_store import MlflowStore

PROCESSES, RUNS, EPOCHS, METRICS = 8, 5, 20, 60
SPEC = """
study: writers-{now}
question: How fast do several processes write?
base: {{data: {{name: desert}}, model: {{name: unet}}, loss: {{cross_entropy: {{}}}}}}
variants: {{baseline: {{}}}}
"""


def plan_of(place: Path, process: int) -> Plan:
    """Return the runs of one process: seeds of its own."""
    seeds = range(process * RUNS, (process + 1) * RUNS)
    return expand(load_spec(place / "study.yaml", seeds=list(seeds)), lambda config: {"data": "x"})


def write(place: Path, uri: str | None, process: int) -> tuple[int, float, float]:
    """Log the runs of one process; return how many calls failed, and when logging began and ended."""
    plan = plan_of(place, process)
    store = MlflowStore(place / "mlruns", uri)
    errors = 0
    store.open_study(plan)
    began = time.time()
    for epoch in range(1, EPOCHS + 1):
        for run in plan.runs:
            names = ["val/loss", *(f"val/iou/class{index}" for index in range(METRICS - 1))]
            progress = Progress(epoch, EPOCHS, dict.fromkeys(names, epoch / 7), True, 1000 * epoch)
            append_progress(run_folder(store.root, run.id), progress)
            try:
                store.mirror(run, run_folder(store.root, run.id), "running")
            except HarnessError as error:
                errors += 1
                print(f"process {process}: {error}", file=sys.stderr)
    return errors, began, time.time()


def count_stored(place: Path, uri: str | None, study: str) -> tuple[int, int]:
    """Return the number of runs and of metric values that the store holds of the study."""
    connection = Connection(place / "mlruns", uri)
    experiment = connection.find_experiment(study)
    assert experiment is not None
    runs = connection.search(experiment, "tags.`harness.kind` = 'run'")
    points = 0
    for run in runs:
        for name in run.data.metrics:
            points += len(connection.client.get_metric_history(run.info.run_id, name))
    return len(runs), points


def main() -> None:
    """Print a line for each store."""
    print("| store | runs found | metrics logged | found | errors | seconds | metrics/s |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    uris: list[str | None] = [*sys.argv[1:]] or [None]
    for uri in uris:
        with tempfile.TemporaryDirectory() as name:
            place, now = Path(name), time.strftime("%H%M%S")
            (place / "study.yaml").write_text(SPEC.format(now=now))
            with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
                done = pool.starmap(write, [(place, uri, process) for process in range(PROCESSES)])
            seconds = max(end for _, _, end in done) - min(begin for _, begin, _ in done)
            runs, found = count_stored(place, uri, f"writers-{now}")
            logged = PROCESSES * RUNS * EPOCHS * METRICS
            kind = urlparse(uri).scheme if uri else "sqlite"
            errors = sum(failed for failed, _, _ in done)
            print(f"| {kind} | {runs} | {logged} | {found} | {errors} | {seconds:.0f} | {logged / seconds:.0f} |")


if __name__ == "__main__":
    main()
