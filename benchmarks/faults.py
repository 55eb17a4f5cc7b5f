"""Causes each fault many times, and prints what was lost: the table of docs/faults.md.

    python -m benchmarks.faults --times 20                     # all; about an hour on two cores
    python -m benchmarks.faults --times 20 --only kill-parent

A study of two variants and two seeds is run once without disturbance. Then each fault is caused so many times, in a
fresh folder each; the same command is given again, and the final counts are compared with the undisturbed ones, byte
for byte.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from harness.randomness import make_rng

STUDY = """
study: tiny
question: Does Dice help a tiny network on tiny scenes?
base:
  data: {name: desert, size: [32, 32], train_images: 12, val_images: 6, test_images: 3}
  model: {name: unet, base_channels: 4}
  loss: {cross_entropy: {}}
  augment: {flip: {p: 0.5}}
  optimizer: {name: adam, lr: 3.0e-3}
  train: {epochs: 4, batch_size: 4}
variants:
  baseline: {}
  finetune: {from: baseline@best, like: baseline, set: {loss.dice: {weight: 1.0}}}
seeds: [0, 1]
"""
HARNESS = [sys.executable, "-c", "from harness.cli import main; main()"]
RUN = [*HARNESS, "run", "tiny.yaml", "--jobs", "2", "--json"]
PATIENCE_S = 900

Counts = dict[str, bytes]
T = TypeVar("T")


@dataclass
class Outcome:
    """What became of one fault, caused many times."""

    times: int = 0
    identical: int = 0
    """Times that the final counts were those of the undisturbed study."""
    seen: Counter[str] = field(default_factory=Counter)
    """What the user saw -> times."""


def final_counts(place: Path) -> Counts:
    """Return file -> the bytes of all its arrays, for the counts of all runs."""
    found = {}
    for path in sorted(place.glob("mlruns/runs/*/evaluation/*.npz")):
        with np.load(path, allow_pickle=False) as file:
            content = b"".join(file[name].tobytes() for name in sorted(file.files))
        found["/".join(path.parts[-3:])] = content
    return found


def start(place: Path) -> subprocess.Popen[str]:
    """Start the study in a process group of its own."""
    return subprocess.Popen(
        RUN,
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "HARNESS_CACHE": str(place / "cache")},
        start_new_session=True,
    )


def finish(place: Path) -> tuple[int, dict[str, str], str]:
    """Run the study to its end; return the exit code, the reason of each run that is not finished, and stderr."""
    process = start(place)
    out, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, reasons(out), err


def reasons(out: str) -> dict[str, str]:
    """Return run -> reason, for the runs that a command's JSON says are not finished."""
    rows = json.loads(out)["runs"] if out else []
    return {f"{row['variant']}/seed{row['seed']}": row["reason"] for row in rows if row["status"] != "finished"}


def pick(rng: np.random.Generator, items: Sequence[T]) -> T:
    """Return one of some things."""
    return items[int(rng.integers(len(items)))]


