"""A study executed and looked at: once, or look after look until its comparisons are decided."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.api.executing import execute
from harness.api.studies import lint_plan, load_looks, make_plan, record_look
from harness.errors import InputError
from harness.records import Plan, Run, RunResult

if TYPE_CHECKING:
    from harness.execute.budget import Budget
    from harness.execute.events import Event
    from harness.execute.study import Executor
    from harness.report.study.record import Report
    from harness.spec.load import Spec
    from harness.stats.looks import Taken
    from harness.tracking.protocol import Store

Progress = Callable[[Sequence[Run]], AbstractContextManager[Callable[["Event"], None]]]
"""Runs that are executed next -> a listener that is told each event while they are."""


@dataclass(frozen=True)
class Means:
    """With what a study is executed."""

    store: Store
    executor: Executor
    budget: Budget
    progress: Progress
    warn: Callable[[str], None]


@dataclass(frozen=True)
class Looked:
    """What became of a study when it was last executed."""

    plan: Plan
    results: Mapping[str, RunResult]
    taken: Taken
    """The recorded looks at it."""
    started: int
    """Runs that were started."""
    stopped: bool
    """Whether a budget ended it before all was done: this is no look then."""


@dataclass(frozen=True)
class Until:
    """A study that adds seeds until its comparisons are decided."""

    whole: Plan
    """Every variant with the seeds of the last look."""
    counts: tuple[int, ...]
    """Numbers of seeds at the looks."""


def look_once(plan: Plan, means: Means, *, only: Sequence[str] = (), record: bool = True) -> Looked:
    """Execute what a plan still lacks, and record a look at it unless a budget stopped it, or `record` is false.

    Raises:
        InputError: the data cannot be trained on.
    """
    from harness.execute.events import Started, Stopped

    events: list[Event] = []
    with means.progress(plan.runs) as show:

        def listen(event: Event) -> None:
            events.extend([event] if isinstance(event, Started | Stopped) else [])
            show(event)

        results = execute(
            plan, store=means.store, only=only, executor=means.executor, budget=means.budget, listen=listen
        )
    stopped = any(isinstance(event, Stopped) for event in events)
    if record and not stopped:
        taken = record_look(plan, results, store=means.store, warn=means.warn)
    else:
        taken = load_looks(plan, store=means.store, warn=means.warn)
    return Looked(plan, results, taken, sum(isinstance(event, Started) for event in events), stopped)


def plan_until_decided(spec: Spec, max_seeds: int | None = None) -> Until:
    """Return the looks at a study at which seeds are added: those it declares, else its own seeds and then one by one.

    `max_seeds` is the largest number of seeds of a variant, by default that of the last look.

    Raises:
        InputError: nothing can be decided in this study, or `max_seeds` is no number of seeds at which it may end.
    """
    from harness.execute.until_decided import look_counts
    from harness.spec.lint_power import add_seeds

    if len(spec.variants) < 2:
        raise InputError("--until decided: the study has one variant, so there is nothing to decide")
    counts = look_counts(spec.compare.looks, len(spec.seeds), max_seeds)
    folds = _find_folds(spec)
    seeds = add_seeds(spec.seeds, max(counts[-1], len(spec.seeds)), folds)
    if folds and not (max_seeds or spec.compare.looks):
        counts = _within_folds(seeds, folds, counts)
    seeds = seeds[: counts[-1]]
    whole = make_plan(replace(spec, seeds=seeds, seeds_given=False))
    given = f" --seeds {','.join(map(str, spec.seeds))}" if spec.seeds_given else ""
    most = "" if max_seeds is None else f" --max-seeds {max_seeds}"
    return Until(replace(whole, command=f"{whole.command}{given} --until decided{most}"), counts)


def _find_folds(spec: Spec) -> int | None:
    """Return into how many folds the data of every variant are divided; None where they are not."""
    folds = [variant.config.data.folds for variant in spec.variants]
    known = [number for number in folds if number is not None]
    return max(known) if len(known) == len(folds) else None


def _within_folds(seeds: Sequence[int], folds: int, counts: tuple[int, ...]) -> tuple[int, ...]:
    """Return the first look, and the later ones whose seeds do not only repeat folds."""

    def held(count: int) -> int:
        return len({seed % folds for seed in seeds[:count]})

    return tuple(count for count in counts if count == counts[0] or held(count) > held(count - 1))


def look_until_decided(until: Until, means: Means) -> Iterator[tuple[Looked, Report]]:
    """Execute a study look by look, and yield what each found, the last report being that of the end.

    It ends where nothing is open, or a budget stopped it.

    A call that was cut short is continued by the next one: it finds the looks that were taken as they were.

    Raises:
        InputError: the data cannot be trained on.
    """
    from harness.execute.until_decided import first_plan, next_plan
    from harness.report.study.summary import summarise

    began, started, told = time.monotonic(), 0, set[str]()
    plan: Plan | None = first_plan(until.whole, until.counts)
    while plan is not None:
        plan = replace(plan, concerns=lint_plan(plan))
        budget = means.budget.after((time.monotonic() - began) / 3600, started)
        looked = look_once(plan, replace(means, budget=budget, progress=_once(means.progress, told)))
        started += looked.started
        report = summarise(plan, looked.results, looked.taken)
        yield looked, report
        plan = None if looked.stopped else next_plan(until.whole, plan, report.comparisons, until.counts)


def _once(progress: Progress, told: set[str]) -> Progress:
    """Return a progress that shows each warning, and each finished run, once over all looks; `told` keeps which.

    A warning that differs in its remedy alone, whose price grows with the seeds, is the same.
    """
    from contextlib import contextmanager

    from harness.execute.events import Ended, Warned

    @contextmanager
    def quiet(runs: Sequence[Run]) -> Iterator[Callable[[Event], None]]:
        with progress([run for run in runs if run.id not in told]) as show:

            def listen(event: Event) -> None:
                text = event.text.partition("; ")[0] if isinstance(event, Warned) else ""
                finished = isinstance(event, Ended) and event.result.status == "finished"
                key = event.run.id if isinstance(event, Ended) and finished else text
                if key not in told:
                    show(event)
                told.update([key] if key else [])

            yield listen

    return quiet
