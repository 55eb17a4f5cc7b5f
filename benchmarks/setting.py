"""What the benchmarks share: how they say what they ran on, how they print a table, how they start the program."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version

import torch

from harness.environment import read_processor


def describe(device: str, packages: Iterable[str]) -> str:
    """Return machine, device and versions, in lines."""
    names = ["torch", *packages]
    lines = [f"{read_processor()}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}"]
    if device.startswith("cuda"):
        lines.append(torch.cuda.get_device_name(device))
    lines.append(f"Python {platform.python_version()}, " + ", ".join(f"{name} {_version(name)}" for name in names))
    return "\n".join(lines)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "(not installed)"


def harness_command(*arguments: str) -> list[str]:
    """Return the program's command line, for this Python and the code that it would import."""
    return [sys.executable, "-c", "from harness.cli.app import main; main()", *arguments]


def wait_for(device: torch.device) -> None:
    """Wait until a GPU has done what it was given; a CPU has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a Markdown table whose columns also stand straight in a terminal."""
    rows = [list(row) for row in rows]
    widths = [max(len(row[place]) for row in [head, *rows]) for place in range(len(head))]
    for row in (list(head), ["-" * width for width in widths], *rows):
        print("| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |")
