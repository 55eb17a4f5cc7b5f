"""Which run is computed on which device, and how many at once. Pure: what the machine has is an argument."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor

from harness.environment import require_device
from harness.errors import InputError

ROUNDING = 1e-9
"""So that ten runs of 0.1 have room on one GPU."""


@dataclass(frozen=True)
class DeviceSlots:
    """Room for runs: so many at once, and so many on each device."""

    jobs: int
    devices: tuple[str, ...]
    per_device: int

    def choose(self, taken: Sequence[str]) -> str | None:
        """Return the device with the fewest runs, the first of several; None where there is no room.

        `taken` holds the device of each run under way.
        """
        runs, device = min((taken.count(device), index) for index, device in enumerate(self.devices))
        return self.devices[device] if runs < self.per_device and len(taken) < self.jobs else None


@dataclass(frozen=True)
class Capacity:
    """What a machine has for runs of so many threads."""

    cores: int
    gpus: tuple[str, ...] = ()
    threads: int = 1


def make_device_slots(
    offer: Capacity, device: str, *, jobs: int | None = None, gpus_per_run: float | None = None
) -> DeviceSlots:
    """Return the room for runs on a device as the user names it: `auto`, `cpu`, `cuda` (any GPU) or `cuda:N`.

    A run has a GPU of its own, or, with `gpus_per_run` below 1, shares one. `jobs` is by default as many as the cores
    and the GPUs hold; more than the GPUs hold are not placed at once.

    Raises:
        InputError: a share that cannot be, or a device that is not there.
    """
    require_device(device)
    if gpus_per_run is not None:
        _check_share(gpus_per_run, gpus=bool(offer.gpus) and device != "cpu")
    by_cores = max(offer.cores // offer.threads, 1)
    if device == "cpu" or not offer.gpus:  # a GPU that torch alone knows of is the run's own affair
        return DeviceSlots(jobs or by_cores, (device,), jobs or by_cores)
    devices = offer.gpus if device in ("auto", "cuda") else (device,)
    if missing := [name for name in devices if name not in offer.gpus]:
        raise InputError(f"--device {missing[0]}: this machine has {', '.join(offer.gpus)}")
    per_device = floor(1 / (gpus_per_run or 1) + ROUNDING)
    return DeviceSlots(min(jobs or by_cores, per_device * len(devices)), devices, per_device)


def _check_share(gpus_per_run: float, *, gpus: bool) -> None:
    if not gpus:
        raise InputError(f"--gpus-per-run {gpus_per_run:g}: the runs are not on a GPU; leave it out, or see --device")
    if gpus_per_run > 1:
        raise InputError(f"--gpus-per-run {gpus_per_run:g}: a run uses one GPU; give 1, or a fraction to share one")
    if not gpus_per_run > 0:
        raise InputError(f"--gpus-per-run {gpus_per_run:g}: give 1, or a fraction such as 0.25, with which 4 share one")
