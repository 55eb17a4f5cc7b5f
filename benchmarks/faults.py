"""Causes each fault many times, and prints what was lost: the table of docs/faults.md.

    python -m benchmarks.faults --times 20
    python -m benchmarks.faults --times 20 --only kill-parent

A study of two variants and two seeds is run once without disturbance. Then each fault is caused so many times, in a
fresh folder each; the study is run again, and the final counts are compared with the undisturbed ones, byte for byte.
Faults of the whole program go through the command line; faults of runs through the same processes, without MLflow.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from benchmarks.setting import harness_command
from harness.api import load_spec, make_plan
from harness.errors import InputError
from harness.execute.events import Advanced, Ended, Event, Warned
from harness.execute.local import Local
from harness.randomness import make_rng
from harness.records import Machine, Run
from harness.runs.folder import load_result, run_folder

STUDY = """
study: tiny
question: Does Dice help a tiny network on tiny scenes?
base:
  data: {name: desert, size: [32, 32], train_images: 12, val_images: 6, test_images: 3}
  model: {name: unet, base_channels: 4}
  loss: {cross_entropy: {}}
  augment: {flip: {p: 0.5}}
  optimizer: {name: adam, lr: 3.0e-3}
  train: {epochs: 3, batch_size: 4}
variants:
  baseline: {}
  finetune: {from: baseline@best, like: baseline, set: {loss.dice: {weight: 1.0}}}
seeds: [0, 1]
"""
COMMAND = harness_command("run", "tiny.yaml", "--jobs", "2", "--json")
PATIENCE_S = 1800

Counts = dict[str, bytes]
T = TypeVar("T")


@dataclass(frozen=True)
class Case:
    """One time that a fault is caused."""

    place: Path
    """An empty folder with the study in it."""
    rng: np.random.Generator
    seconds: float
    """What the undisturbed study takes."""


@dataclass
class Outcome:
    """What became of a fault, caused many times."""

    times: int = 0
    identical: int = 0
    """Times that the final counts were those of the undisturbed study."""
    seen: Counter[str] = field(default_factory=Counter)
    """What the user saw -> times."""


def final_counts(place: Path) -> Counts:
    """Return file -> the bytes of all its arrays, for the counts of all runs."""
    found = {}
    for path in sorted(place.glob("mlruns/runs/*/evaluation/**/*.npz")):
        with np.load(path, allow_pickle=False) as file:
            found["/".join(path.parts[-3:])] = b"".join(file[name].tobytes() for name in sorted(file.files))
    return found


def start_command(place: Path) -> subprocess.Popen[str]:
    """Start `harness run` as its user does."""
    environment = {**os.environ, "HARNESS_CACHE": str(place / "cache")}
    pipe = subprocess.PIPE
    return subprocess.Popen(COMMAND, cwd=place, stdout=pipe, stderr=pipe, text=True, env=environment)


def run_command(place: Path) -> str:
    """Run `harness run` to its end; return what it told about runs that did not finish."""
    out, err = start_command(place).communicate(timeout=PATIENCE_S)
    rows = json.loads(out)["runs"] if out else []
    return "\n".join([*(row["reason"] for row in rows if row["status"] != "finished"), *err.splitlines()])


def runs_of(place: Path) -> tuple[Run, ...]:
    """Return the study's runs."""
    return make_plan(load_spec(place / "tiny.yaml")).runs


def events(place: Path, runs: Sequence[Run]) -> Iterator[Event]:
    """Execute runs in processes of their own, and yield what happens."""
    folders = {run.id: run_folder(place / "mlruns", run.id) for run in runs_of(place)}
    return Local(Machine(), jobs=2)(runs, folders)


def run_here(place: Path, runs: Sequence[Run] | None = None) -> str:
    """Execute runs (all of the study, unless some are given) to their ends; return what is told about faults."""
    told = []
    for event in events(place, runs or runs_of(place)):
        if isinstance(event, Warned):
            told.append(event.text)
        elif isinstance(event, Ended) and event.result.status != "finished":
            told.append(event.result.reason)
    return "\n".join(told)


def pick(rng: np.random.Generator, items: Sequence[T]) -> T:
    """Return one of some things."""
    return items[int(rng.integers(len(items)))]


def damage(path: Path, rng: np.random.Generator) -> None:
    """Flip a bit of a file, cut it short, or turn over all bits of a block."""
    content = bytearray(path.read_bytes())
    place = int(rng.integers(len(content)))
    match pick(rng, ["flip", "cut", "block"]):
        case "flip":
            content[place] ^= 1 << int(rng.integers(8))
        case "cut":
            del content[place:]
        case _:
            content[place : place + 4096] = bytes(byte ^ 0xFF for byte in content[place : place + 4096])
    path.write_bytes(content)


def kill_parent(case: Case) -> str:
    """SIGKILL the command at a random moment of the study; give it again."""
    process = start_command(case.place)
    time.sleep(case.rng.uniform(0.1, case.seconds))
    process.kill()
    process.communicate()
    run_command(case.place)
    return "the shell's Killed"


