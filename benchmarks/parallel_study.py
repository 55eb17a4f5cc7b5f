"""How much sooner a study ends with two runs at once: `python -m benchmarks.parallel_study` (about 15 minutes).

The whole command is timed, as its user waits for it: start, training, tracking and report. Each round runs the same
study one run at a time and two at once, in turn first and second, each into a store of its own; decoded images are in
the cache from a round before the first. The median round's ratio counts. Run it on a quiet machine of two cores.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.setting import harness_command

STUDY = """
study: parallel
question: How long do four runs take that do not wait for each other?
base:
  data: {{name: desert, size: [96, 96], train_images: 64, val_images: 24, test_images: 24}}
  model: {{name: unet, base_channels: 16}}
  loss: {{cross_entropy: {{}}}}
  train: {{epochs: {epochs}, batch_size: 8}}
variants:
  baseline: {{}}
  slower: {{set: {{optimizer.lr: 3.0e-4}}}}
seeds: [0, 1]
"""


def time_study(place: Path, name: str, *options: str) -> float:
    """Run the study in a store of its own and return the seconds it took.

    Raises:
        SystemExit: a run failed; what the program said is printed.
    """
    folders = ["--root", str(place / name), "--reports", str(place / name)]
    command = harness_command("run", str(place / "parallel.yaml"), *folders, *options)
    environment = {**os.environ, "HARNESS_CACHE": str(place / "cache")}
    environment.pop("MLFLOW_TRACKING_URI", None)
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return time.perf_counter() - began


def measure(rounds: int, epochs: int, jobs: int) -> list[tuple[float, float]]:
    """Return the seconds of each round: one run at a time, and several at once."""
    measured = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "parallel.yaml").write_text(STUDY.format(epochs=epochs))
        time_study(place, "warm-up", "--max-runs", "1", "--set", "train.epochs=1")
        for number in range(rounds):
            order = (1, jobs) if number % 2 == 0 else (jobs, 1)
            seconds = {at_once: time_study(place, f"{number}-{at_once}", "--jobs", str(at_once)) for at_once in order}
            measured.append((seconds[1], seconds[jobs]))
            print(
                f"round {number + 1}: {seconds[1]:.1f} s one at a time, {seconds[jobs]:.1f} s {jobs} at once: "
                f"{seconds[1] / seconds[jobs]:.2f} times faster (load of the machine {os.getloadavg()[0]:.1f})",
                flush=True,
            )
    return measured


def main() -> None:
    """Print the median of the rounds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=8, help="Length of the runs: 8 are about 40 s on one core.")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    measured = measure(given.rounds, given.epochs, given.jobs)
    ratios = [alone / together for alone, together in measured]
    print(f"{given.jobs} at once: {statistics.median(ratios):.2f} times faster (median of {given.rounds} rounds)")


if __name__ == "__main__":
    main()
