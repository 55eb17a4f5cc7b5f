"""A whole plan: what is finished is kept, the rest is executed, and the tracking store follows each step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from harness.execute.events import Advanced, Beat, Ended, Event, Started, Warned
from harness.files import locked
from harness.records import Plan, Run, Status
from harness.store.folder import RunFolder, is_finished, load_result, run_folder
from harness.store.protocol import Store, StoreError, study_lock

Executor = Callable[[Sequence[Run], Mapping[str, RunFolder]], Iterator[Event]]
"""Brings unfinished runs, given with each after the run it starts from, to their ends; yields what happens. Folders are
there for all runs of the plan. Closing the iterator ends what is under way and leaves it resumable."""


def execute_plan(plan: Plan, runs: tuple[Run, ...], store: Store, executor: Executor) -> Iterator[Event]:
    """Execute some runs of a plan (each after the run it starts from) and keep the store up to date.

    The store may fail at any time: it is then behind, a warning says so, and the next call brings it up to date.
    An interrupt, or closing the iterator, leaves every run resumable and marks those that were under way.
    """
    unique = tuple({run.id: run for run in runs}.values())
    folders = {run.id: run_folder(store.root, run.id) for run in plan.runs}
    with locked(study_lock(store.root, plan.study), shared=True):
        yield from _attempt(lambda: store.open_study(plan))
        to_do = []
        for run in unique:
            events = list(_recall(run, plan.study, folders[run.id], store))
            yield from events
            if not any(isinstance(event, Ended) for event in events):
                to_do.append(run)
        under_way: dict[str, Run] = {}
        status: Status = "interrupted"
        try:
            for event in executor(to_do, folders):
                if not isinstance(event, Beat):
                    yield event
                    yield from _follow(event, store, folders, under_way)
            status = _status_of([folders[run.id] for run in unique])
        finally:
            for run in under_way.values():
                list(_attempt(partial(store.mirror, run, folders[run.id], "interrupted")))
            list(_attempt(lambda: store.close_study(status)))


def _status_of(folders: Sequence[RunFolder]) -> Status:
    """Return what a study is whose execution has ended; runs that a budget left undone make it an interrupted one."""
    if all(is_finished(folder) for folder in folders):
        return "finished"
    return "failed" if all(folder.result.exists() for folder in folders) else "interrupted"


def _recall(run: Run, study: str, folder: RunFolder, store: Store) -> Iterator[Event]:
    """Yield the end of a run that was finished earlier, here or (then its files are fetched) elsewhere."""
    if not is_finished(folder):
        yield from _attempt(lambda: store.fetch(run.id, study, folder))
    result = load_result(folder)
    if result is not None and result.status == "finished":
        yield from _attempt(lambda: store.mirror(run, folder, "finished"))
        yield Ended(run, result, again=True)


def _follow(
    event: Event, store: Store, folders: Mapping[str, RunFolder], under_way: dict[str, Run]
) -> Iterator[Warned]:
    """Bring the store up to date after an event; `under_way` keeps the runs that a process works on."""
    match event:
        case Started(run) | Advanced(run, _):
            under_way[run.id] = run
            yield from _attempt(lambda: store.mirror(run, folders[run.id], "running"))
        case Ended(run, result, _):
            under_way.pop(run.id, None)
            yield from _attempt(lambda: store.mirror(run, folders[run.id], result.status))
        case Warned():
            pass


def _attempt(call: Callable[[], object]) -> Iterator[Warned]:
    try:
        call()
    except StoreError as error:
        yield Warned(f"{error}; the results are safe on this disk and reach the store with the next harness run")
