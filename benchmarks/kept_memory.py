"""What it brings that a run's process keeps its memory, and what it takes.

    python -m benchmarks.kept_memory [phase3 unet-128-b64 ...] [--rounds 5]

An epoch of training and its evaluation, the second of two, in a process of its own, with the C library's own ways and
as `harness run` starts its runs, in turn. Medians of the rounds; ratios are medians of the rounds' own. The metrics of
both epochs must be the same, digit for digit.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

from benchmarks.cases import CASES, make_config
from benchmarks.setting import describe, print_table
from harness.execute.fork_server import KEEP_MEMORY, TUNABLES
from harness.records import Machine
from harness.train.loop import train
from harness.train.setup import build_setup, prepare_process, resolve_device

WAYS = {"as the C library does": "", "kept": KEEP_MEMORY}
TIMED = "train/images_per_s"


def train_twice(case: str) -> dict[str, Any]:
    """Train two epochs in this process; return what the second took, the most memory in use, and all metrics."""
    config = make_config(case, resolve_device("cpu"))
    prepare_process(config)
    epochs = train(build_setup(config, Machine("cpu"), start=None))
    first = next(epochs)
    began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    second = next(epochs)
    wall, now = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    metrics = [{key: repr(value) for key, value in item.metrics.items() if key != TIMED} for item in (first, second)]
    return {
        "wall": wall,
        "system": now.ru_stime - used.ru_stime,
        "mib": now.ru_maxrss / 1024,
        "metrics": metrics,
    }


def measure(case: str, way: str) -> dict[str, Any]:
    """Return what `train_twice` does in a process of its own, with memory treated in one way."""
    command = [sys.executable, "-m", "benchmarks.kept_memory", case, "--child"]
    environment = {**os.environ, TUNABLES: WAYS[way]}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=list(CASES), help=f"of {', '.join(CASES)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--child", action="store_true", help="train one case in this process, and print JSON")
    given = parser.parse_args()
    if given.child:
        print(json.dumps(train_twice(given.cases[0])))
        return
    print(describe("cpu", ["torchvision"]))
    rows = []
    for case in given.cases:
        found: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
        for place in range(given.rounds):
            for way in list(WAYS) if place % 2 else reversed(list(WAYS)):
                found[way].append(measure(case, way))
        if any(a["metrics"] != b["metrics"] for a, b in zip(*found.values(), strict=True)):
            raise SystemExit(f"{case}: the numbers differ")
        theirs, ours = found.values()
        ratio = statistics.median(a["wall"] / b["wall"] for a, b in zip(theirs, ours, strict=True))
        for way, measured in found.items():
            wall, system, mib = (statistics.median(m[key] for m in measured) for key in ("wall", "system", "mib"))
            faster = f"{ratio:.2f}" if way == "kept" else ""
            rows.append([case, way, f"{wall:.2f}", f"{system / wall:.0%}", f"{mib:.0f}", faster])
        print(f"{case}: the same numbers", flush=True)
    print_table(["case", "memory", "epoch, s", "of it in the system", "peak, MiB", "times faster"], rows)


if __name__ == "__main__":
    main()
