"""How long the program takes to start, and what tracking takes: `python -m benchmarks.start_up [--rounds 5]`.

Each command in a process of its own, in turn, with files in the system's memory; medians of `--rounds` rounds, wall
clock and processor time. The study is shipped (phase3) or tiny; the report is that of the finished tiny study. Then
MLflow: seconds of one epoch's write into a SQLite store as `harness run` makes it, as a share of 100 training steps of
phase3. (Training does not wait for it: a thread of the parent process writes.)
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from benchmarks.setting import describe, harness_command, print_table

REPOSITORY = Path(__file__).parents[1]
STUDY = """
study: tiny
question: How long does the program take around a study of seconds?
base:
  data: {name: desert, size: [32, 32], train_images: 8, val_images: 4, test_images: 2}
  model: {name: unet, base_channels: 4}
  loss: {cross_entropy: {}}
  optimizer: {name: adam, lr: 3.0e-3}
  train: {epochs: 1, batch_size: 4}
variants:
  baseline: {}
  dice: {set: {loss.dice: {weight: 1.0}}}
seeds: [0, 1]
"""
FIRST_STEP = """
import harness.api
from pathlib import Path
plan = harness.api.make_plan(harness.api.load_spec(Path("study.yaml")))
from harness.records import Machine
from harness.train.setup import build_setup, prepare_process
from harness.train.prefetch import prefetch
from harness.train.loop import add_gradient
config = plan.runs[0].config
prepare_process(config)
setup = build_setup(config, Machine("cpu"), start=None)
setup.state.network.module.train()
add_gradient(setup, next(prefetch(setup.config, setup.data, setup.device, 1)), 1)
setup.state.optimizer.step()
"""
ASKED: Mapping[str, list[str]] = {
    "python, nothing else": [sys.executable, "-c", "pass"],
    "harness --help": harness_command("--help"),
    "harness plan phase3": harness_command("plan", str(REPOSITORY / "ablations" / "phase3.yaml")),
    "harness report tiny": harness_command("report", "tiny"),
    "harness run tiny, nothing to do": harness_command("run", "study.yaml"),
    "import torch": [sys.executable, "-c", "import torch"],
    "first training step (torch and all)": [sys.executable, "-c", FIRST_STEP],
    "import mlflow": [sys.executable, "-c", "import mlflow"],
}


def run_once(command: list[str], place: Path) -> tuple[float, float]:
    """Return wall and processor seconds of one Python process and its children, in a folder of its own."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "HARNESS_CACHE": str(place / "cache")}
    began = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=place,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout
    said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{command}: {said.decode()}")
    return time.perf_counter() - began, used.ru_utime + used.ru_stime


def measure_commands(place: Path, rounds: int) -> list[list[str]]:
    """Return a line for each command."""
    asked = {name: arguments for name, arguments in ASKED.items() if name != "import mlflow" or find_spec("mlflow")}
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in asked}
    for place_in_time in range(rounds + 1):
        for name, arguments in asked.items():
            used = run_once(arguments, place)
            if place_in_time:
                spent[name].append(used)
    rows = []
    for name, pairs in spent.items():
        wall, processor = (statistics.median(values) for values in zip(*pairs, strict=True))
        rows.append([name, f"{wall:.2f}", f"{min(pair[0] for pair in pairs):.2f}", f"{processor:.2f}"])
    return rows


def measure_tracking(place: Path, epochs: int) -> list[float]:
    """Return the seconds of each epoch's write, of a run of as many metrics as phase3's."""
    from harness.api import load_spec, make_plan
    from harness.records import Progress
    from harness.runs.folder import append_progress, run_folder
    from harness.tracking.mlflow_store import MlflowStore

    plan = make_plan(load_spec(place / "study.yaml"))
    run, store = plan.runs[0], MlflowStore(place / "tracked")
    store.open_study(plan)
    names = ["train/loss", "val/loss", *(f"val/iou/class{index}" for index in range(40))]
    spent = []
    for epoch in range(1, epochs + 1):
        folder = run_folder(store.root, run.id)
        append_progress(folder, Progress(epoch, epochs, dict.fromkeys(names, epoch / 7), True, 1000 * epoch))
        began = time.perf_counter()
        store.mirror(run, folder, "running")
        spent.append(time.perf_counter() - began)
    return spent


def measure_steps(steps: int) -> list[float]:
    """Return the seconds of each of some training steps of phase3's size."""
    from dataclasses import replace

    import torch

    from benchmarks.cases import make_config
    from harness.records import Machine
    from harness.train.loop import train_epoch
    from harness.train.setup import build_setup, prepare_process

    config = make_config("phase3", torch.device("cpu"))
    config = replace(config, data=config.data.with_settings(train_images=4, val_images=2))
    prepare_process(config)
    setup = build_setup(config, Machine("cpu"), start=None)
    spent = []
    for epoch in range(1, steps + 3):
        began = time.perf_counter()
        train_epoch(setup, epoch)
        spent.append(time.perf_counter() - began)
    return spent[2:]


def main() -> None:
    """Measure, and print the table and the share."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print(describe("cpu", ["mlflow"]))
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "study.yaml").write_text(STUDY)
        os.environ["HARNESS_CACHE"] = str(place / "cache")
        run_once(harness_command("run", "study.yaml"), place)
        rows = measure_commands(place, given.rounds)
        print(f"\n{given.rounds} rounds")
        print_table(["asked for", "wall, s", "fastest, s", "processor, s"], rows)
        if find_spec("mlflow"):
            write, step = statistics.median(measure_tracking(place, 30)[5:]), statistics.median(measure_steps(20))
            share = write / (100 * step)
            print(
                f"\none epoch's write into MLflow {1000 * write:.1f} ms, a step of phase3 {1000 * step:.1f} ms: "
                f"tracking takes {share:.2%} of 100 steps"
            )


if __name__ == "__main__":
    main()
