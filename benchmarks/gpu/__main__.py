"""How the harness does on one GPU: does every path run, are its numbers right, how fast is it.

    python -m benchmarks.gpu [--minutes 6] --out DIR [--device cuda]

Needs torch, torchvision, numpy, scipy, pillow, pydantic and segmentation_models_pytorch, and nothing that these do not
bring: no MLflow, no Optuna. Each step stands alone, and the most important come first; after each one DIR has the table
(gpu.md) and all numbers and tracebacks (gpu.json). When the minutes are over the rest is "not reached". Without a GPU
the same steps are made on the CPU, at toy size, in a minute: that shows that the program works, and no more.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.gpu.numbers import NUMBERS
from benchmarks.gpu.paths import COMPILED, PATHS
from benchmarks.gpu.record import Record, Row, count, describe_machine, load, save
from benchmarks.gpu.sharing import SHARING
from benchmarks.gpu.speed import SPEED, TRAINING
from benchmarks.gpu.steps import Rig, Step, make_steps, supervise
from harness.train.setup import resolve_device

STEPS: tuple[Step, ...] = (*PATHS, *NUMBERS, *TRAINING, *COMPILED, *SPEED, *SHARING)
"""The most important first; compiling takes minutes, and waits for whether the numbers are right and steps are fast."""


def main() -> None:
    """Make the steps, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--out", type=Path, required=True, help="folder of the table")
    parser.add_argument("--device", default="auto", help="cuda, cuda:1, cpu; auto: the first GPU, else the CPU")
    parser.add_argument("--until", type=float, help=argparse.SUPPRESS)  # makes the steps, for the process above it
    given = parser.parse_args()
    if given.until is not None:
        device = resolve_device(given.device)
        record = load(given.out)
        save(given.out, Record(describe_machine(device), record.rows))
        with tempfile.TemporaryDirectory() as place:
            make_steps(STEPS, Rig(device, Path(place)), given.out, given.until)
        return
    until = time.monotonic() + 60 * given.minutes
    save(given.out, Record({}, tuple(Row(step.part, step.name) for step in STEPS)))
    with tempfile.TemporaryDirectory() as cache:
        os.environ.setdefault("HARNESS_CACHE", cache)
        command = ["-m", "benchmarks.gpu", "--out", str(given.out), "--device", given.device, "--until", str(until)]
        record = supervise(command, STEPS, given.out, until)
    print(f"\n{(given.out / 'gpu.md').read_text()}")
    print(f"{count(record.rows)}; see {given.out / 'gpu.md'}")
    sys.exit(1 if any(row.status in ("FAILED", "WRONG") for row in record.rows) else 0)


if __name__ == "__main__":
    main()
