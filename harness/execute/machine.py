"""What this machine lends to runs: cores, memory and GPUs, as a container's limits leave them. Imports no torch.

Whether another run fits into memory is told by what runs of its kind have used, or by a guess on the safe side.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from math import ceil, prod
from pathlib import Path
from typing import Literal, NamedTuple

from harness.environment import count_cores
from harness.execute.device_slots import Capacity
from harness.fingerprint import canonical
from harness.records import Run, RunConfig

GPU_DEVICES = ("dev/nvidiactl", "dev/kfd", "dev/dxg")
"""Device files of drivers that torch knows: NVIDIA's, AMD's, and that of Windows' Linux."""
COUNT_GPUS = "import torch; print(torch.cuda.device_count())"
GIB = 2**30
PROGRAM_BYTES = 1 * GIB
"""A run's process without its images: 0.75 GiB with a small network, by measurement."""
GPU_PROGRAM_BYTES = 4 * GIB
"""The same on a GPU, whose libraries are loaded too; images and network are in the GPU's own memory."""
PIXEL_BYTES = 8 * 1024
"""For each pixel of a batch. Measured: 2 KiB (LR-ASPP, DeepLab on MobileNet) to 10 (on ResNet-50), 15 for a wide
U-Net."""
LARGE_PIXELS = 1024 * 2048
"""Pixels of an image where the settings do not say its size: those of Cityscapes."""
GROWTH = 1.1
"""Needed / measured at the end of an epoch: judging at the end of a run can take a little more."""


def read_capacity(device: str, threads: int) -> Capacity:
    """Return what this machine has for runs of so many threads, on a device as the user names it."""
    return Capacity(read_cores(), () if device == "cpu" else list_gpus(), threads)


def read_cores(root: Path = Path("/")) -> int:
    """Return how many cores this process may keep busy: those it may run on, and a container's share of time."""
    cores = count_cores()
    for folder in _cgroups(root, "cpu"):
        quota, period = _read_quota(folder)
        if quota > 0:
            cores = min(cores, ceil(quota / period))
    return max(cores, 1)


def read_memory(root: Path = Path("/")) -> int:
    """Return how many bytes of memory are still to be had: in the machine, and below each limit of a container."""
    import psutil  # only here: what measures a run needs no more than what trains one

    left = [int(psutil.virtual_memory().available)]
    for folder in _cgroups(root, "memory"):
        limit = _read_number(folder, "memory.max", "memory.limit_in_bytes")
        used = _read_number(folder, "memory.current", "memory.usage_in_bytes")
        if limit is not None and used is not None:
            left.append(limit - used + _file_cache(folder))
    return max(min(left), 0)


@cache
def list_gpus(root: Path = Path("/")) -> tuple[str, ...]:
    """Return the GPUs that torch can use here, as devices; asks torch, in a process of its own, if there may be any."""
    if not any((root / name).exists() for name in GPU_DEVICES):
        return ()
    asked = subprocess.run([sys.executable, "-c", COUNT_GPUS], capture_output=True, text=True, check=False)
    return tuple(f"cuda:{index}" for index in range(int(asked.stdout) if asked.returncode == 0 else 0))


def memory_of(pid: int, key: Literal["VmRSS", "VmHWM"]) -> int:
    """Return the bytes of memory that a process has in use (VmRSS), or has had at most (VmHWM); 0 without a process."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:")), 0)


def _cgroups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the control groups of this process that a controller limits, from the innermost to the root's.

    In a container the path may be the host's, of which only the last folders, or none, are to be seen.
    """
    mounts = {"": root / "sys/fs/cgroup", controller: root / "sys/fs/cgroup" / controller}
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, names, path = line.split(":", 2)
        for name in {controller, ""} & set(names.split(",")):
            inner = Path(path.lstrip("/"))
            yield from (folder for part in (inner, *inner.parents) if (folder := mounts[name] / part).is_dir())


def _read_number(folder: Path, *names: str) -> int | None:
    """Return the number in the first of these files that is there; None for no file, or a file that says `max`."""
    for name in names:
        if (folder / name).is_file():
            text = (folder / name).read_text(encoding="utf-8").strip()
            return int(text) if text != "max" else None
    return None


def _file_cache(folder: Path) -> int:
    """Return the bytes of cached files that the system gives up when they are asked for."""
    try:
        values = dict(map(str.split, (folder / "memory.stat").read_text(encoding="utf-8").splitlines()))
    except OSError:
        return 0
    return int(values.get("total_inactive_file", values.get("inactive_file", 0)))


def _read_quota(folder: Path) -> tuple[int, int]:
    """Return the microseconds of all cores together in each period; 0 or less without a limit."""
    if (folder / "cpu.max").is_file():
        quota, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
        return (int(quota) if quota != "max" else 0), int(period)
    return _read_number(folder, "cpu.cfs_quota_us") or 0, _read_number(folder, "cpu.cfs_period_us") or 1


class RunningRun(NamedTuple):
    """A run and its process."""

    run: Run
    pid: int
    device: str


class MemoryNeeds:
    """What runs need, learned from those that were seen: runs of one kind have all settings but the seed in common."""

    def __init__(self) -> None:
        self._peaks: dict[tuple[str, bool], int] = {}

    def learn(self, item: RunningRun) -> None:
        """Note what a run has used at most; to be called when it has done a whole epoch."""
        kind = _kind(item.run, item.device)
        self._peaks[kind] = max(self._peaks.get(kind, 0), memory_of(item.pid, "VmHWM"))

    def of(self, run: Run, device: str) -> int:
        """Return the bytes that a run needs."""
        peak = self._peaks.get(_kind(run, device))
        return round(GROWTH * peak) if peak else guess(run.config, device)

    def promised(self, under_way: Sequence[RunningRun]) -> int:
        """Return the bytes that runs under way will still ask for."""
        return sum(max(self.of(item.run, item.device) - memory_of(item.pid, "VmRSS"), 0) for item in under_way)


def guess(config: RunConfig, device: str) -> int:
    """Return the bytes that a run of an unknown kind needs, rather too many than too few."""
    if device.startswith("cuda"):
        return GPU_PROGRAM_BYTES
    size = next((step.own["size"] for step in config.augment if step.name == "crop"), config.data.size)
    pixels = LARGE_PIXELS if size == "native" else prod(size)
    return PROGRAM_BYTES + PIXEL_BYTES * pixels * config.train.batch_size


def kind_of(config: RunConfig) -> str:
    """Return what is the same for runs that differ in the seed alone."""
    return canonical({**config.to_dict(), "seed": None})


def _kind(run: Run, device: str) -> tuple[str, bool]:
    return kind_of(run.config), device.startswith("cuda")
