"""A study within a budget of hours or runs. The runs that decide most come first; the others can follow later."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import cast

from harness.execute.events import Ended, Event, Stopped
from harness.execute.study import Executor
from harness.records import Plan, Run
from harness.runs.folder import RunFolder, is_finished


@dataclass(frozen=True)
class Budget:
    """What one call may spend; None is no limit."""

    hours: float | None = None
    """From the first run's start. Runs under way are then stopped, and go on later from their last epoch."""
    runs: int | None = None
    """Runs that are started; those that were finished before do not count."""
    spent_hours: float = 0.0
    """By earlier looks of the same call."""
    spent_runs: int = 0


def within(executor: Executor, plan: Plan, budget: Budget, clock: Callable[[], float] = time.monotonic) -> Executor:
    """Return an executor that spends no more than a budget, and says what it has left undone; `clock` is in seconds.

    The most informative runs come first, where that makes nothing later: with a budget, or among runs that do not wait
    for each other. The order of the plan keeps several chains of runs going side by side; chain after chain, the last
    one would go alone.
    """

    def execute(runs: Sequence[Run], folders: Mapping[str, RunFolder]) -> Iterator[Event]:
        here = {run.id for run in runs}
        chained = any(run.start is not None and run.start.run_id in here for run in runs)
        is_free = (budget.hours, budget.runs) == (None, None)
        ordered = runs if is_free and chained else order_runs(plan, runs)
        chosen = ordered if budget.runs is None else ordered[: max(budget.runs - budget.spent_runs, 0)]
        stopped_by = f"--max-runs {budget.runs}" if len(chosen) < len(runs) else ""
        end = math.inf if budget.hours is None else clock() + 3600 * (budget.hours - budget.spent_hours)
        ended = 0
        with closing(cast("Generator[Event]", executor(chosen, folders))) as events:
            for event in events:
                yield event
                ended += isinstance(event, Ended)
                if clock() >= end and ended < len(chosen):
                    stopped_by = f"--max-hours {budget.hours:g}"
                    break
        if stopped_by:
            done = sum(is_finished(folder) for folder in folders.values())
            yield Stopped(f"stopped by {stopped_by}: {done} of {len(folders)} runs finished; the same command goes on")

    return execute


def order_runs(plan: Plan, runs: Sequence[Run]) -> tuple[Run, ...]:
    """Return runs of a plan so that the first ones tell most: one seed of everything, then the next seed, and so on.

    Within a seed the reference, with what it starts from, comes first; each run comes after the one it starts from.
    """
    rank = {seed: index for index, seed in enumerate(dict.fromkeys(run.seed for run in plan.runs))}
    needed = {run.id for run in plan.runs if run.variant == plan.reference}
    for run in reversed(plan.runs):  # parents come before their children in a plan
        if run.id in needed and run.start is not None:
            needed.add(run.start.run_id)
    place = {run.id: index for index, run in reversed(list(enumerate(plan.runs)))}
    return tuple(sorted(runs, key=lambda run: (rank[run.seed], run.id not in needed, place[run.id])))
