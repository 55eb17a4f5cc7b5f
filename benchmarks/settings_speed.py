"""What each setting of training brings, and by how much it moves the numbers.

    python -m benchmarks.settings_speed [phase3 unet-128-b8 ...] [--rounds 5] [--device cuda] [--compile]

One setting at a time is changed from the defaults (float32, channels_last, plain step). Epochs of the same images in
turn in one process, the order reversed from round to round; medians of the rounds' own ratios. Numbers: the loss on the
training images in the last round, and the validation score after it, of the defaults and of the changed run.
`--compile` measures torch.compile too, whose first step takes a minute or more.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace
from typing import Any

from benchmarks.cases import CASES, CLOCKS, make_config
from benchmarks.setting import describe, print_table
from harness.records import Machine, RunConfig
from harness.scores import all_scores
from harness.train.evaluate import evaluate
from harness.train.loop import train_epoch
from harness.train.setup import Setup, build_setup, has_bfloat16, prepare_process, resolve_device

CHANGES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "memory_format: contiguous": {"memory_format": "contiguous"},
    "optimizer_step: fused": {"optimizer_step": "fused"},
    "precision: bfloat16": {"precision": "bfloat16"},
}
COMPILED = {"compile: default": {"compile": "default"}}


def make_setups(config: RunConfig, machine: Machine, compiled: bool) -> dict[str, Setup]:
    """Return a setup for each change that the device is able to make."""
    device = resolve_device(machine.device)
    return {
        name: build_setup(replace(config, train=config.train.model_copy(update=change)), machine, start=None)
        for name, change in (CHANGES | (COMPILED if compiled else {})).items()
        if change.get("precision") != "bfloat16" or has_bfloat16(device)
    }


def measure(setups: dict[str, Setup], rounds: int, clock: str) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Return the training seconds of each round but the first, and the loss in the last one."""
    spent: dict[str, list[float]] = {name: [] for name in setups}
    losses: dict[str, float] = {}
    for place in range(rounds + 1):
        for name in list(setups) if place % 2 else reversed(list(setups)):
            began = CLOCKS[clock]()
            losses[name] = train_epoch(setups[name], place + 1)["train/loss"]
            if place:
                spent[name].append(CLOCKS[clock]() - began)
    return spent, losses


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=["phase3", "unet-128-b8"], help=f"of {', '.join(CASES)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--compile", action="store_true")
    given = parser.parse_args()
    device = resolve_device(given.device)
    print(describe(str(device), ["torchvision"]))
    rows = []
    for case in given.cases:
        config = make_config(case, device)
        prepare_process(config)
        began = time.perf_counter()
        setups = make_setups(config, Machine(str(device)), given.compile)
        spent, losses = measure(setups, given.rounds, given.clock)
        for name, times in spent.items():
            share = statistics.median(a / b for a, b in zip(times, spent["defaults"], strict=True))
            score = all_scores(evaluate(setups[name], "val").counts)["miou_dataset"]
            rate = config.data.own["train_images"] / statistics.median(times)
            rows.append([case, name, f"{rate:.1f}", f"{share:.2f}", f"{losses[name]:.5f}", f"{score:.4f}"])
        print(f"{case}: {time.perf_counter() - began:.0f} s", flush=True)
    print(f"\n{given.clock} clock, medians of {given.rounds} rounds")
    print_table(["case", "changed", "images/s", "time / defaults", "last loss", "miou_dataset"], rows)


if __name__ == "__main__":
    main()
