"""The processor: its cores and its name; and what else a user may have torch compute on."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from harness.errors import InputError

_DEVICE = re.compile(r"auto|cpu(:\d+)?|cuda(:\d+)?")


def count_cores() -> int:
    """Return how many cores this process may run on; those of the machine where the system does not say."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_processor() -> str:
    """Return the name of the processor, or of its architecture where the system tells no more."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def require_device(name: str) -> None:
    """Check the name of a device.

    Raises:
        InputError: it is none that runs can be computed on.
    """
    if name.partition(":")[0] == "mps":
        raise InputError(f"--device {name}: Apple's GPUs lack the float64 that harness computes with; use --device cpu")
    if not _DEVICE.fullmatch(name):
        raise InputError(f"--device {name}: no such device; use auto, cpu, cuda or cuda:N")