def children_of(group: int) -> list[int]:
    """Return the processes that hold a run's lock open, among those of one process group."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and os.getpgid(int(process.name)) == group:
                links = [str(fd.readlink()) for fd in (process / "fd").iterdir()]
                found += (
                    [int(process.name)] if any("/runs/" in link and link.endswith("/lock") for link in links) else []
                )
        except OSError:
            continue
    return found


def kill_parent(place: Path, rng: np.random.Generator, seconds: float) -> str:
    """SIGKILL the command at a random moment of the study."""
    process = start(place)
    time.sleep(rng.uniform(0.1, seconds))
    process.kill()
    process.communicate()
    return "the shell's 'Killed'; the same command went on"


def kill_run(place: Path, rng: np.random.Generator, seconds: float) -> str:
    """SIGKILL the process of a run at a random moment of its life."""
    process = start(place)
    found: list[int] = []
    while not found and process.poll() is None:
        time.sleep(0.02)
        found = children_of(process.pid)
    time.sleep(rng.uniform(0, seconds / 3))
    found = children_of(process.pid)
    if found:
        os.kill(pick(rng, found), signal.SIGKILL)
    out, _ = process.communicate(timeout=PATIENCE_S)
    told = [reason for reason in reasons(out).values() if "SIGKILL" in reason]
    return told[0] if told else "nothing: no run was under way"


def stop_study(place: Path, seconds: float) -> None:
    """Stop the study when a run has a state of two epochs; all its processes end."""
    process = start(place)
    began = time.monotonic()
    while time.monotonic() - began < 20 * seconds and not list(
        place.glob("mlruns/runs/*/checkpoints/state.previous.pt")
    ):
        time.sleep(0.01)
    process.kill()
    process.communicate()
    time.sleep(1)


def damage(path: Path, rng: np.random.Generator) -> None:
    """Flip a bit of a file, cut it short, or lose a block of it."""
    content = bytearray(path.read_bytes())
    place = int(rng.integers(len(content)))
    match pick(rng, ["flip", "cut", "block"]):
        case "flip":
            content[place] ^= 1 << int(rng.integers(8))
        case "cut":
            del content[place:]
        case _:
            length = len(content[place : place + 4096])
            content[place : place + length] = bytes(byte ^ 0xFF for byte in content[place : place + length])
    path.write_bytes(content)


def damage_state(place: Path, rng: np.random.Generator, seconds: float) -> str:
    """Damage the checkpoint of a run that was interrupted."""
    stop_study(place, seconds)
    states = sorted(place.glob("mlruns/runs/*/checkpoints/state.pt"))
    if not states:
        return "nothing: no run was under way"
    damage(pick(rng, states), rng)
    _, _, err = finish(place)
    told = [line for line in err.splitlines() if "was damaged" in line]
    return told[0].split(": ", 2)[-1] if told else "nothing"


def damage_parent(place: Path, rng: np.random.Generator, seconds: float) -> str:
    """Damage the weights that a later run starts from; then do what the message says."""
    subprocess.run([*RUN, "--only", "baseline"], cwd=place, capture_output=True, check=True)
    path = pick(rng, sorted(place.glob("mlruns/runs/*/checkpoints/best.pt")))
    damage(path, rng)
    _, failed, _ = finish(place)
    shutil.rmtree(path.parent.parent)
    return next(iter(failed.values()), "nothing").split(": /")[0]


def damage_counts(place: Path, rng: np.random.Generator, seconds: float) -> str:
    """Damage a file of a finished run's result; then do what the message says."""
    finish(place)
    kept = [path for path in place.glob("mlruns/runs/*/evaluation/**/*") if path.is_file()]
    damage(pick(rng, sorted([*kept, *place.glob("mlruns/runs/*/journal.jsonl")])), rng)
    code, _, err = finish(place)
    named = [line for line in err.splitlines() if line.startswith("error")]
    result = named[0].split("or remove ")[1].split(" and run")[0] if named else ""
    if result:
        Path(result).unlink()
    return f"exit code {code}: the file, 'damaged (its checksum does not match)', what to do" if named else "nothing"


def fill_disk(place: Path, rng: np.random.Generator, seconds: float) -> str:
    """Mount a disk too small for the study's runs; let it fill up; then make it larger."""
    root = place / "mlruns"
    root.mkdir()
    size = rng.integers(1_500, 4_000)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", root], check=True)
    _, failed, err = finish(place)
    subprocess.run(["mount", "-o", "remount,size=200m", root], check=True)
    lines = [*failed.values(), *(line for line in err.splitlines() if "free" in line or "disk is full" in line)]
    return "the file, the disk, its free bytes" if any(" bytes free of " in line for line in lines) else str(lines[:1])


FAULTS: dict[str, Callable[[Path, np.random.Generator, float], str]] = {
    "kill-parent": kill_parent,
    "kill-run": kill_run,
    "damage-state": damage_state,
    "damage-parent": damage_parent,
    "damage-counts": damage_counts,
    "fill-disk": fill_disk,
}


def cause(fault: str, times: int, wanted: Counts, seconds: float) -> Outcome:
    """Cause a fault so many times, each in a fresh folder, and bring each study to its end."""
    outcome = Outcome()
    for number in range(times):
        place = Path(tempfile.mkdtemp(prefix=f"{fault}-"))
        (place / "tiny.yaml").write_text(STUDY)
        try:
            outcome.seen[FAULTS[fault](place, make_rng(number, fault), seconds)] += 1
            code, failed, err = finish(place)
            same = code == 0 and final_counts(place) == wanted
            outcome.times += 1
            outcome.identical += same
            print(
                f"{fault} {number}: {'identical' if same else f'NOT identical: {code} {failed} {err}'}", file=sys.stderr
            )
        finally:
            subprocess.run(["umount", place / "mlruns"], capture_output=True, check=False)
            shutil.rmtree(place)
    return outcome


def main() -> None:
    """Parse, cause the faults, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--only", choices=FAULTS, action="append")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "tiny.yaml").write_text(STUDY)
        began = time.monotonic()
        code, failed, err = finish(place)
        seconds = time.monotonic() - began
        assert code == 0, (failed, err)
        wanted = final_counts(place)
    print(f"undisturbed: {seconds:.1f} s, {len(wanted)} files of counts", file=sys.stderr)
    print("| fault | times | counts identical in the end | what the user saw (times) |\n| :-- | --: | --: | :-- |")
    for fault in options.only or FAULTS:
        outcome = cause(fault, options.times, wanted, seconds)
        seen = "; ".join(f"{text} ({times})" for text, times in outcome.seen.most_common())
        print(f"| {fault} | {outcome.times} | {outcome.identical} | {seen} |", flush=True)


if __name__ == "__main__":
    main()
