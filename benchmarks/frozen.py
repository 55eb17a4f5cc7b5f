"""An epoch with frozen layers, plain against with their features kept: `python -m benchmarks.frozen [--rounds 5]`.

The sizes of the shipped study phase3. Training of an epoch and the evaluation after it, in turn in one process, the
order reversed from round to round; medians, and medians of the rounds' own ratios. Weights after all rounds must be the
same, bit for bit.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import replace

import torch

from benchmarks.cases import CLOCKS
from benchmarks.rivals import Spent
from benchmarks.setting import describe, print_table
from benchmarks.training_speed import make_harness
from harness.records import Machine, RunConfig
from harness.registry import choose
from harness.settings import EvaluateSettings, TrainSettings
from harness.train.setup import Setup, build_setup, prepare_process

NETWORKS = {
    "deeplabv3_mobilenet_v3_large": {},
    "deeplabv3_resnet50": {},
    "lraspp_mobilenet_v3_large": {},
    "unet": {},
    "smp": {"architecture": "unet", "encoder": "resnet34"},
}
FREEZES = ("backbone", "all_but_classifier")


def make_config(name: str, which: str, images: int) -> RunConfig:
    """Return a run of phase3's size."""
    scenes = {"size": [96, 96], "train_images": images, "val_images": images // 2, "test_images": 1}
    return RunConfig(
        data=choose("data", "desert", {**scenes, "normalize": "centered"}),
        model=choose("model", name, {**NETWORKS[name], "freeze": which}),
        loss=(choose("loss", "cross_entropy", {}),),
        augment=(),
        optimizer=choose("optimizer", "adam", {"lr": 1e-3}),
        schedule=choose("schedule", "constant", {}),
        train=TrainSettings(epochs=10**6, batch_size=4),
        evaluate=EvaluateSettings(),
        seed=0,
    )


def measure(config: RunConfig, rounds: int, clock: str) -> tuple[list[Spent], list[Spent], bool]:
    """Return the seconds of plain epochs and of those with features kept, and whether the weights are the same."""
    setups: dict[str, Setup] = {}
    for side in ("plain", "kept"):
        setup = build_setup(config, Machine("cpu"), start=None)
        setups[side] = setup if side == "kept" else replace(setup, data=replace(setup.data, feature_caches={}))
    epochs = {side: make_harness(setup, CLOCKS[clock]) for side, setup in setups.items()}
    spent: dict[str, list[Spent]] = {side: [] for side in epochs}
    for place in range(rounds + 2):  # the first computes what is kept, the second compares one batch
        for side in list(epochs) if place % 2 else reversed(list(epochs)):
            used = epochs[side]()
            if place > 1:
                spent[side].append(used)
    states = (setup.state.network.module.state_dict().values() for setup in setups.values())
    return spent["plain"], spent["kept"], all(torch.equal(*pair) for pair in zip(*states, strict=True))


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(NETWORKS), help=f"of {', '.join(NETWORKS)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    given = parser.parse_args()
    print(describe("cpu", ["torchvision", "segmentation_models_pytorch"]))
    rows = []
    for name in given.networks:
        for which in FREEZES:
            config = make_config(name, which, given.images)
            prepare_process(config)
            plain, kept, same = measure(config, given.rounds, given.clock)
            pairs = list(zip(plain, kept, strict=True))
            rows.append(
                [
                    name,
                    which,
                    f"{statistics.median(item.whole for item in plain):.2f}",
                    f"{statistics.median(item.whole for item in kept):.2f}",
                    f"{statistics.median(a.train / b.train for a, b in pairs):.2f}",
                    f"{statistics.median(a.whole / b.whole for a, b in pairs):.2f}",
                    "yes" if same else "NO",
                ]
            )
    print(f"\n{given.images} images of 96x96, batches of 4, one thread, {given.clock} clock, {given.rounds} rounds")
    head = ["network", "frozen", "plain epoch, s", "kept, s", "training faster", "epoch faster", "same weights"]
    print_table(head, rows)


if __name__ == "__main__":
    main()
