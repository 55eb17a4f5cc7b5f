"""Counting and labelling at 2048x1024: rates against other libraries, and the memory that it takes.

    python -m benchmarks.evaluation_speed [--rounds 5]

One image with 19 and with 34 classes, 5 % of its pixels ignored, in one process with one thread; every side gets the
same arrays and must count the same. Sides in turn; medians, and medians of the rounds' own ratios. Then, for each way
that logits of 34 classes come to labels of that size, seconds and the most memory beyond what was there before (read
from the system each millisecond, in a process of its own).
"""

from __future__ import annotations

import argparse
import ctypes
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from benchmarks.setting import describe, print_table
from harness.data.source import IGNORE
from harness.train.chunked_argmax import label_pixels
from harness.train.regions import count_confusion

SIZE = (1024, 2048)
IGNORED = 0.05
WAYS: dict[str, tuple[int, int, str]] = {
    "from 256x512": (256, 512, "strips"),
    "from 512x1024": (512, 1024, "strips"),
    "from 384x768": (384, 768, "strips"),
    "from 360x720 (rows cannot be cut)": (360, 720, "strips"),
    "from 256x512, interpolated whole": (256, 512, "whole"),
}

Label = npt.NDArray[np.uint8]
Counter = Callable[[Label, Label], npt.NDArray[np.int64]]


def make_counters(num_classes: int) -> dict[str, Counter]:
    """Return each library's confusion matrix [C, C], rows true, ignored pixels left out."""
    import segmentation_models_pytorch as smp
    from sklearn.metrics import confusion_matrix
    from torchmetrics.functional.classification import multiclass_confusion_matrix

    def ours(predicted: Label, label: Label) -> npt.NDArray[np.int64]:
        return count_confusion(predicted, label, num_classes)

    def metrics(predicted: Label, label: Label) -> npt.NDArray[np.int64]:
        said, truth = (torch.from_numpy(array).long() for array in (predicted, label))
        counted: npt.NDArray[np.int64] = multiclass_confusion_matrix(
            said, truth, num_classes, ignore_index=IGNORE
        ).numpy()
        return counted

    def sklearn(predicted: Label, label: Label) -> npt.NDArray[np.int64]:
        seen = label != IGNORE
        counted: npt.NDArray[np.int64] = confusion_matrix(label[seen], predicted[seen], labels=range(num_classes))
        return counted

    def stats(predicted: Label, label: Label) -> npt.NDArray[np.int64]:
        given = (torch.from_numpy(array).long()[None] for array in (predicted, label))
        hit, _, missed, _ = smp.metrics.get_stats(
            *given, mode="multiclass", num_classes=num_classes, ignore_index=IGNORE
        )
        return np.stack([hit[0].numpy(), missed[0].numpy()])

    return {"harness": ours, "torchmetrics": metrics, "scikit-learn": sklearn, "smp get_stats": stats}


def draw(num_classes: int) -> tuple[Label, Label]:
    """Return a prediction and a label that agree in most pixels, in patches as scenes have them."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(num_classes, size=(SIZE[0] // 32, SIZE[1] // 32), dtype=np.uint8)
    label: Label = np.kron(coarse, np.ones((32, 32), np.uint8))
    predicted = np.where(rng.random(SIZE) < 0.8, label, rng.integers(num_classes, size=SIZE, dtype=np.uint8))
    label[rng.random(SIZE) < IGNORED] = IGNORE
    return predicted, label


def check(counted: npt.NDArray[np.int64], ours: npt.NDArray[np.int64], name: str) -> None:
    """End the program where a side counts something else. smp tells hits and misses of each class only."""
    wanted = ours if counted.shape == ours.shape else np.stack([ours.diagonal(), ours.sum(1) - ours.diagonal()])
    if not np.array_equal(counted, wanted):
        raise SystemExit(f"{name} counts something else: the rates cannot be compared")


def measure_counting(num_classes: int, rounds: int) -> list[list[str]]:
    """Return a line for each side."""
    predicted, label = draw(num_classes)
    counters = make_counters(num_classes)
    ours = counters["harness"](predicted, label)
    spent: dict[str, list[float]] = {name: [] for name in counters}
    for place in range(rounds + 1):
        for name, counter in counters.items():
            began = time.perf_counter()
            counted = counter(predicted, label)
            if place:
                spent[name].append(time.perf_counter() - began)
            else:
                check(counted, ours, name)
    rows = []
    for name, times in spent.items():
        ratio = statistics.median(a / b for a, b in zip(times, spent["harness"], strict=True))
        rate = label.size / statistics.median(times) / 1e6
        rows.append([str(num_classes), name, f"{1000 * statistics.median(times):.1f}", f"{rate:.0f}", f"{ratio:.1f}"])
    return rows


def used_bytes() -> int:
    """Return this process's memory without what is mapped from files, which the system takes and gives."""
    text = Path("/proc/self/status").read_text()
    return 1024 * int(next(line for line in text.splitlines() if line.startswith("RssAnon")).split()[1])


@contextmanager
def watching() -> Iterator[list[int]]:
    """Give a list that holds, after the block, the memory used when it began and in every millisecond since.

    Memory that was freed before goes back to the system first: taken again, it would not be seen.
    """
    ctypes.CDLL(None).malloc_trim(0)
    used, done = [used_bytes()], threading.Event()

    def watch() -> None:
        while not done.wait(0.001):
            used.append(used_bytes())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield used
    finally:
        done.set()
        thread.join()


def label_and_count(way: str, num_classes: int) -> tuple[float, float]:
    """Return seconds and peak MiB beyond logits and label, of one image from logits to counts."""
    height, width, how = WAYS[way]
    torch.set_num_threads(1)
    logits_CHW = torch.randn((num_classes, height, width), generator=torch.Generator().manual_seed(0))
    _, label = draw(num_classes)
    count_confusion(label_pixels(logits_CHW[:, :8, :8], (16, 16)).numpy(), label[:16, :16], num_classes)
    began = time.perf_counter()
    with watching() as used:
        if how == "strips":
            predicted = label_pixels(logits_CHW, SIZE)
        else:
            predicted = functional.interpolate(logits_CHW[None], size=SIZE, mode="bilinear")[0].argmax(0).byte()
        count_confusion(predicted.numpy(), label, num_classes)
    return time.perf_counter() - began, (max(used) - used[0]) / 2**20


def main() -> None:
    """Measure, and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--way", choices=WAYS, help="measure the memory of one way in this process")
    given = parser.parse_args()
    if given.way:
        seconds, mebibytes = label_and_count(given.way, 34)
        print(f"{seconds:.3f} {mebibytes:.1f}")
        return
    torch.set_num_threads(1)
    print(describe("cpu", ["numpy", "torchmetrics", "scikit-learn", "segmentation_models_pytorch"]))
    rows = [row for num_classes in (19, 34) for row in measure_counting(num_classes, given.rounds)]
    print(f"\ncounting {SIZE[1]}x{SIZE[0]} pixels, {given.rounds} rounds")
    print_table(["classes", "side", "ms", "million pixels/s", "times the harness's time"], rows)
    rows = []
    for way in WAYS:
        command = [sys.executable, "-m", "benchmarks.evaluation_speed", "--way", way]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        rows.append([way, f"{float(out[0]):.2f}", f"{float(out[1]):.0f}"])
    print(f"\nlogits of 34 classes -> labels {SIZE[1]}x{SIZE[0]} -> counts")
    print_table(["logits", "s", "peak memory beyond them, MiB"], rows)


if __name__ == "__main__":
    main()
