"""Where the time of an epoch goes, by kind of work: `python -m benchmarks.epoch_profile [phase3 unet-128-b8 ...]`.

The second epoch of a run, training and evaluation, under torch's profiler; each operation's own time, without that of
the operations it calls. What is left over is Python, numpy, and the loading of images. With `--kept` the process keeps
its memory, as those of `harness run` do (`benchmarks.kept_memory`).
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections import defaultdict

import torch
from torch.profiler import ProfilerActivity
from torch.profiler import profile as profiling

from benchmarks.cases import CASES, make_config
from benchmarks.setting import describe, print_table
from harness.execute.fork_server import KEEP_MEMORY, TUNABLES
from harness.records import Machine
from harness.train.loop import train
from harness.train.setup import build_setup, prepare_process, resolve_device

KINDS = {
    "convolutions backward": r"conv\w*_backward|ConvolutionBackward",
    "convolutions": r"conv",
    "batch norm": r"batch_norm|BatchNorm",
    "optimizer": r"Optimizer|_fused_adam|_foreach|addcdiv|addcmul|lerp",
    "loss": r"softmax|nll_loss|cross_entropy",
    "pooling, activations, resizing": r"pool|relu|hardswish|hardsigmoid|sigmoid|upsample|threshold",
    "copies and fills": r"copy|cat|zero|fill|empty|stack|contiguous|clone|resize",
    "norm of the gradient": r"norm",
}
"""Kind -> pattern of the names of its operations; the first that fits."""


def profile(case: str, device: str) -> tuple[dict[str, float], float]:
    """Return seconds of each kind of work, and of the whole epoch."""
    config = make_config(case, resolve_device(device))
    prepare_process(config)
    epochs = train(build_setup(config, Machine(device), start=None))
    next(epochs)
    on_gpu = torch.device(device).type == "cuda"
    with profiling(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as made:
        began = time.perf_counter()
        next(epochs)
        whole = time.perf_counter() - began
    spent: dict[str, float] = defaultdict(float)
    for event in made.key_averages():
        kind = next((name for name, pattern in KINDS.items() if re.search(pattern, event.key)), "other operations")
        spent[kind] += (event.self_device_time_total if on_gpu else event.self_cpu_time_total) / 1e6
    spent["Python, numpy, loading"] = max(whole - sum(spent.values()), 0.0)
    return dict(spent), whole


def main() -> None:
    """Profile the cases, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=list(CASES), help=f"of {', '.join(CASES)}")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--kept", action="store_true", help="keep memory, as a run's process does")
    given = parser.parse_args()
    if given.kept and os.environ.get(TUNABLES) != KEEP_MEMORY:  # it is read when a program starts: start again
        environment = {**os.environ, TUNABLES: KEEP_MEMORY}
        raise SystemExit(subprocess.run([sys.executable, *sys.orig_argv[1:]], env=environment, check=False).returncode)
    print(describe(given.device, ["torchvision"]))
    found = {case: profile(case, given.device) for case in given.cases}
    kinds = [*KINDS, "other operations", "Python, numpy, loading"]
    rows = [[kind, *(f"{spent.get(kind, 0.0) / whole:.1%}" for spent, whole in found.values())] for kind in kinds]
    rows.append(["epoch, s", *(f"{whole:.2f}" for _, whole in found.values())])
    print_table(["share of an epoch", *found], rows)


if __name__ == "__main__":
    main()
