"""What checking the image cache costs: `python -m benchmarks.checksum_cost --before FOLDER [--rounds 5]`.

Bytes/s of the checksums of the standard library, on arrays of the size of one picture. What checking an epoch's images
takes, which a process does once, as a share of that epoch. Then a run's start (building all that it needs, from a cache
that is there) and its epochs, the first of which checks each image, with the code here and with that in FOLDER, such as
a checkout of an older version; each in a process of its own, in turn. Processor time, which other programs on the
machine disturb little; medians of the ratios of neighbouring processes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.setting import describe, print_table

HERE = Path(__file__).parents[1]
SPEC = """
study: cost
question: What do checksums cost?
base:
  data: {{name: desert, size: [96, 96], train_images: {images}, val_images: {images}, test_images: 1}}
  model: {{name: unet, base_channels: 8}}
  loss: {{cross_entropy: {{}}}}
  optimizer: {{name: adam, lr: 1.0e-3}}
  train: {{epochs: 2, batch_size: 8}}
variants:
  baseline: {{}}
seeds: [0]
"""
PROGRAM = """
import json, time
from harness import api
from harness.records import Machine
from harness.train.loop import train
from harness.train.setup import build_setup, prepare_process
config = api.make_plan(api.load_spec("cost.yaml")).runs[0].config
prepare_process(config)
marks = [time.process_time()]
setup = build_setup(config, Machine("cpu"), start=None)
marks.append(time.process_time())
for progress in train(setup):
    marks.append(time.process_time())
print(json.dumps([later - sooner for sooner, later in zip(marks, marks[1:])]))
"""
CHECK = """
checked = time.process_time()
for name in ("train", setup.data.selects_on):
    split = setup.data.splits[name]
    assert all(column.is_whole(index) for index in range(len(split)) for column in split._pairs._columns.values())
print(json.dumps([time.process_time() - checked, marks[-1] - marks[-2]]))
"""
SUMS: Mapping[str, Callable[[bytes], object]] = {
    "zlib.crc32": zlib.crc32,
    "zlib.adler32": zlib.adler32,
    "hashlib.sha256": lambda data: hashlib.sha256(data).digest(),
    "hashlib.blake2b": lambda data: hashlib.blake2b(data).digest(),
    "hashlib.md5": lambda data: hashlib.md5(data).digest(),
}
PHASES = ("start of a run", "epoch 1 (checks each image)", "epoch 2")


def measure_sums(size: int, repeats: int) -> list[list[str]]:
    """Return a line for each checksum: what it makes of so many bytes."""
    data, rows = os.urandom(size), []
    for name, work in SUMS.items():
        spent = []
        for _ in range(repeats):
            began = time.process_time()
            for _ in range(100):
                work(data)
            spent.append((time.process_time() - began) / 100)
        seconds = statistics.median(spent)
        rows.append([name, f"{size / seconds / 2**30:.2f} GiB/s", f"{seconds * 1e6:.1f} us"])
    return rows


def run_once(code: Path, place: Path, name: str, program: str = PROGRAM) -> list[float]:
    """Return the last line of what a program prints with the code in a folder: processor seconds."""
    environment = {**os.environ, "PYTHONPATH": str(code), "HARNESS_CACHE": str(place / name), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=place, env=environment, stdout=subprocess.PIPE, check=True)
    spent: list[float] = json.loads(done.stdout.splitlines()[-1])
    return spent


def measure_share(images: int) -> list[list[str]]:
    """Return a line: what checking each image of an epoch takes, once in a process, and that epoch without it."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "cost.yaml").write_text(SPEC.format(images=images))
        check, epoch = run_once(HERE, place, "after", PROGRAM + CHECK)
    return [[str(images), f"{check * 1e3:.2f} ms", f"{epoch:.2f} s", f"{100 * check / epoch:.3f} %"]]


def compare(before: Path, images: int, rounds: int) -> list[list[str]]:
    """Return a line for each phase: seconds before and after, and their ratio."""
    sides = {"before": before, "after": HERE}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "cost.yaml").write_text(SPEC.format(images=images))
        pairs: list[dict[str, list[float]]] = []
        for number in range(rounds + 1):
            order: Sequence[str] = list(sides) if number % 2 else list(sides)[::-1]
            spent = {name: run_once(sides[name], place, name) for name in order}
            pairs += [spent] if number else []  # the first round draws the scenes
    rows = []
    for phase, title in enumerate(PHASES):
        first, second = ([pair[name][phase] for pair in pairs] for name in sides)
        ratios = sorted(b / a for a, b in zip(first, second, strict=True))
        ratio = f"{statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})"
        rows.append([title, f"{statistics.median(first):.3f} s", f"{statistics.median(second):.3f} s", ratio])
    return rows


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, metavar="FOLDER", help="code to compare with")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=100)
    options = parser.parse_args()
    print(describe("cpu", ["numpy"]))
    print_table(["checksum", "of 96x96x3 bytes", "each"], measure_sums(96 * 96 * 3, options.rounds))
    head = ["images", "checking them", "an epoch of training and judging them", "share"]
    print_table(head, measure_share(options.images))
    if options.before is not None:
        rows = compare(options.before.resolve(), options.images, options.rounds)
        print_table(["phase", "before", "after", "after / before"], rows)


if __name__ == "__main__":
    main()
