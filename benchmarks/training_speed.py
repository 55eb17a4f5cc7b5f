"""Images/s of training: the harness against the bare floor, a plain loop and Lightning.

    python -m benchmarks.training_speed [unet-128-b8 phase3 ...] [--rounds 3] [--epochs 2] [--device cuda]

Every side trains the same network from the same weights on the same drawn scenes with the same number of threads. Each
runs as its users start it: a rival in a Python process of its own, the harness in one as `harness run` starts them
(`benchmarks.kept_memory`), new ones in each round, in reversed order from round to round; one epoch warms up. Medians
of all epochs; ratios are medians of pairs of epochs.

- floor: the harness's network and loss, and torch's optimizer as it comes, stepped on the harness's batches as tensors
  already on the device; nothing else. It shares process and network with the harness, since where weights lie in memory
  moves a step by up to a tenth, and takes turns with it. Its weights after an epoch must be the harness's, bit for bit:
  the same work is compared.
- plain: DataLoader with 0 and 2 workers, PNGs decoded by Pillow in each epoch, `.item()` at each step, scikit-learn's
  confusion matrix in evaluation. The PNGs have the size that the network sees, so that nothing is to be resized.
- Lightning: its Trainer and torchmetrics on the same DataLoader (left out where it is not installed).

`--clock processor` measures processor time of the process instead of the clock on the wall: for a machine that is busy.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import torch

from benchmarks.cases import CASES, CLOCKS, make_config
from benchmarks.rivals import Clock, Epoch, Spent, make_lightning, make_plain, write_pngs
from benchmarks.setting import describe, print_table, wait_for
from harness.execute.fork_server import KEEP_MEMORY, TUNABLES
from harness.models.network import set_train_mode
from harness.records import Machine, RunConfig
from harness.train.evaluate import evaluate
from harness.train.loop import train_epoch
from harness.train.prefetch import prefetch
from harness.train.seeding import seed_torch
from harness.train.setup import Setup, build_setup, prepare_process, resolve_device

OURS = "harness"
RIVALS = {
    "plain, 0 workers": (make_plain, 0),
    "plain, 2 workers": (make_plain, 2),
    "Lightning, 0 workers": (make_lightning, 0),
    "Lightning, 2 workers": (make_lightning, 2),
}


def make_harness(setup: Setup, clock: Clock) -> Epoch:
    """Return an epoch as a run trains and judges it."""
    passed = 0

    def epoch() -> Spent:
        nonlocal passed
        passed, began = passed + 1, clock()
        train_epoch(setup, passed)
        trained = clock() - began
        evaluate(setup, "val")
        return Spent(trained, clock() - began)

    return epoch


def make_floor(setup: Setup, clock: Clock) -> Epoch:
    """Return an epoch of steps on tensors that lie on the device; the batches are those of the first epoch.

    The optimizer is torch's, as it comes.
    """
    groups = [{"params": group["params"], "lr": group["lr"]} for group in setup.state.optimizer.param_groups]
    optimizer = torch.optim.Adam(groups)
    batches = [
        (setup.data.normalize(batch), batch.labels_BHW.long())
        for batch in prefetch(setup.config, setup.data, setup.device, 1)
    ]

    def epoch() -> Spent:
        set_train_mode(setup.state.network, "none")
        wait_for(setup.device)
        began = clock()
        for images_BCHW, labels_BHW in batches:
            optimizer.zero_grad(set_to_none=True)
            logits_BCHW, _ = setup.state.network.read(setup.state.network.module(images_BCHW))
            for _, term in setup.state.loss:
                torch.autograd.backward(term(logits_BCHW, labels_BHW))
            optimizer.step()
        wait_for(setup.device)
        return Spent(clock() - began, float("nan"))

    return epoch


def check_same_weights(config: RunConfig, machine: Machine) -> None:
    """End the program where one epoch of floor and one of harness do not end in the same weights."""
    ours, theirs = (build_setup(config, machine, start=None) for _ in range(2))
    make_harness(ours, time.perf_counter)()
    seed_torch(config.seed, "dropout", 1)
    make_floor(theirs, time.perf_counter)()
    states = [setup.state.network.module.state_dict() for setup in (ours, theirs)]
    if not all(torch.equal(*pair) for pair in zip(*(state.values() for state in states), strict=True)):
        raise SystemExit("floor and harness end in different weights: they cannot be compared")


def make_sides(setup: Setup, group: str, files: Path, clock: Clock) -> dict[str, Epoch]:
    """Return what is measured in one process: floor and harness on one network, or a rival."""
    if group == OURS:
        return {"floor": make_floor(setup, clock), OURS: make_harness(setup, clock)}
    make, workers = RIVALS[group]
    for split in ("train", "val"):
        write_pngs(setup.data.splits[split], files / split)
    return {group: make(setup, files, workers, clock)}


def measure_here(config: RunConfig, given: argparse.Namespace) -> dict[str, list[Spent]]:
    """Return the seconds of each side of a group in so many epochs after the first, in turn."""
    prepare_process(config)
    setup = build_setup(config, Machine(given.device), start=None)
    with tempfile.TemporaryDirectory() as place:
        sides = make_sides(setup, given.child, Path(place), CLOCKS[given.clock])
        spent: dict[str, list[Spent]] = {name: [] for name in sides}
        for number in range(given.epochs + 1):
            for name in list(sides) if number % 2 else reversed(list(sides)):
                used = sides[name]()
                if number:
                    spent[name].append(used)
    return spent


def measure(case: str, groups: Sequence[str], given: argparse.Namespace) -> dict[str, list[Spent]]:
    """Return the seconds of all sides in all rounds; each group of sides in a process of its own."""
    spent: dict[str, list[Spent]] = {}
    for place in range(given.rounds):
        for group in reversed(groups) if place % 2 else groups:
            command = [sys.executable, "-m", "benchmarks.training_speed", case, "--child", group]
            for name in ("epochs", "device", "threads", "clock"):
                command += [f"--{name}", str(getattr(given, name))]
            environment = {**os.environ, TUNABLES: KEEP_MEMORY if group == OURS else ""}
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
            for name, epochs in json.loads(done.stdout.splitlines()[-1]).items():
                spent.setdefault(name, []).extend(Spent(*epoch) for epoch in epochs)
    return spent


def make_rows(name: str, images: int, spent: dict[str, list[Spent]]) -> Iterable[list[str]]:
    """Yield a line for each side: its rate, and the harness's as a multiple of it, of training and of whole epochs."""

    def ratio(side: str, pick: Callable[[Spent], float]) -> float:
        return statistics.median(pick(a) / pick(b) for a, b in zip(spent[side], spent[OURS], strict=True))

    for side, used in spent.items():
        rates = [images / item.train for item in used]
        whole = "" if side == "floor" else f"{ratio(side, lambda item: item.whole):.2f}"
        yield [
            name,
            side,
            f"{statistics.median(rates):.3g}",
            f"{min(rates):.3g} to {max(rates):.3g}",
            f"{ratio(side, lambda item: item.train):.3f}",
            whole,
        ]


