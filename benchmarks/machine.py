"""What the benchmarks share: the machine in words, medians of calls taken in turn, tables, and the peak of a memory."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

MIB = 2**20


def describe_machine(*packages: str) -> str:
    """Return processor, cores, load, and the versions of Python and of some packages, in one paragraph."""
    found = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    name = found[0].split(":")[1].strip() if found else platform.machine()
    versions = ", ".join([f"Python {platform.python_version()}", *(f"{item} {version(item)}" for item in packages)])
    cores = len(os.sched_getaffinity(0))
    return (
        f"{name}, {cores} cores, {platform.system()} {platform.release()}, load {os.getloadavg()[0]:.1f}; {versions}."
    )


def measure(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median wall time of each call (s). Calls take turns, so that what disturbs one disturbs all."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            taken[name].append(time.perf_counter() - began)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def make_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; all columns but the first are aligned to the right."""
    texts = [[str(cell) for cell in row] for row in (columns, *rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    lines = [_make_line(row, widths) for row in texts]
    ruler = [":" if place else "-" for place in range(len(widths))]
    marks = ["-" * (width - 1) + end for width, end in zip(widths, ruler, strict=True)]
    return "\n".join([lines[0], _make_line(marks, widths), *lines[1:]])


def _make_line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
    return f"| {' | '.join(padded)} |"


_PEAK = """
import sys
{setup}
def read_peak_kib():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # the peak starts anew
before = read_peak_kib()
{work}
print((read_peak_kib() - before) / 1024)
"""


def measure_peak_mib(setup: str, work: str) -> float:
    """Return how far the memory of a fresh process rises at most while it runs `work`, after `setup` (MiB; Linux)."""
    program = _PEAK.format(setup=setup, work=work)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return float(done.stdout)
