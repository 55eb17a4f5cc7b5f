"""Whether another run fits into memory: by what runs of its kind have used, or by a guess on the safe side."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from harness.execute.machine import memory_of
from harness.fingerprint import canonical
from harness.records import Run, RunConfig

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