def kill_run(case: Case) -> str:
    """SIGKILL the process of a run at a random moment of the study."""

    def kill() -> None:
        active = multiprocessing.active_children()
        if active:
            os.kill(pick(case.rng, active).pid or 0, signal.SIGKILL)

    timer = threading.Timer(case.rng.uniform(0, case.seconds), kill)
    timer.start()
    told = run_here(case.place)
    timer.join()
    return told.splitlines()[0].split(";")[0] if told else "nothing: between two runs"


def damage_state(case: Case) -> str:
    """Interrupt the study after a second epoch; damage the newest checkpoint of a run."""
    for event in (under_way := events(case.place, runs_of(case.place))):
        if isinstance(event, Advanced) and event.progress.epoch == 2:
            under_way.close()  # type: ignore[attr-defined]
            break
    damage(pick(case.rng, sorted(case.place.glob("mlruns/runs/*/checkpoints/state.pt"))), case.rng)
    told = run_here(case.place)
    return told.split(": ", 1)[-1].splitlines()[0]


def damage_weights(case: Case) -> str:
    """Damage the weights of a finished run that another starts from; do what the message says."""
    run_here(case.place, [run for run in runs_of(case.place) if run.start is None])
    path = pick(case.rng, sorted(case.place.glob("mlruns/runs/*/checkpoints/best.pt")))
    damage(path, case.rng)
    told = run_here(case.place)
    shutil.rmtree(path.parent.parent)
    return told.split(": /")[0]


def damage_result(case: Case) -> str:
    """Damage a file of a finished run's result; do what the message says."""
    run_here(case.place)
    kept = [*case.place.glob("mlruns/runs/*/evaluation/**/*.*"), *case.place.glob("mlruns/runs/*/*.json*")]
    path = pick(case.rng, sorted(path for path in kept if path.is_file()))
    damage(path, case.rng)
    folder = run_folder(case.place / "mlruns", path.relative_to(case.place / "mlruns/runs").parts[0])
    try:
        load_result(folder)
    except InputError as error:
        folder.result.unlink()
        return str(error).split("; ")[0].partition(": ")[2].split(" (")[0]
    return "nothing"


def fill_disk(case: Case) -> str:
    """Run the study on a disk that is too small for it; make the disk larger, and give the command again."""
    root = case.place / "mlruns"
    root.mkdir()
    size = int(case.rng.integers(1_500, 4_000))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", root], check=True)
    told = run_command(case.place)
    subprocess.run(["mount", "-o", "remount,size=200m", root], check=True)
    run_command(case.place)
    named = [line for line in told.splitlines() if "cannot be written: No space left on device; the disk " in line]
    return "file, disk and its free bytes" if named else told.splitlines()[-1]


FAULTS: dict[str, Callable[[Case], str]] = {
    "kill-parent": kill_parent,
    "kill-run": kill_run,
    "damage-state": damage_state,
    "damage-weights": damage_weights,
    "damage-result": damage_result,
    "fill-disk": fill_disk,
}


def cause(fault: str, times: int, wanted: Counts, seconds: float) -> Outcome:
    """Cause a fault so many times, each in a fresh folder, and bring each study to its end."""
    outcome = Outcome()
    for number in range(times):
        place = Path(tempfile.mkdtemp(prefix=f"{fault}-"))
        (place / "tiny.yaml").write_text(STUDY)
        try:
            outcome.seen[FAULTS[fault](Case(place, make_rng(number, fault), seconds))] += 1
            told = run_here(place)
            same = not told and final_counts(place) == wanted
            outcome.times += 1
            outcome.identical += same
            print(f"{fault} {number}: {'identical' if same else f'NOT identical: {told}'}", file=sys.stderr)
        finally:
            subprocess.run(["umount", place / "mlruns"], capture_output=True, check=False)
            shutil.rmtree(place)
    return outcome


def time_study(place: Path, study: Callable[[Path], str]) -> float:
    """Return the seconds that the undisturbed study takes, its images prepared."""
    study(place)
    shutil.rmtree(place / "mlruns")
    began = time.monotonic()
    study(place)
    return time.monotonic() - began


def main() -> None:
    """Parse, cause the faults, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--only", choices=FAULTS, action="append")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "tiny.yaml").write_text(STUDY)
        studies = {"here": run_here} | ({"command": run_command} if "kill-parent" in (options.only or FAULTS) else {})
        seconds = {name: time_study(place, study) for name, study in studies.items()}
        wanted = final_counts(place)
    print(f"undisturbed: {seconds}, {len(wanted)} files of counts", file=sys.stderr)
    print("| fault | times | counts identical in the end | what the user saw (times) |\n| :-- | --: | --: | :-- |")
    for fault in options.only or FAULTS:
        spread = seconds["command" if fault == "kill-parent" else "here"]
        outcome = cause(fault, options.times, wanted, spread)
        seen = "; ".join(f"{text} ({times})" for text, times in outcome.seen.most_common())
        print(f"| {fault} | {outcome.times} | {outcome.identical} | {seen} |", flush=True)


if __name__ == "__main__":
    main()
