"""How long a run may take, and how long it may do nothing before the user is told where it stands."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from harness.errors import InputError

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True)
class TimeLimits:
    """Limits of one run's process."""

    run_s: float | None = None
    """It is ended after so long; None: never."""
    silence_s: float = 1800.0
    """The user is told of a run that has trained or judged no batch for so long,"""
    steps: float = 20.0
    """or for so many times what a batch of it usually takes, whichever is longer."""


def parse_duration(option: str, text: str) -> float:
    """Return the seconds of a duration such as 90m, 2h, 1.5h or 1h30m.

    Raises:
        InputError: it is none, or not above 0.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != text or not 0 < seconds < float("inf"):
        raise InputError(f"{option} {text}: write a duration above 0 such as 90m, 2h or 1h30m (s, m, h, d)")
    return seconds


def in_words(seconds: float) -> str:
    """Return a duration for people."""
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


STATED = TimeLimits()


class ProgressWatch:
    """What is known of a run's progress: how many batches it has been through, and when it was last heard of."""

    def __init__(self, patience: TimeLimits) -> None:
        self._patience = patience
        self._began = self._last = time.monotonic()
        self._first: tuple[float, int] | None = None
        self._batches = 0
        self._told = False

    def note(self, batches: int) -> None:
        """Note that a run has been through so many batches by now."""
        self._last, self._batches, self._told = time.monotonic(), batches, False
        self._first = self._first or (self._last, batches)

    def is_overdue(self) -> bool:
        """Tell whether the run has taken longer than it may."""
        return self._patience.run_s is not None and time.monotonic() - self._began > self._patience.run_s

    def silence(self) -> float:
        """Return for how many seconds the run has been silent, if that is too long and not told yet; else 0."""
        silent = time.monotonic() - self._last
        if self._told or silent <= max(self._patience.silence_s, self._patience.steps * self._usual()):
            return 0.0
        self._told = True
        return silent

    def _usual(self) -> float:
        """Return the seconds that a batch of the run has taken on average; 0 where that is not known."""
        if self._first is None or self._batches == self._first[1]:
            return 0.0
        return (self._last - self._first[0]) / (self._batches - self._first[1])
