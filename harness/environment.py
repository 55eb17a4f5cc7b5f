"""What a process has of its machine that numbers or their cost depend on: variables, cores, the processor's name.

Environment variables choose kernels, precision or the number of threads below torch and numpy, where no setting of a
run reaches. `environment.json` lists them. Sources: the documentation of each library, and the names that torch 2.14,
cuDNN 9, MKL and OpenBLAS have in their binaries. Those that choose only speed, memory or logging are not there, nor is
OMP_NUM_THREADS: a run sets its threads.
"""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from harness.errors import InputError

_LIBRARIES: dict[str, list[str]] = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
"""What the variables steer, in words -> their names."""
NUMERIC = tuple(name for names in _LIBRARIES.values() for name in names)
OWN = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
"""What harness sets itself where the user has set nothing: `harness.train.setup`."""
CPU_TUNABLES = "glibc.cpu."
"""Those of GLIBC_TUNABLES that choose the C library's mathematical functions."""
UNSET = "not set"


def read_environment() -> dict[str, str]:
    """Return the variables of this process that change numbers, by name, as the user has set them."""
    found = {name: os.environ[name] for name in NUMERIC if os.environ.get(name) not in (None, OWN.get(name))}
    tunables = [item for item in os.environ.get("GLIBC_TUNABLES", "").split(":") if item.startswith(CPU_TUNABLES)]
    return {**found, **({"GLIBC_TUNABLES": ":".join(tunables)} if tunables else {})}


def differing(one: Mapping[str, str], other: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return variable -> (value in one, value in the other), of those that differ."""
    pairs = {name: (one.get(name, UNSET), other.get(name, UNSET)) for name in sorted({*one, *other})}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


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


def read_version(package: str) -> str | None:
    """Return the version of an installed package; None where it is not installed."""
    with suppress(PackageNotFoundError):
        return version(package)
    return None


def require_device(name: str) -> None:
    """Check the name of a device.

    Raises:
        InputError: it is none that runs can be computed on.
    """
    if name.partition(":")[0] == "mps":
        raise InputError(f"--device {name}: Apple's GPUs lack the float64 that harness computes with; use --device cpu")
    if not re.fullmatch(r"auto|cpu(:\d+)?|cuda(:\d+)?", name):
        raise InputError(f"--device {name}: no such device; use auto, cpu, cuda or cuda:N")
