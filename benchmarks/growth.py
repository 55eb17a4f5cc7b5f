"""How cost grows, and where it bends: `python -m benchmarks.growth [images side classes runs seeds epochs] [--short]`.

Along each axis one thing grows and all else stays. Seconds are of the processor, the fewest of `--rounds` (what a
busy machine adds is never negative); the slope is that of a straight line through the points in log-log: 1 means twice
as much costs twice as much. The first bend is the first interval whose slope is steeper than that of all before it by
more than 0.25. A figure of each is written below docs/figures. `epochs`: memory of a process over 1,000 short epochs.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.report_scale import draw_counts
from benchmarks.setting import describe, print_table
from harness.counts import make_counts
from harness.records import Machine, RunConfig
from harness.registry import choose
from harness.scores import all_scores
from harness.settings import EvaluateSettings, TrainSettings
from harness.train.chunked_argmax import label_pixels
from harness.train.evaluate import evaluate
from harness.train.loop import train, train_epoch
from harness.train.regions import count_confusion
from harness.train.setup import build_setup, prepare_process

FIGURES = Path("docs/figures")
STEEPER = 0.25


@dataclass(frozen=True)
class Axis:
    """One thing that grows."""

    title: str
    unit: str
    values: Sequence[int]
    prepare: Callable[[int], Callable[[], object]]
    """Value -> what is timed."""


def make_config(images: int, side: int) -> RunConfig:
    """Return a small run."""
    scenes = {"size": [side, side], "train_images": images, "val_images": max(images // 2, 1), "test_images": 1}
    return RunConfig(
        data=choose("data", "desert", {**scenes, "normalize": "centered"}),
        model=choose("model", "unet", {"base_channels": 4}),
        loss=(choose("loss", "cross_entropy", {}),),
        augment=(choose("augment", "flip", {}),),
        optimizer=choose("optimizer", "adam", {}),
        schedule=choose("schedule", "constant", {}),
        train=TrainSettings(epochs=10**6, batch_size=4),
        evaluate=EvaluateSettings(),
        seed=0,
    )


def prepare_epoch(images: int, side: int) -> Callable[[], object]:
    """Return an epoch of training and its evaluation."""
    config = make_config(images, side)
    prepare_process(config)
    setup = build_setup(config, Machine("cpu"), start=None)
    evaluate(setup, "val")  # the images are drawn and cached

    def epoch() -> None:
        train_epoch(setup, 1)
        evaluate(setup, "val")

    return epoch


def prepare_classes(num_classes: int) -> Callable[[], object]:
    """Return judging one picture of 512x512 from logits at half that size: labels, counts, scores."""
    generator = torch.Generator().manual_seed(0)
    logits_CHW = torch.randn((num_classes, 256, 256), generator=generator)
    label_HW = torch.randint(num_classes, (512, 512), generator=generator).to(torch.uint8).numpy()
    names = [f"class{index}" for index in range(num_classes)]

    def judge() -> object:
        counted = count_confusion(label_pixels(logits_CHW, label_HW.shape).numpy(), label_HW, num_classes)
        return all_scores(make_counts([counted], ["image"], ["image"], names))

    return judge


def prepare_plan(runs: int) -> Callable[[], object]:
    """Return planning so many runs, up to ten seeds of each variant."""
    from harness.spec.load import load_spec
    from harness.spec.plan import expand

    seeds = min(runs, 10)
    variants = "".join(
        f"  v{k}: {{set: {{optimizer.lr: {1e-4 * (1 + k // 10):.5f}, train.batch_size: {2 + k % 10}}}}}\n"
        for k in range(runs // seeds - 1)
    )
    text = (
        "study: growth\nquestion: How long does a plan take?\nbase:\n  data: {name: desert}\n  model: {name: unet}\n"
        "  loss: {cross_entropy: {}}\n  optimizer: {name: adam, lr: 1.0}\nvariants:\n  baseline: {}\n" + variants
    )

    def plan() -> object:
        with tempfile.TemporaryDirectory() as place:
            path = Path(place) / "study.yaml"
            path.write_text(text)
            made = expand(load_spec(path, seeds=list(range(seeds))), lambda config: {"data": "x"})
        assert len(made.runs) == runs
        return made

    return plan


def prepare_seeds(seeds: int) -> Callable[[], object]:
    """Return comparing four variants with a reference: so many seeds of each, 50 images, 10 classes."""
    from harness.stats.effects import compare, make_study
    from harness.stats.margins import HEADLINE, sum_margins
    from harness.stats.verdicts import judge

    generator = np.random.default_rng(0)
    truth_NC = generator.integers(0, 2_000, (50, 10))
    counts = {(f"v{v}", seed): draw_counts(truth_NC, generator) for v in range(5) for seed in range(seeds)}

    def statistics() -> object:
        study = make_study(sum_margins(counts))
        return judge({name: compare(study, name, "v0")[HEADLINE] for name in study.variants[1:]}, 0.005)

    return statistics


AXES = {
    "images": Axis(
        "images of an epoch (U-Net, 48x48)", "images", (8, 16, 32, 64, 128, 256), lambda n: prepare_epoch(n, 48)
    ),
    "side": Axis("side of the images (U-Net, 8 images)", "pixels", (32, 64, 128, 256, 512), partial(prepare_epoch, 8)),
    "classes": Axis("classes (one picture of 512x512 judged)", "classes", (2, 5, 10, 19, 34, 75, 150), prepare_classes),
    "runs": Axis("runs of a plan", "runs", (1, 10, 100, 1000, 10_000), prepare_plan),
    "seeds": Axis("seeds of a report's statistics", "seeds", (2, 4, 8, 16, 32, 64), prepare_seeds),
}


def measure(axis: Axis, values: Sequence[int], rounds: int) -> list[float]:
    """Return the fewest seconds of the processor for each value."""
    fastest = []
    for value in values:
        timed = axis.prepare(value)
        timed()
        seconds = []
        for _ in range(rounds):
            began = time.process_time()
            timed()
            seconds.append(time.process_time() - began)
        fastest.append(min(seconds))
    return fastest


def find_bend(values: Sequence[int], seconds: Sequence[float]) -> str:
    """Return the first interval that is steeper than all before it by more than `STEEPER`, in words."""
    steepest = None
    for (a, x), (b, y) in itertools.pairwise(zip(values, seconds, strict=True)):
        slope = float(np.log(y / x) / np.log(b / a))
        if steepest is not None and slope > steepest + STEEPER:
            return f"{a} to {b} ({slope:.2f})"
        steepest = slope if steepest is None else max(steepest, slope)
    return "none"


def draw(name: str, axis: Axis, values: Sequence[int], seconds: Sequence[float], slope: float) -> None:
    """Write the figure of an axis."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5, 3.4), layout="constrained")
    line = np.polyfit(np.log(values), np.log(seconds), 1)
    axes.loglog(values, np.exp(np.polyval(line, np.log(values))), color="0.7", label=f"slope {slope:.2f}")
    axes.loglog(values, seconds, "o-", color="tab:blue", label="measured")
    axes.set(xlabel=axis.unit, ylabel="seconds of one core", title=axis.title)
    axes.set_xticks(values, [f"{value:,}" for value in values])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(FIGURES / f"growth_{name}.png", dpi=110)
    plt.close(figure)


