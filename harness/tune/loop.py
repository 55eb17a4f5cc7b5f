"""The search for a variant's settings: draw a trial, execute it, enter what came of it; until the budget is used.

A trial is entered in the book before it is trained, and a lock says that a process works on it. One that is entered as
running and that nobody holds was cut short: it is taken up again, with the same values, before any other is drawn.
"""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

from harness.data import open_source
from harness.data.subsets import hold_out
from harness.errors import HarnessError, InputError, did_you_mean
from harness.execute.events import Advanced, Ended, Event
from harness.execute.study import Executor, execute_plan
from harness.files import locked
from harness.records import GROUP_PREFIX, Plan, Progress, Run, RunResult
from harness.runs.folder import RunFolder, load_result, read_progress, save_result
from harness.spec.load import Spec
from harness.spec.outline import Variant
from harness.spec.space import SearchParameter, Values, with_values, written_values
from harness.spec.tuning import IOU, SECONDS, SPEED, Trial, TrialState, Tuning, winner
from harness.strict_yaml.located import Node
from harness.tracking.protocol import Store, StoreError
from harness.tune.optuna_study import Search
from harness.tune.winners import ReadInputs, SearchOutcome, asked_tuning, plan_trial, search_name

ATTEMPTS = 2
"""A run that fails is tried once more, from its last checkpoint: its process may have been killed."""


@dataclass(frozen=True)
class TrialBegan:
    """A trial is about to be trained."""

    variant: str
    trial: Trial
    budget: int


@dataclass(frozen=True)
class TrialEnded:
    """A trial is over; `best` is the winner so far."""

    variant: str
    trial: Trial
    budget: int
    best: Trial | None


TuneEvent = Event | TrialBegan | TrialEnded
Judge = Callable[[Progress], str]
"""Returns why a trial should end after an epoch, or nothing."""


@dataclass(frozen=True)
class SearchSetup:
    """All that the search of one variant needs."""

    tuning: Tuning
    spec: Spec
    variant: Variant
    knobs: tuple[SearchParameter, ...]
    written: Values | None
    """The variant's own values; None where they lie outside the space."""
    search: Search
    store: Store
    executor: Executor
    read_inputs: ReadInputs

    @property
    def folder(self) -> Path:
        """Return where the locks of the search lie."""
        return self.store.root / "tuning" / self.search.name.replace("/", "-")


def open_search(
    spec: Spec, variant: Variant, store: Store, executor: Executor, read_inputs: ReadInputs, *, url: str
) -> SearchSetup:
    """Open the search of one variant in the database at `url`.

    Raises:
        InputError: its data have no such class, or too few groups to hold some out.
        HarnessError: the database cannot be used.
    """
    tuning = asked_tuning(spec)
    knobs = tuning.knobs_of(variant.name, variant.family)
    _check_data(variant, tuning)
    plan, _ = plan_trial(spec, variant, read_inputs, number=0, tree=variant.tree)
    as_written = next(run for run in plan.runs if run.variant == variant.name)
    with locked(store.root / "tuning" / "lock"):  # two processes at once must not make the tables
        search = Search(url, search_name(spec, variant, knobs, as_written), tuning, variant.config.train.epochs)
    written = written_values(variant.tree, knobs)
    return SearchSetup(tuning, spec, variant, knobs, written, search, store, executor, read_inputs)


def _check_data(variant: Variant, tuning: Tuning) -> None:
    source = open_source(variant.config.data)
    if tuning.settings.judge_on == "held_out":
        hold_out(source)
    for measure in (*tuning.objectives, *(bound.measure for bound in tuning.bounds)):
        name = measure.removeprefix(IOU)
        if measure != name and name not in source.taxonomy.classes:
            raise InputError(f"tune: {measure}: no such class; {did_you_mean(name, source.taxonomy.classes)}")


def tune_variant(setup: SearchSetup) -> Iterator[TuneEvent]:
    """Execute trials until the variant's budget is used. Closing the iterator leaves the search to be gone on with.

    Raises:
        HarnessError: the run that all trials start from failed, or the database cannot be used.
    """
    while True:
        with ExitStack() as claim:
            if (taken := _take(setup, claim)) is None:
                return
            trial, plan, runs = taken
            yield TrialBegan(setup.variant.name, trial, setup.tuning.settings.trials)
            ended = yield from _carry_out(setup, trial, plan, runs)
            yield TrialEnded(setup.variant.name, ended, setup.tuning.settings.trials, winner(setup.search.trials()))


def searched(setup: SearchSetup) -> SearchOutcome:
    """Return what the search has found so far."""
    return SearchOutcome(setup.variant, setup.knobs, setup.written, setup.search.trials(), setup.search.name)


def _take(setup: SearchSetup, claim: ExitStack) -> tuple[Trial, Plan, tuple[Run, ...]] | None:
    """Return the trial to work on, held until the claim ends: one that was cut short, else a new one, else none."""
    with locked(setup.folder / "lock"):
        trials = setup.search.trials()
        for trial in trials:
            if trial.state == "running" and trial.host == os.uname().nodename and _hold(setup, trial, claim):
                tree = with_values(setup.variant.tree, setup.knobs, trial.values)
                return trial, *_plan(setup, trial.number, tree)
        # Hours are those of the trials in the book that have ended: several processes share one budget.
        spent_hours = sum(trial.seconds for trial in trials) / 3600
        if len(trials) >= setup.tuning.settings.trials or spent_hours >= (setup.tuning.settings.hours or math.inf):
            return None
        tree, drawn = setup.search.draw(setup.variant.tree, setup.knobs, setup.written)
        plan, runs = _plan(setup, len(trials), tree)
        trial = setup.search.begin(drawn, runs[-1].id)
        _hold(setup, trial, claim)
        return trial, plan, runs


