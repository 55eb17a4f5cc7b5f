"""Images/s of training: the harness against the bare floor, a plain loop and Lightning.

    python -m benchmarks.training_speed [unet-128-b8 phase3 ...] [--rounds 7] [--device cuda]

Every side trains the same network from the same weights on the same drawn scenes, in one process with the same number
of threads, one epoch each in turn, the order reversed from round to round. Medians of rounds; ratios are medians of the
rounds' own ratios. The first round warms up and is not counted.

- floor: the harness's network, loss and optimizer stepped on its batches as tensors already on the device; nothing
  else. Its weights after an epoch must be those of the harness, bit for bit: the same work is compared.
- plain: DataLoader with 0 and 2 workers, PNGs decoded by Pillow in each epoch, `.item()` at each step, scikit-learn's
  confusion matrix in evaluation. The PNGs have the size that the network sees, so that nothing is to be resized.
- Lightning: its Trainer and torchmetrics on the same DataLoader (left out where it is not installed).

`--clock processor` measures processor time of the process instead of the clock on the wall: for a machine that is busy.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import torch

import harness.parts  # noqa: F401 - enter the parts into the catalog
from benchmarks.rivals import Clock, Epoch, Spent, make_lightning, make_plain, write_pngs
from benchmarks.setting import describe, print_table
from harness.catalog import choose
from harness.nets.network import set_train_mode
from harness.records import Machine, RunConfig
from harness.settings import EvaluateSettings, TrainSettings
from harness.train.epoch import train_epoch
from harness.train.evaluate import evaluate
from harness.train.feeding import feed
from harness.train.seeding import seed_torch
from harness.train.workbench import Bench, build_bench, prepare_process, resolve_device

CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "processor": time.process_time}


@dataclass(frozen=True)
class Case:
    """What is trained."""

    model: str
    side: int
    batch: int
    images: int
    settings: tuple[tuple[str, object], ...] = ()


CASES = {
    "unet-128-b1": Case("unet", 128, 1, 12),
    "unet-128-b8": Case("unet", 128, 8, 16),
    "unet-128-b64": Case("unet", 128, 64, 64),
    "deeplab-512": Case("deeplabv3_resnet50", 512, 2, 2),
    "phase3": Case("deeplabv3_mobilenet_v3_large", 96, 4, 32, (("norm_momentum", 0.1),)),
    "data-scaling": Case("unet", 96, 8, 32, (("base_channels", 16),)),
    "tune-desert": Case("unet", 48, 8, 64, (("base_channels", 4),)),
}
ON_GPU = {"unet-128-b1": 256, "unet-128-b8": 1024, "unet-128-b64": 2048, "deeplab-512": 64}
"""Images of an epoch there; other cases have eight times those of the CPU."""
GPU_BATCH = {"deeplab-512": 8}


def make_config(name: str, device: torch.device) -> RunConfig:
    """Return a case as a run's config."""
    case, on_gpu = CASES[name], device.type == "cuda"
    images = ON_GPU.get(name, 8 * case.images) if on_gpu else case.images
    scenes = {"size": [case.side] * 2, "train_images": images, "val_images": max(images // 4, 2), "test_images": 1}
    return RunConfig(
        data=choose("data", "desert", {**scenes, "normalize": "centered"}),
        model=choose("model", case.model, dict(case.settings)),
        loss=(choose("loss", "cross_entropy", {}),),
        augment=(),
        optimizer=choose("optimizer", "adam", {"lr": 1e-3}),
        schedule=choose("schedule", "constant", {}),
        train=TrainSettings(epochs=10**6, batch_size=GPU_BATCH.get(name, case.batch) if on_gpu else case.batch),
        evaluate=EvaluateSettings(),
        seed=0,
    )


def make_harness(bench: Bench, clock: Clock) -> Epoch:
    """Return an epoch as a run trains and judges it."""
    passed = 0

    def epoch() -> Spent:
        nonlocal passed
        passed, began = passed + 1, clock()
        train_epoch(bench, passed, ())
        trained = clock() - began
        evaluate(bench, "val")
        return Spent(trained, clock() - began)

    return epoch


def make_floor(bench: Bench, clock: Clock) -> Epoch:
    """Return an epoch of steps on tensors that lie on the device; the batches are those of the first epoch."""
    batches = [(bench.normalize(item.batch), item.batch.labels_BHW.long()) for item in feed(bench, 1)]

    def epoch() -> Spent:
        set_train_mode(bench.network, "none")
        _wait(bench.device)
        began = clock()
        for images_BCHW, labels_BHW in batches:
            bench.optimizer.zero_grad(set_to_none=True)
            logits_BCHW, _ = bench.network.read(bench.network.module(images_BCHW))
            for _, term in bench.loss:
                term(logits_BCHW, labels_BHW).backward()
            bench.optimizer.step()
        _wait(bench.device)
        return Spent(clock() - began, float("nan"))

    return epoch


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def check_same_weights(config: RunConfig, machine: Machine) -> str:
    """Return whether one epoch of floor and of harness end in the same weights, in words."""
    ours, theirs = (build_bench(config, machine, start=None) for _ in range(2))
    make_harness(ours, time.perf_counter)()
    seed_torch(config.seed, "dropout", 1)
    make_floor(theirs, time.perf_counter)()
    states = [bench.network.module.state_dict() for bench in (ours, theirs)]
    far = max(float((a.double() - b.double()).abs().max()) for a, b in zip(*(s.values() for s in states), strict=True))
    return "same weights, bit for bit" if far == 0 else f"weights differ by {far:.2g} at most"


def measure(sides: dict[str, Epoch], rounds: int) -> dict[str, list[Spent]]:
    """Return the seconds of each side in each round but the first."""
    spent: dict[str, list[Spent]] = {name: [] for name in sides}
    for place in range(rounds + 1):
        for name in list(sides) if place % 2 else reversed(list(sides)):
            used = sides[name]()
            if place:
                spent[name].append(used)
    return spent


def make_sides(config: RunConfig, machine: Machine, clock: Clock) -> dict[str, Epoch]:
    """Return floor and harness on one network: where its weights lie in memory moves a step by up to a tenth."""
    bench = build_bench(config, machine, start=None)
    return {"floor": make_floor(bench, clock), "harness": make_harness(bench, clock)}


def make_rivals(config: RunConfig, machine: Machine, files: Path, clock: Clock) -> dict[str, Epoch]:
    """Return the other sides of a case, each with a network of its own."""
    bench = build_bench(config, machine, start=None)
    for split in ("train", "val"):
        write_pngs(bench.splits[split], files / split)
    sides: dict[str, Epoch] = {}
    for workers in (0, 2):
        sides[f"plain, {workers} workers"] = make_plain(bench, files, workers, clock)
    if find_spec("lightning") and find_spec("torchmetrics"):
        for workers in (0, 2):
            sides[f"Lightning, {workers} workers"] = make_lightning(bench, files, workers, clock)
    return sides


def make_rows(name: str, images: int, spent: dict[str, list[Spent]]) -> Iterable[list[str]]:
    """Yield a line for each side: its rate, and the harness's as a multiple of it, of training and of whole epochs."""

    def ratio(side: str, pick: Callable[[Spent], float]) -> float:
        return statistics.median(pick(a) / pick(b) for a, b in zip(spent[side], spent["harness"], strict=True))

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
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--floor-only", action="store_true", help="leave the rivals out")
    given = parser.parse_args()
    device = resolve_device(given.device)
    print(
        describe(
            str(device), ["torchvision", "segmentation_models_pytorch", "lightning", "torchmetrics", "scikit-learn"]
        )
    )
    rows: list[list[str]] = []
    for name in given.cases:
        config = make_config(name, device)
        config = replace(config, train=config.train.model_copy(update={"threads": given.threads}))
        prepare_process(config)
        machine = Machine(str(device))
        print(f"{name}: {check_same_weights(config, machine)}", flush=True)
        with tempfile.TemporaryDirectory() as place:
            sides = make_sides(config, machine, CLOCKS[given.clock])
            if not given.floor_only:
                sides |= make_rivals(config, machine, Path(place), CLOCKS[given.clock])
            rows += make_rows(name, config.data["train_images"], measure(sides, given.rounds))
    print(f"\n{given.clock} clock, {given.threads} threads, medians of {given.rounds} rounds")
    print_table(["case", "side", "images/s", "range", "harness / side, training", "harness / side, epoch"], rows)


if __name__ == "__main__":
    main()