def resident_bytes() -> int:
    """Return the memory that this process has in use."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def measure_epochs(epochs: int) -> None:
    """Train many short epochs, print and draw the memory in use."""
    import matplotlib.pyplot as plt

    config = make_config(4, 32)
    prepare_process(config)
    setup = build_setup(config, Machine("cpu"), start=None)
    used = [resident_bytes() / 2**20 for _ in itertools.islice(train(setup), epochs)]
    late = np.arange(epochs // 10, epochs)
    slope_kib = 1024 * float(np.polyfit(late, np.array(used)[late], 1)[0])
    print(
        f"\n{epochs} epochs: {used[epochs // 10]:.1f} MiB after a tenth of them, {used[-1]:.1f} MiB at the end; "
        f"{slope_kib:+.2f} KiB an epoch"
    )
    figure, axes = plt.subplots(figsize=(5, 3.4), layout="constrained")
    axes.plot(np.arange(1, epochs + 1), used, color="tab:blue")
    axes.set(xlabel="epochs", ylabel="MiB in use", title="memory over short epochs", ylim=(0, 1.2 * max(used)))
    axes.grid(alpha=0.3)
    figure.savefig(FIGURES / "growth_epochs.png", dpi=110)


def main() -> None:
    """Measure the axes, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("axes", nargs="*", default=[*AXES, "epochs"], help=f"of {', '.join(AXES)}, epochs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--short", action="store_true", help="leave the largest value of each axis out; 100 epochs")
    given = parser.parse_args()
    torch.set_num_threads(1)
    FIGURES.mkdir(parents=True, exist_ok=True)
    print(describe("cpu", ["numpy"]))
    rows = []
    for name in (name for name in given.axes if name in AXES):
        axis = AXES[name]
        values = axis.values[:-1] if given.short else axis.values
        seconds = measure(axis, values, given.rounds)
        slope = float(np.polyfit(np.log(values), np.log(seconds), 1)[0])
        draw(name, axis, values, seconds, slope)
        cost = ", ".join(f"{value}: {second:.3g}" for value, second in zip(values, seconds, strict=True))
        rows.append([axis.title, cost, f"{slope:.2f}", find_bend(values, seconds)])
    if rows:
        print_table(["what grows", "seconds", "slope", "first bend (slope there)"], rows)
    if "epochs" in given.axes:
        measure_epochs(100 if given.short else 1000)


if __name__ == "__main__":
    main()
