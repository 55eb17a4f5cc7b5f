"""One picture through a run's model: PyTorch against onnxruntime, in float32 and in 8-bit integers, on this CPU.

    python -m benchmarks.export_latency camvid/pretrained@best --root mlruns

Medians of `--rounds` rounds; in each round every engine sees the same picture, in turn, so that a busy machine slows
all alike. What is timed: uint8 picture at the run's size in, logits out, with the run's number of threads.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness import api
from harness.apply.choose import choose
from harness.apply.export.export import in_float32, make_checked
from harness.apply.export.formats import quantize, wrap_onnx
from harness.apply.export.parity import find_pictures
from harness.apply.model import load_model
from harness.data.images import resize_image

Pixels = npt.NDArray[np.uint8]
Engine = Callable[[Pixels], object]
WARM_UP = 3


def measure(engines: Mapping[str, Engine], pictures: list[Pixels], rounds: int) -> dict[str, list[float]]:
    """Return each engine's times of one picture (ms)."""
    spent: dict[str, list[float]] = {name: [] for name in engines}
    for place in range(-WARM_UP, rounds):
        picture_1HWC = pictures[place % len(pictures)][None]
        for name, engine in engines.items():
            began = time.perf_counter()
            engine(picture_1HWC)
            if place >= 0:
                spent[name].append(1000 * (time.perf_counter() - began))
    return spent


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="as for harness export")
    parser.add_argument("--root", type=Path, default=Path("mlruns"))
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--images", type=Path, help="folder of pictures; by default the run's val split")
    given = parser.parse_args()
    chosen = choose(given.run, api.open_store(given.root))
    model, threads = load_model(in_float32(chosen), device="cpu"), chosen.config.train.threads
    found = find_pictures(chosen, given.images)
    checked = make_checked(model, "onnx", found, print)
    int8 = wrap_onnx(quantize(checked.artifact.pack({})), threads)
    images = [found.read(place) for place in range(len(found.names))]
    pictures = [resize_image(image, model.size or image.shape[:2]) for image in images]
    engines: dict[str, Engine] = {
        "PyTorch float32": lambda picture: model(list(picture)),
        "onnxruntime float32": checked.artifact.run,
        "onnxruntime 8-bit (dynamic)": int8.run,
    }
    spent = measure(engines, pictures, given.rounds)
    print(
        f"{chosen.label}, {chosen.config.model.name}, {pictures[0].shape[0]}x{pictures[0].shape[1]}, {threads} threads"
    )
    print(f"parity: {checked.parity.describe()}")
    for name, times in spent.items():
        low, high = np.quantile(times, [0.25, 0.75])
        print(f"{name:<28} median {statistics.median(times):7.1f} ms (quartiles {low:.1f} to {high:.1f})")


if __name__ == "__main__":
    main()