def main() -> None:
    """Measure the cases, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=list(CASES), help=f"of {', '.join(CASES)}")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each side")
    parser.add_argument("--epochs", type=int, default=2, help="epochs counted in each process")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--floor-only", action="store_true", help="leave the rivals out")
    parser.add_argument("--child", help="measure one group of sides in this process, and print JSON")
    given = parser.parse_args()
    device = resolve_device(given.device)
    packages = ["torchvision", "segmentation_models_pytorch", "lightning", "torchmetrics", "scikit-learn"]
    if not given.child:
        print(describe(str(device), packages))
    lightning = bool(find_spec("lightning") and find_spec("torchmetrics"))
    rivals = [] if given.floor_only else [name for name in RIVALS if lightning or not name.startswith("Lightning")]
    rows: list[list[str]] = []
    for name in given.cases:
        config = make_config(name, device)
        config = replace(config, train=config.train.model_copy(update={"threads": given.threads}))
        if given.child:
            print(json.dumps(measure_here(config, given)))
            return
        prepare_process(config)
        check_same_weights(config, Machine(given.device))
        print(f"{name}: floor and harness end in the same weights, bit for bit", flush=True)
        rows += make_rows(name, config.data.own["train_images"], measure(name, [OURS, *rivals], given))
    print(f"\n{given.clock} clock, {given.threads} threads, {given.rounds} processes of {given.epochs} epochs each")
    print_table(["case", "side", "images/s", "range", "harness / side, training", "harness / side, epoch"], rows)


if __name__ == "__main__":
    main()
