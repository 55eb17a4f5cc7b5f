"""What happens while a plan is executed, in the order it happens. Frozen; listeners draw, log or ignore them."""

from __future__ import annotations

from dataclasses import dataclass

from harness.records import Progress, Run, RunResult


@dataclass(frozen=True)
class Started:
    """A run's process has started."""

    run: Run


@dataclass(frozen=True)
class Advanced:
    """A run has finished an epoch."""

    run: Run
    progress: Progress


@dataclass(frozen=True)
class Ended:
    """A run is finished, failed, skipped or interrupted; `again` says that it was finished before."""

    run: Run
    result: RunResult
    again: bool = False


@dataclass(frozen=True)
class Warned:
    """Something the user should know that stops nothing."""

    text: str


@dataclass(frozen=True)
class Stopped(Warned):
    """A budget has ended the execution before all was done."""


@dataclass(frozen=True)
class Tick:
    """Nothing has happened for a while: a moment to look at the clock. No listener of a study is told."""


Event = Started | Advanced | Ended | Warned | Tick
