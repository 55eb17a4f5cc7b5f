"""A whole plan: what is finished is kept, the rest is executed, and the tracking store follows each step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from harness.errors import InputError
from harness.execute.events import Advanced, Beat, Ended, Event, Started, Warned
from harness.files import locked
from harness.records import Plan, Run, Status
from harness.store.courier import Courier
from harness.store.folder import RunFolder, is_finished, is_running, load_result, run_folder
from harness.store.protocol import Store, StoreError, study_lock
from harness.store.server import sync_command
from harness.store.studies import save_study

INTERRUPT_PATIENCE_S = 10.0
"""How long an interrupted process goes on telling the store what is so."""

Executor = Callable[[Sequence[Run], Mapping[str, RunFolder]], Iterator[Event]]
"""Brings unfinished runs, given with each after the run it starts from, to their ends; yields what happens. Folders are
there for all runs of the plan. Closing the iterator ends what is under way and leaves it resumable."""


def execute_plan(plan: Plan, runs: tuple[Run, ...], store: Store, executor: Executor) -> Iterator[Event]:
    """Execute some runs of a plan (each after the run it starts from) and keep the store up to date.

    The store may fail at any time, or be gone for good: it is then behind, a warning says so, and the next call, or
    `harness sync`, brings it up to date. An interrupt, or closing the iterator, leaves every run resumable and marks
    those that were under way.

    Raises:
        InputError: runs cannot be kept below the store's root.
    """
    save_study(store.root, plan)
    warned = list(_attempt(lambda: store.open_study(plan)))
    yield from warned
    folders = {run.id: run_folder(store.root, run.id) for run in plan.runs}
    unique = tuple({run.id: run for run in runs}.values())
    courier = Courier(store, plan, opened=not warned)
    status: Status = "interrupted"
    try:
        with locked(study_lock(store.root, plan.study), shared=True):
            if not warned:
                lacking = [run for run in unique if not is_finished(folders[run.id])]
                yield from _fetch(lacking, plan.study, store, folders)
            yield from _execute(unique, folders, courier, executor)
        status = _status_of([folders[run.id] for run in unique])
    finally:
        courier.close(INTERRUPT_PATIENCE_S)
        with locked(study_lock(store.root, plan.study), wait=False) as alone:
            if alone and not courier.behind:
                list(_attempt(lambda: store.close_study(status)))
    if courier.behind:
        yield _warn_behind(courier.behind, sync_command(store.root, store.uri, plan.study))


def _execute(
    runs: Sequence[Run], folders: Mapping[str, RunFolder], courier: Courier, executor: Executor
) -> Iterator[Event]:
    """Execute runs, each once, and tell of them; the courier is done when this ends."""
    to_do: list[Run] = []
    under_way: dict[str, Run] = {}
    try:
        for run in runs:
            result = load_result(folders[run.id]) if is_finished(folders[run.id]) else None
            if result is None:
                to_do.append(run)
            else:
                courier.tell(run, folders[run.id], "finished")
                yield Ended(run, result, again=True)
        for event in executor(to_do, folders):
            if not isinstance(event, Beat):
                yield event
                _follow(event, courier, folders, under_way)
            yield from map(Warned, courier.news())
    except BaseException:
        for run in under_way.values():
            if not is_running(folders[run.id]):  # else another process works on it
                courier.tell(run, folders[run.id], "interrupted")
        courier.close(INTERRUPT_PATIENCE_S)
        raise
    courier.close()
    yield from map(Warned, courier.news())


def _status_of(folders: Sequence[RunFolder]) -> Status:
    """Return what a study is whose execution has ended; runs that a budget left undone make it an interrupted one."""
    if all(is_finished(folder) for folder in folders):
        return "finished"
    return "failed" if all(folder.result.exists() for folder in folders) else "interrupted"


def _fetch(runs: Sequence[Run], study: str, store: Store, folders: Mapping[str, RunFolder]) -> Iterator[Warned]:
    """Bring the runs here that were finished elsewhere, unless the store fails; what is damaged there is left there."""
    for run in runs:
        try:
            warned = list(_attempt(partial(store.fetch, run.id, study, folders[run.id])))
        except InputError as error:
            yield Warned(str(error))
            continue
        yield from warned
        if warned:
            return


def _follow(event: Event, courier: Courier, folders: Mapping[str, RunFolder], under_way: dict[str, Run]) -> None:
    """Have the store brought up to date after an event; `under_way` keeps the runs that a process works on."""
    match event:
        case Started(run) | Advanced(run, _):
            under_way[run.id] = run
            courier.tell(run, folders[run.id], "running")
        case Ended(run, result, _):
            under_way.pop(run.id, None)
            courier.tell(run, folders[run.id], result.status)
        case Warned():
            pass


def _attempt(call: Callable[[], object]) -> Iterator[Warned]:
    try:
        call()
    except StoreError as error:
        yield Warned(f"{error}; the results are safe on this disk")


def _warn_behind(runs: int, sync: str) -> Warned:
    number = f"{runs} {'run' if runs == 1 else 'runs'}"
    return Warned(
        f"the tracking store lacks something of {number}; all of it is on this disk. When the store answers again:"
        f" {sync}"
    )
