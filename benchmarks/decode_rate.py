"""Images/s of a first and of a later epoch against a plain data set: `python -m benchmarks.decode_rate [--pairs 200]`.

The tree: PNG pairs of 2048x1024 of about 3 MB, scenes of `desert` drawn at half that size, enlarged, each with noise of
its own. Both sides read every pair in order, in one process, and end in a float picture [3, 256, 512] from 0 to 1 and
an integer label [256, 512]; the plain one opens, resizes and converts with Pillow and torchvision in every epoch. Each
round starts with an empty cache; files are in the system's memory for both sides. The median round counts.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import PIL.Image
import torch
import torchvision
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from harness.data.cache import clear_caches, list_caches
from harness.data.desert import TAXONOMY, make_split
from harness.data.folder import make_taxonomy
from harness.data.label_sets import shipped_taxonomy
from harness.data.listing import list_pairs
from harness.data.pairs import make_source
from harness.data.prepared import PreparedSplit
from harness.data.source import Source
from harness.train.batches import read_sample

FULL, INPUT = (1024, 2048), (256, 512)
SCENES, NOISE = 4, 0.8
Pair = tuple[torch.Tensor, torch.Tensor]


def write_tree(root: Path, pairs: int) -> None:
    """Write `pairs` pictures and masks below `root`."""
    scenes = make_split("train", SCENES, (FULL[0] // 2, FULL[1] // 2))
    images = [_enlarged(scenes.read_image(k), PIL.Image.Resampling.BICUBIC) for k in range(SCENES)]
    labels = [_enlarged(scenes.read_label(k), PIL.Image.Resampling.NEAREST) for k in range(SCENES)]
    for name in ("images", "masks"):
        (root / name).mkdir()

    def write(index: int) -> None:
        rng = np.random.default_rng(index)
        noise = rng.standard_normal(images[0].shape, np.float32) * NOISE
        noisy = np.clip(np.rint(images[index % SCENES] + noise), 0, 255).astype(np.uint8)
        PIL.Image.fromarray(noisy).save(root / "images" / f"{index:04}.png", compress_level=1)
        PIL.Image.fromarray(labels[index % SCENES]).save(root / "masks" / f"{index:04}.png")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, range(pairs)))


def _enlarged(array: np.ndarray, how: PIL.Image.Resampling) -> np.ndarray:
    return np.array(PIL.Image.fromarray(array).resize((FULL[1], FULL[0]), how))


def plain_epoch(root: Path) -> Iterator[Pair]:
    """Yield every pair as a plain data set reads it."""
    for path in sorted((root / "images").iterdir()):
        with PIL.Image.open(path) as picture, PIL.Image.open(root / "masks" / path.name) as mask:
            image = tv.resize(picture.convert("RGB"), list(INPUT), InterpolationMode.BILINEAR)
            label = tv.resize(mask, list(INPUT), InterpolationMode.NEAREST)
        yield tv.to_dtype(tv.pil_to_tensor(image), torch.float32, scale=True), tv.pil_to_tensor(label)[0].long()


def harness_epoch(split: PreparedSplit) -> Iterator[Pair]:
    """Yield every pair as training reads it, brought to the same form."""
    for index in range(len(split)):
        sample = read_sample(split, index)
        yield tv.to_dtype(sample.image_CHW, torch.float32, scale=True), sample.label_HW.long()


def measure(make_epoch: Callable[[], Iterator[Pair]], pairs: int) -> float:
    """Return images/s of one epoch."""
    began = time.perf_counter()
    for _ in make_epoch():
        pass
    return pairs / (time.perf_counter() - began)


def open_split(source: Source) -> PreparedSplit:
    """Return the tree as a run opens it."""
    return PreparedSplit(source.splits["train"], source.taxonomy, INPUT, "input")


def measure_round(root: Path, source: Source, pairs: int) -> dict[str, float]:
    """Return the rates of one round, which begins with no cache."""
    clear_caches()
    split = open_split(source)
    return {
        "harness, epoch 1 (builds the cache)": measure(lambda: harness_epoch(split), pairs),
        "harness, epoch 2": measure(lambda: harness_epoch(split), pairs),
        "harness, epoch 1 of a later run": measure(lambda: harness_epoch(open_split(source)), pairs),
        "plain PIL + torchvision, any epoch": measure(lambda: plain_epoch(root), pairs),
    }


def check_same_pixels(root: Path, source: Source) -> None:
    """End the program where the two sides read different pixels: their rates could not be compared."""
    for ours, theirs in zip(harness_epoch(open_split(source)), plain_epoch(root), strict=True):
        if not all(map(torch.equal, ours, theirs)):
            raise SystemExit("the two sides read different pixels")


def report(rounds: list[dict[str, float]]) -> None:
    """Print the median of each rate, and of epoch 2 against the plain data set."""
    for name in rounds[0]:
        rates = [measured[name] for measured in rounds]
        print(f"{name:36} {statistics.median(rates):8.1f} images/s ({min(rates):.1f} to {max(rates):.1f})")
    ratios = [rates["harness, epoch 2"] / rates["plain PIL + torchvision, any epoch"] for rates in rounds]
    print(f"epoch 2 against plain: {statistics.median(ratios):.0f} times ({min(ratios):.0f} to {max(ratios):.0f})")
    print(f"medians of {len(rounds)} rounds; load of the machine: {os.getloadavg()[0]:.1f}")


def main() -> None:
    """Print machine, versions, the tree, and the rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}")
    print(
        f"Python {platform.python_version()}, Pillow {PIL.__version__}, numpy {np.__version__}, "
        f"torch {torch.__version__}, torchvision {torchvision.__version__}"
    )
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        os.environ["HARNESS_CACHE"] = str(root / "cache")
        write_tree(root, options.pairs)
        size = statistics.mean(path.stat().st_size for path in (root / "images").iterdir())
        print(f"{options.pairs} PNG pairs {FULL[1]}x{FULL[0]}, {size / 1e6:.2f} MB a picture; read at {INPUT}")
        began = time.perf_counter()
        pairs = list_pairs(root, root / "images", root / "masks").pairs
        taxonomy = make_taxonomy(list(shipped_taxonomy(TAXONOMY).classes))
        source = make_source(root, taxonomy, {"train": pairs})
        print(f"opening the tree (digest of its content), once: {time.perf_counter() - began:.1f} s")
        rounds = [measure_round(root, source, options.pairs) for _ in range(options.rounds)]
        check_same_pixels(root, source)
        print(f"same pixels on both sides; the cache takes {list_caches()[0].bytes / 1e6:.0f} MB")
    report(rounds)


if __name__ == "__main__":
    main()