def _plan(setup: SearchSetup, number: int, tree: Node) -> tuple[Plan, tuple[Run, ...]]:
    return plan_trial(setup.spec, setup.variant, setup.read_inputs, number=number, tree=tree)


def _hold(setup: SearchSetup, trial: Trial, claim: ExitStack) -> bool:
    return claim.enter_context(locked(setup.folder / f"trial{trial.number}.lock", wait=False))


def _carry_out(setup: SearchSetup, trial: Trial, plan: Plan, runs: tuple[Run, ...]) -> Generator[Event, None, Trial]:
    """Bring a trial to its end, from wherever its run's folder says it stands, and enter it."""
    began, judge = time.monotonic(), partial(_judge_epoch, setup, trial.number)
    for _ in range(ATTEMPTS):
        ended = yield from _execute(setup, plan, runs, judge)
        if ended.result.status != "failed":
            break
    result, seconds = ended.result, max(time.monotonic() - began, ended.result.seconds)
    if ended.again:  # it was finished, but not entered
        reason = _first_reason(result.history, judge)
        result = replace(result, status="pruned", reason=reason) if reason else result
    if result.status == "finished":
        return _enter(setup, trial, result, seconds)
    state: TrialState = "pruned" if result.status == "pruned" else "failed"
    return setup.search.end(trial.number, state, reason=result.reason, seconds=seconds)


def _execute(setup: SearchSetup, plan: Plan, runs: tuple[Run, ...], judge: Judge) -> Generator[Event, None, Ended]:
    """Execute a trial's run after those it starts from, and return how it ended.

    Raises:
        HarnessError: one that it starts from failed; no trial of the variant would do better.
    """
    ended: Ended | None = None
    for event in execute_plan(plan, runs, setup.store, _pruning(setup.executor, runs[-1], judge)):
        yield event
        if isinstance(event, Ended):
            if event.run.id == runs[-1].id:
                ended = event
            elif event.result.status != "finished":
                raise HarnessError(f"{event.run.label} failed, from which trials start: {event.result.reason}")
    assert ended is not None
    if ended.result.status == "pruned":
        with suppress(StoreError):  # the search goes well, though this run did not finish
            setup.store.close_study("finished")
    return ended


def _pruning(executor: Executor, run: Run, judge: Judge) -> Executor:
    """Return an executor that ends a run after the first epoch for which `judge` gives a reason."""

    def execute(runs: Sequence[Run], folders: Mapping[str, RunFolder]) -> Iterator[Event]:
        earlier = load_result(folders[run.id])
        if earlier is not None and earlier.status == "pruned" and _first_reason(earlier.history, judge):
            yield Ended(run, earlier)
            return
        with closing(cast("Generator[Event]", executor(runs, folders))) as events:
            for event in events:
                yield event
                if isinstance(event, Advanced) and event.run.id == run.id and (reason := judge(event.progress)):
                    events.close()
                    yield Ended(run, _keep_pruned(folders[run.id], run.id, reason))
                    return

    return execute


def _keep_pruned(folder: RunFolder, run_id: str, reason: str) -> RunResult:
    """Write that a run was pruned: its journal is its record, its weights are of no use."""
    result = RunResult(run_id, "pruned", reason, history=read_progress(folder))
    save_result(folder, result)
    for path in (folder.state, folder.best, folder.last):
        path.unlink(missing_ok=True)
    return result


def _first_reason(history: Sequence[Progress], judge: Judge) -> str:
    return next(filter(None, map(judge, history)), "")


def _judge_epoch(setup: SearchSetup, number: int, progress: Progress) -> str:
    """Enter an epoch's score; return why the trial should end there, or nothing. The last epoch ends it anyway."""
    value = progress.metrics[_metric(setup.tuning.objectives[0])] if progress.epoch else math.nan
    if len(setup.tuning.objectives) > 1 or math.isnan(value):
        return ""
    groups = {
        name.removeprefix(GROUP_PREFIX): score
        for name, score in progress.metrics.items()
        if name.startswith(GROUP_PREFIX) and not math.isnan(score)
    }
    behind = setup.search.should_prune(number, progress.epoch, value, groups)
    if not behind or progress.epoch == progress.epochs:
        return ""
    return f"{setup.tuning.settings.pruner}: {setup.tuning.objectives[0]} {value:.4f} after epoch {progress.epoch}"


def _metric(measure: str) -> str:
    return f"train/{SPEED}" if measure == SPEED else f"val/{measure}"


def _enter(setup: SearchSetup, trial: Trial, result: RunResult, seconds: float) -> Trial:
    """Enter a finished run: objectives and bounds at its best epoch."""
    best = next(item for item in result.history if item.epoch == result.best_epoch)
    speeds = [item.metrics[_metric(SPEED)] for item in result.history if _metric(SPEED) in item.metrics]

    def measure(name: str) -> float:
        if name == SECONDS:
            return result.seconds
        return statistics.median(speeds or [math.nan]) if name == SPEED else best.metrics[_metric(name)]

    # A measure can be undefined (its class is in no image that scores trials): such a trial has failed, for a sampler
    # would take NaN for a value.
    scores = [measure(name) for name in setup.tuning.objectives]
    excess = {str(bound): bound.excess(measure(bound.measure)) for bound in setup.tuning.bounds}
    if any(map(math.isnan, [*scores, *excess.values()])):
        undefined = "a measure is not defined: no pixel of its class is in the images that score trials"
        return setup.search.end(trial.number, "failed", reason=undefined, seconds=seconds)
    return setup.search.end(trial.number, "finished", scores, excess=excess, seconds=seconds)
