"""A study executed and looked at: once, or look after look until its comparisons are decided."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
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
class ExecutionOptions:
    """Where the runs of a study are kept, how they are executed, and who is told of it."""

    store: Store
    executor: Executor
    budget: Budget
    progress: Progress
    warn: Callable[[str], None]


@dataclass(frozen=True)
class StudyOutcome:
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


def look_once(plan: Plan, options: ExecutionOptions, *, only: Sequence[str] = (), record: bool = True) -> StudyOutcome:
    """Execute what a plan still lacks, and record a look at it unless a budget stopped it, or `record` is false.

    Raises:
        InputError: the data cannot be trained on.
    """
    from harness.execute.events import Started, Stopped

    happened = Counter[type]()
    with options.progress(plan.runs) as show:

        def listen(event: Event) -> None:
            happened[type(event)] += 1
            show(event)

        results = execute(
            plan, store=options.store, only=only, executor=options.executor, budget=options.budget, listen=listen
        )
    if record and not happened[Stopped]:
        taken = record_look(plan, results, store=options.store, warn=options.warn)
    else:
        taken = load_looks(plan, store=options.store, warn=options.warn)
    return StudyOutcome(plan, results, taken, happened[Started], happened[Stopped] > 0)


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
    all_folds = [variant.config.data.folds for variant in spec.variants]
    folds = None if None in all_folds else max(filter(None, all_folds))
    seeds = add_seeds(spec.seeds, max(counts[-1], len(spec.seeds)), folds)
    if folds and not (max_seeds or spec.compare.looks):
        # Of the later looks those alone whose last seed validates on a fold that no seed before it does.
        fold = [seed % folds for seed in seeds]
        counts = tuple(count for count in counts if count == counts[0] or fold[count - 1] not in fold[: count - 1])
    seeds = seeds[: counts[-1]]
    whole = make_plan(replace(spec, seeds=seeds, seeds_given=False))
    given = f" --seeds {','.join(map(str, spec.seeds))}" if spec.seeds_given else ""
    most = "" if max_seeds is None else f" --max-seeds {max_seeds}"
    return Until(replace(whole, command=f"{whole.command}{given} --until decided{most}"), counts)


def look_until_decided(until: Until, options: ExecutionOptions) -> Iterator[tuple[StudyOutcome, Report]]:
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
        hours = (time.monotonic() - began) / 3600
        budget = replace(options.budget, spent_hours=hours, spent_runs=started)
        outcome = look_once(plan, replace(options, budget=budget, progress=_once(options.progress, told)))
        started += outcome.started
        report = summarise(plan, outcome.results, outcome.taken)
        yield outcome, report
        plan = None if outcome.stopped else next_plan(until.whole, plan, report.comparisons, until.counts)


def _once(progress: Progress, told: set[str]) -> Progress:
    """Return a progress that shows each warning, and each finished run, once over all looks; `told` keeps which.

    A warning that differs in its remedy alone, whose price grows with the seeds, is the same.
    """
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
