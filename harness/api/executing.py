"""Plan -> results, on this machine or on a cluster, and the searches for settings that come before a study."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api.studies import lint_plan, make_plan, open_store
from harness.files import DEFAULT_REPORTS
from harness.records import Machine, Plan, RunResult

if TYPE_CHECKING:
    from harness.execute.budget import Budget
    from harness.execute.events import Event
    from harness.execute.study import Executor
    from harness.report.study.record import Report
    from harness.spec.load import Spec
    from harness.tracking.protocol import Store
    from harness.tune.loop import TuneEvent
    from harness.tune.winners import SearchOutcome


def execute(  # noqa: PLR0913 - as many as the command has
    plan: Plan,
    *,
    store: Store | None = None,
    only: Sequence[str] = (),
    jobs: int | None = None,
    device: str = "auto",
    executor: Executor | None = None,
    budget: Budget | None = None,
    listen: Callable[[Event], None] = lambda event: None,
) -> dict[str, RunResult]:
    """Train and judge what the plan still lacks, and return run id -> result of all its runs that have ended.

    An interrupted call is continued by the next one. `store` is by default the one of `open_store()`; `only` names
    variants, and with them those they start from; `jobs` runs at once, by default as many as fill the machine;
    `executor`, such as `on_ray()`, has the runs made otherwise; `budget` ends the call before all is done;
    `listen` is told each event.

    Raises:
        InputError: the data cannot be trained on, or a first step of some runs was tried and fails.
    """
    from harness.execute.budget import Budget, within
    from harness.execute.events import Ended, Warned
    from harness.execute.feasibility import check_feasible, note_padding
    from harness.execute.inputs import check_data, read_notes
    from harness.execute.local import Local
    from harness.execute.model_check import PATIENCE_S, check_models
    from harness.execute.study import execute_plan
    from harness.runs.folder import is_finished, load_result, run_folder
    from harness.runs.stale import describe_edited, describe_stale, find_stale, remember_runs, tell_other_environments
    from harness.spec.plan import select

    check_data(plan)
    check_feasible(plan, whole=True)
    concerns = lint_plan(plan) if plan.concerns is None else plan.concerns
    told = (f"{concern.text}; {concern.remedy}" for concern in concerns)
    for note in (*read_notes(plan), *note_padding(plan), *told):
        listen(Warned(note))
    store = store or open_store()
    chosen = select(plan, only) if only else plan
    executor = executor or on_this_machine(jobs=jobs, device=device)
    if isinstance(executor, Local):  # on other machines no step is tried
        to_do = [run for run in chosen.runs if not is_finished(run_folder(store.root, run.id))]
        check_models(to_do, executor.machine, min(PATIENCE_S, executor.patience.run_s or PATIENCE_S))
    stale = (*describe_stale(find_stale(store.root, chosen)), *describe_edited(store.root, chosen))
    for text in (*stale, *tell_other_environments(store.root, chosen)):
        listen(Warned(text))
    remember_runs(store.root, chosen)
    results: dict[str, RunResult] = {}
    executor = within(executor, plan, budget or Budget())
    for event in execute_plan(plan, chosen.runs, store, executor):
        listen(event)
        if isinstance(event, Ended):
            results[event.run.id] = event.result
    for run in plan.runs:
        earlier = None if run.id in results else load_result(run_folder(store.root, run.id))
        if earlier is not None:
            results[run.id] = earlier
    return results


def on_ray(
    address: str | None = None,
    cpus_per_run: float | None = None,
    gpus_per_run: float | None = None,
    device: str = "auto",
    run_timeout_s: float | None = None,
) -> Executor:
    """Return what has `execute` run on a Ray cluster.

    `address` is `HOST:PORT`, `auto`, or `local` for a cluster made on this machine; None for $RAY_ADDRESS or `auto`. A
    run gets `cpus_per_run`, by default as many as it has threads, and `gpus_per_run`, by default 1 where there are any.
    One that takes longer than `run_timeout_s` is ended, and has failed.

    Raises:
        InputError: Ray is not installed, or there is no such device.
    """
    from importlib.util import find_spec

    from harness.environment import require_device
    from harness.errors import InputError

    require_device(device)
    if find_spec("ray") is None:
        raise InputError("--on ray: Ray is not installed; pip install ablation-harness[ray]")
    from harness.execute.remote.ray import Cluster, execute_ray
    from harness.execute.time_limits import TimeLimits

    cluster = Cluster(address, cpus_per_run, gpus_per_run, device)
    return partial(execute_ray, cluster=cluster, patience=TimeLimits(run_timeout_s))


def on_this_machine(
    *,
    jobs: int | None = None,
    device: str = "auto",
    gpus_per_run: float | None = None,
    run_timeout_s: float | None = None,
) -> Executor:
    """Return what has `execute` make runs here, `jobs` at once, by default as many as fill the machine.

    Each run has a GPU of its own where there are any, or, with `gpus_per_run` below 1, shares one. One that takes
    longer than `run_timeout_s` is ended, and has failed.

    Raises:
        InputError: a GPU, or a share of one, that is not there.
    """
    from harness.execute.device_slots import make_device_slots
    from harness.execute.local import Local
    from harness.execute.machine import read_capacity
    from harness.execute.time_limits import TimeLimits

    make_device_slots(read_capacity(device, threads=1), device, gpus_per_run=gpus_per_run)
    return Local(Machine(device), jobs, gpus_per_run, TimeLimits(run_timeout_s))


def tune(  # noqa: PLR0913 - as many as the command has
    spec: Spec,
    *,
    store: Store | None = None,
    variants: Sequence[str] = (),
    storage: str | None = None,
    device: str = "auto",
    run_timeout_s: float | None = None,
    listen: Callable[[TuneEvent], None] = lambda event: None,
) -> tuple[SearchOutcome, ...]:
    """Search for the best settings of variants, by default of all, and return what the searches have found.

    An interrupted call is continued by the next one: finished trials are not run again. `storage` is the URL of the
    searches' database, by default `optuna.db` below the store's root. A trial that takes longer than `run_timeout_s` is
    ended, and has failed.

    Raises:
        InputError: the spec says nothing of tuning, or the data cannot be trained on.
        HarnessError: the database cannot be used, or the run that all trials start from failed.
    """
    from harness.execute.inputs import check_data, make_reader
    from harness.tracking.server import database_uri
    from harness.tune.loop import open_search, searched, tune_variant
    from harness.tune.winners import choose_variants

    chosen = choose_variants(spec, variants)
    store = store or open_store()
    check_data(make_plan(spec))
    url = storage or database_uri(store.root / "optuna.db")
    executor = on_this_machine(jobs=1, device=device, run_timeout_s=run_timeout_s)
    read_inputs = make_reader()  # one for all: each file is read once
    opened = [open_search(spec, variant, store, executor, read_inputs, url=url) for variant in chosen]
    for search in opened:
        for event in tune_variant(search):
            listen(event)
    return tuple(searched(search) for search in opened)


def make_tuned_plan(spec: Spec, searches: Sequence[SearchOutcome]) -> Plan:
    """Return the study in which the winners meet the variants as written, on all seeds.

    Raises:
        InputError: no search has a winner.
    """
    from harness.execute.inputs import make_reader
    from harness.tune.winners import plan_finals

    plan = plan_finals(spec, searches, make_reader())
    return replace(plan, concerns=lint_plan(plan))


def make_tuning_report(
    spec: Spec, searches: Sequence[SearchOutcome], report: Report, folder: str | Path = DEFAULT_REPORTS
) -> None:
    """Write `tuning.md`, its figures and tables beside the report on the winners."""
    from harness.tune.report import write_tuning
    from harness.tune.winners import asked_tuning

    write_tuning(asked_tuning(spec), searches, report, Path(folder) / report.study)
