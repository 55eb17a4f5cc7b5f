"""Augmented images/s: step by step in the main memory, and a batch by one sampling where the run computes.

    python -m benchmarks.augment_rate [--device cuda] [--batch 8] [--rounds 7]

Rotation, scale, crop and flip of drawn scenes, with the same draws. Both end on the device. Sides in turn in one
process; medians, and the median of the rounds' own ratios; then how far apart the results are: the share of pixels with
another label, and the mean difference of the images in grey levels.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from benchmarks.setting import describe, print_table, wait_for
from harness import registry
from harness.data import open_source
from harness.data.prepared import PreparedSplit
from harness.parts.augment import Augment
from harness.train.batch_augment import augment_batch
from harness.train.batches import Batch, make_batch
from harness.train.gpu_dataset import GpuDataset
from harness.train.setup import resolve_device

EPOCH = {"seed": 0, "epoch": 1}


def open_scenes(side: int, images: int) -> PreparedSplit:
    """Return drawn scenes at one size, in the cache."""
    chosen = registry.choose("data", "desert", {"size": [side] * 2, "train_images": images, "val_images": 1})
    source = open_source(chosen, 0)
    split = PreparedSplit(source.splits["train"], source.taxonomy, (side, side), "input")
    split.pair(0)
    return split


def build_steps(side: int) -> list[Augment]:
    """Return the usual four."""
    wanted: dict[str, dict[str, Any]] = {
        "rotate": {"degrees": 10.0},
        "scale": {},
        "crop": {"size": [side, side]},
        "flip": {},
    }
    return [registry.build("augment", registry.choose("augment", name, options)) for name, options in wanted.items()]


def make_sides(
    split: PreparedSplit, steps: Sequence[Augment], device: torch.device
) -> dict[str, Callable[[list[int]], Batch]]:
    """Return what makes a batch on the device, for each way."""
    on_gpu = GpuDataset(split, device)

    def together(places: list[int]) -> Batch:
        return augment_batch(on_gpu.batch(places), [split.names[i] for i in places], steps, **EPOCH)

    return {"steps": lambda places: make_batch(split, places, steps, **EPOCH).to(device), "one sampling": together}


def measure(
    sides: dict[str, Callable[[list[int]], Batch]], order: Sequence[list[int]], rounds: int, device: torch.device
) -> dict[str, list[float]]:
    """Return the seconds of each side for all batches, in each round but the first."""
    spent: dict[str, list[float]] = {name: [] for name in sides}
    for place in range(rounds + 1):
        for name in list(sides) if place % 2 else reversed(list(sides)):
            began = time.perf_counter()
            for places in order:
                sides[name](places)
            wait_for(device)
            if place:
                spent[name].append(time.perf_counter() - began)
    return spent


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="*", default=[96, 128, 256, 512])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    device = resolve_device(given.device)
    torch.set_num_threads(1)
    print(describe(str(device), ["torchvision"]))
    rows = []
    for side in given.sides:
        split = open_scenes(side, 4 * given.batch)
        sides = make_sides(split, build_steps(side), device)
        order = [list(range(first, first + given.batch)) for first in range(0, len(split), given.batch)]
        spent = measure(sides, order, given.rounds, device)
        apart = [[way(places) for places in order] for way in sides.values()]
        differ = statistics.mean(
            float((a.labels_BHW != b.labels_BHW).float().mean()) for a, b in zip(*apart, strict=True)
        )
        grey = statistics.mean(
            float((a.images_BCHW.float() - b.images_BCHW.float()).abs().mean()) for a, b in zip(*apart, strict=True)
        )
        faster = statistics.median(a / b for a, b in zip(*spent.values(), strict=True))
        rates = [f"{len(split) / statistics.median(times):.0f}" for times in spent.values()]
        rows.append([f"{side}x{side}", *rates, f"{faster:.2f}", f"{differ:.1%}", f"{grey:.1f}"])
    head = ["images", "steps, images/s", "one sampling, images/s", "times faster", "other labels", "grey levels"]
    print_table(head, rows)


if __name__ == "__main__":
    main()
