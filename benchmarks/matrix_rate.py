"""The share of a device's measured matrix rate that a training step reaches.

    python -m benchmarks.matrix_rate [deeplab-512 unet-128-b8 ...] [--device cuda] [--rounds 5]

Operations of a step are counted by torch (FlopCounterMode: convolutions and matrix products, forward and backward, two
for each multiply-add). The device's rate is measured in the same arithmetic, before and after each step: that of the
product of two square matrices, or of a large convolution where it is higher (libraries of matrix products do not know
every processor as well as those of convolutions do). Medians of the rounds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.cases import CASES, make_config
from benchmarks.setting import describe, print_table, wait_for
from harness.models.network import set_train_mode
from harness.records import Machine, RunConfig
from harness.train.loop import add_gradient
from harness.train.prefetch import prefetch
from harness.train.setup import Setup, build_setup, prepare_process, resolve_device

SIDE = {"cpu": 2048, "cuda": 8192}


def timed(work: Callable[[], object], device: torch.device) -> float:
    """Return the seconds that work takes, to its end on the device."""
    began = time.perf_counter()
    work()
    wait_for(device)
    return time.perf_counter() - began


class Measured(NamedTuple):
    """Medians of the rounds."""

    operations: int
    """Of a step."""
    seconds: float
    rate: float
    """The device's, in operations a second."""
    share: float


def make_peak(device: torch.device, dtype: torch.dtype, side: int) -> Callable[[], float]:
    """Return what measures the device's rate, in operations a second, by matrices of side x side."""
    a, b = (torch.randn((side, side), device=device, dtype=dtype) for _ in range(2))
    batch, channels, pixels = side // 256, 256, 64
    images_BCHW, kernel = (
        torch.randn(shape, device=device, dtype=dtype).to(memory_format=torch.channels_last)
        for shape in ((batch, channels, pixels, pixels), (channels, channels, 3, 3))
    )
    works: tuple[tuple[int, Callable[[], object]], ...] = (
        (2 * side**3, lambda: a @ b),
        (2 * 9 * batch * (channels * pixels) ** 2, lambda: functional.conv2d(images_BCHW, kernel, padding=1)),
    )
    return lambda: max(operations / timed(work, device) for operations, work in works)


def make_step(setup: Setup) -> Callable[[], None]:
    """Return a step on one batch that lies on the device."""
    batch = next(prefetch(setup.config, setup.data, setup.device, 1))._replace(places=())

    def step() -> None:
        set_train_mode(setup.state.network, "none")
        setup.state.optimizer.zero_grad(set_to_none=True)
        add_gradient(setup, batch, 1)
        setup.state.optimizer.step()

    return step


def measure(config: RunConfig, device: torch.device, rounds: int, side: int) -> Measured:
    """Return what a step of a run reaches, and what a device does with matrices of side x side."""
    prepare_process(config)
    step = make_step(build_setup(config, Machine(str(device)), start=None))
    peak = make_peak(device, torch.bfloat16 if config.train.precision == "bfloat16" else torch.float32, side)
    with FlopCounterMode(display=False) as counter:
        step()
    operations = counter.get_total_flops()
    step(), peak()
    rates, shares, seconds = [], [], []
    for _ in range(rounds):
        before, spent, after = peak(), timed(step, device), peak()
        rates.append((before + after) / 2)
        seconds.append(spent)
        shares.append(operations / spent / rates[-1])
    return Measured(operations, *map(statistics.median, (seconds, rates, shares)))


def make_row(case: str, precision: str, device: torch.device, rounds: int) -> list[str]:
    """Return a line of the table."""
    config = make_config(case, device)
    config = replace(config, train=config.train.model_copy(update={"precision": precision}))
    found = measure(config, device, rounds, SIDE[device.type])
    return [
        case,
        precision,
        f"{found.operations / 1e9:.3g}",
        f"{found.seconds:.3g}",
        f"{found.operations / found.seconds / 1e9:.3g}",
        f"{found.rate / 1e9:.3g}",
        f"{found.share:.0%}",
    ]


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=["deeplab-512", "unet-128-b8", "phase3"], help=", ".join(CASES))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    device = resolve_device(given.device)
    print(describe(str(device), ["torchvision"]))
    rows = [make_row(case, given.precision, device, given.rounds) for case in given.cases]
    head = ["case", "arithmetic", "GFLOP a step", "s", "GFLOP/s", "device's rate, GFLOP/s", "share"]
    print_table(head, rows)


if __name__ == "__main__":
    main()
