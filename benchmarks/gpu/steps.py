"""Steps that stand alone: one that fails, hangs or takes the device with it is a row, and the next one is made."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.record import Record, Row, load, save

GRACE_S = 15.0
"""What a step that was begun in time may take beyond the program's minutes."""
POLL_S = 0.2
LONGEST_LINE = 300


@dataclass(frozen=True)
class Rig:
    """What steps are made on."""

    device: torch.device
    folder: Path
    """For files of the steps, removed in the end."""

    @property
    def toy(self) -> bool:
        """Tell whether sizes are those of a minute on a CPU."""
        return self.device.type == "cpu"


@dataclass(frozen=True)
class Found:
    """What a step found."""

    says: str
    numbers: Mapping[str, Any] = field(default_factory=dict)
    right: bool = True
    """Whether it is within what was stated."""


@dataclass(frozen=True)
class Step:
    """One row of the table."""

    part: str
    name: str
    work: Callable[[Rig], Found]
    most_s: float = 60.0
    """Seconds after which it is taken to hang."""


def make_steps(steps: Sequence[Step], rig: Rig, out: Path, until: float) -> None:
    """Make the steps that the record in `out` says are not reached, and write each one's row there.

    Ends before its time where the device is lost: what is asked of it then fails, whatever it is.
    """
    record, parent = load(out), os.getppid()
    for place, step in enumerate(steps):
        if record.rows[place].status != "not reached":
            continue
        if time.monotonic() >= until or os.getppid() != parent:
            return
        record = _put(record, place, Row(step.part, step.name, "under way", began=time.monotonic()))
        save(out, record)
        record = _put(record, place, _make(step, rig))
        save(out, record)
        row = record.rows[place]
        print(f"{row.status:7} {row.seconds:5.1f} s  {row.step}: {row.says}", flush=True)
        if not _works(rig.device):
            return


def _put(record: Record, place: int, row: Row) -> Record:
    return replace(record, rows=(*record.rows[:place], row, *record.rows[place + 1 :]))


def _make(step: Step, rig: Rig) -> Row:
    began = time.monotonic()
    try:
        found = step.work(rig)
        row = Row(step.part, step.name, "ok" if found.right else "WRONG", found.says, numbers=found.numbers)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other steps are still to be made
        said = " ".join(str(error).split()) or "no message"
        says = f"{type(error).__name__}: {said[:LONGEST_LINE]}"
        row = Row(step.part, step.name, "FAILED", says, trace=traceback.format_exc())
    _tidy(rig.device)
    return replace(row, seconds=time.monotonic() - began, began=began)


def _tidy(device: torch.device) -> None:
    """Leave no memory and no compiled program to the next step."""
    gc.collect()
    if "torch._dynamo" in sys.modules:
        torch.compiler.reset()
    if device.type == "cuda" and _works(device):
        torch.cuda.set_per_process_memory_fraction(1.0, device)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def _works(device: torch.device) -> bool:
    """Tell whether the device still answers: after some errors it never does again in this process."""
    if device.type == "cpu":
        return True
    try:
        return bool(torch.ones(8, device=device).sum().item() == 8)
    except RuntimeError:
        return False


def supervise(command: Sequence[str], steps: Sequence[Step], out: Path, until: float) -> Record:
    """Have a process make the steps, and another one go on wherever it ends early; return what is then in the record.

    A step that takes longer than it may is ended with its process.
    """
    with _ending_on_sigterm():
        while True:
            process = subprocess.Popen([sys.executable, *command], start_new_session=True)
            try:
                reason = _watch(process, steps, out, until)
            finally:
                _end(process)
            record = load(out)
            here = [place for place, row in enumerate(record.rows) if row.status == "under way"]
            for place in here:
                row = record.rows[place]
                spent = time.monotonic() - row.began
                record = _put(record, place, replace(row, status="FAILED", says=reason, seconds=spent))
            save(out, record)
            left = sum(row.status == "not reached" for row in record.rows)
            if process.returncode and not here:
                raise SystemExit(f"the process that makes the steps ended with exit code {process.returncode}")
            if not left or time.monotonic() >= until:
                return record


def _watch(process: subprocess.Popen[bytes], steps: Sequence[Step], out: Path, until: float) -> str:
    """Wait for a process; return why the step under way, if any, has no result."""
    while process.poll() is None:
        time.sleep(POLL_S)
        for step, row in zip(steps, load(out).rows, strict=True):
            if row.status != "under way":
                continue
            now = time.monotonic()
            if now - row.began > step.most_s:
                return f"ended after {step.most_s:.0f} s without a result"
            if now > until + GRACE_S:
                return "ended without a result when the program's minutes were over"
    return f"its process ended with exit code {process.returncode}"


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)  # with the processes that the step has started
    process.wait()


@contextmanager
def _ending_on_sigterm() -> Iterator[None]:
    """Let a polite end of this process end those that it started too."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
