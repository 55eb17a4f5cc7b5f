"""The processor: its cores and its name."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def count_cores() -> int:
    """Return how many cores this process may run on; those of the machine where the system does not say."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_processor() -> str:
    """Return the name of the processor, or of its architecture where the system tells no more."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
