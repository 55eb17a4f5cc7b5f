"""A whole plan: what is finished is kept, the rest is executed, and the tracking store follows each step."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from harness.errors import InputError
from harness.execute.events import Advanced, Ended, Event, Started, Tick, Warned
from harness.execute.remake_weights import again_folder, describe_lost, find_lost_starts, keep_weights
from harness.files import locked
from harness.records import Plan, Run, Status
from harness.runs.folder import RunFolder, is_finished, is_running, load_result, run_folder
from harness.runs.studies import drop_last, save_study
from harness.tracking.background_sync import BackgroundSync
from harness.tracking.protocol import NoWeights, Store, StoreError, study_lock
from harness.tracking.server import sync_command

INTERRUPT_PATIENCE_S = 10.0
"""How long an interrupted process goes on telling the store what is so."""

Executor = Callable[[Sequence[Run], Mapping[str, RunFolder]], Iterator[Event]]
"""Brings unfinished runs, given with each after the run it starts from, to their ends; yields what happens. Folders are
there for all runs of the plan, and are looked up when they are needed. Closing the iterator ends what is under way and
leaves it resumable."""


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
    sync = BackgroundSync(store, plan, opened=not warned)
    status: Status = "interrupted"
    try:
        with locked(study_lock(store.root, plan.study), shared=True):
            if not warned:
                lacking = [run for run in unique if not is_finished(folders[run.id])]
                yield from _fetch(lacking, plan.study, store, folders)
            yield from _execute(unique, folders, sync, executor)
        # runs that a budget left undone make the study an interrupted one
        if all(folders[run.id].result.exists() for run in unique):
            status = "finished" if all(is_finished(folders[run.id]) for run in unique) else "failed"
    finally:
        sync.close(INTERRUPT_PATIENCE_S)
        with locked(study_lock(store.root, plan.study), wait=False) as alone:
            if alone and not sync.behind:
                list(_attempt(lambda: store.close_study(status)))
    if sync.behind:
        number = f"{sync.behind} {'run' if sync.behind == 1 else 'runs'}"
        yield Warned(
            f"the tracking store lacks something of {number}; all of it is on this disk. When the store answers again: "
            f"{sync_command(store.root, store.uri, plan.study)}"
        )


def _execute(
    runs: Sequence[Run], folders: Mapping[str, RunFolder], sync: BackgroundSync, executor: Executor
) -> Iterator[Event]:
    """Execute runs, each once, and tell of them; the background sync has ended when this ends."""
    under_way: dict[str, Run] = {}
    lost = {run.id: run for run in find_lost_starts(runs, folders)}
    to_do = [run for run in runs if run.id in lost or not is_finished(folders[run.id])]
    try:
        yield from map(Warned, describe_lost(tuple(lost.values())))
        yield from _recall([run for run in runs if run.id not in {item.id for item in to_do}], folders, sync)
        for event in _make_again(lost, to_do, folders, executor):
            if not isinstance(event, Tick):
                yield event
                _follow(event, sync, folders, under_way, lost)
            yield from map(Warned, sync.news())
    except BaseException:
        for run in under_way.values():
            if not is_running(folders[run.id]):  # else another process works on it
                sync.tell(run, folders[run.id], "interrupted")
        sync.close(INTERRUPT_PATIENCE_S)
        raise
    sync.close()
    yield from map(Warned, sync.news())


def _recall(runs: Sequence[Run], folders: Mapping[str, RunFolder], sync: BackgroundSync) -> Iterator[Ended]:
    """Tell of runs that are finished already."""
    for run in runs:
        result = load_result(folders[run.id])
        assert result is not None
        sync.tell(run, folders[run.id], "finished")
        yield Ended(run, result, again=True)


def _make_again(
    lost: Mapping[str, Run], to_do: Sequence[Run], folders: Mapping[str, RunFolder], executor: Executor
) -> Iterator[Event]:
    """Execute runs, those that are lost beside their records; of these, the results on record are told."""
    places = dict(folders) | {id_: again_folder(folders[id_]) for id_ in lost}
    for event in executor(to_do, places):
        if not isinstance(event, Ended) or event.run.id not in lost:
            yield event
            continue
        run = event.run
        if event.result.status == "finished":
            wanted = {item.start.which for item in to_do if item.start and item.start.run_id == run.id}
            problem = keep_weights(run, folders[run.id], wanted)
            places[run.id] = folders[run.id]  # what starts from it finds its weights there
        else:
            problem = f"{run.label}: {event.result.status} when it was trained again: {event.result.reason}"
        yield from [Warned(problem)] if problem else []
        recorded = load_result(folders[run.id])
        assert recorded is not None
        yield replace(event, result=recorded)


def _fetch(runs: Sequence[Run], study: str, store: Store, folders: Mapping[str, RunFolder]) -> Iterator[Warned]:
    """Bring the runs here that were finished elsewhere, unless the store fails; what is damaged there is left there."""
    for run in runs:
        try:
            warned = list(_attempt(partial(store.fetch, run.id, study, folders[run.id])))
        except InputError as error:
            yield Warned(str(error))
            continue
        except NoWeights:
            yield Warned(f"{run.label}: its weights are gone or damaged; it is trained again")
            continue
        yield from warned
        if warned:
            return


def _follow(
    event: Event,
    sync: BackgroundSync,
    folders: Mapping[str, RunFolder],
    under_way: dict[str, Run],
    lost: Collection[str],
) -> None:
    """Have the store brought up to date after an event; `under_way` keeps the runs that a process works on.

    Of those that are made again the store has all.
    """
    match event:
        case Started(run) | Advanced(run, _) | Ended(run, _, _) if run.id in lost:
            sync.tell(run, folders[run.id], "finished")
        case Started(run) | Advanced(run, _):
            under_way[run.id] = run
            sync.tell(run, folders[run.id], "running")
        case Ended(run, result, _):
            under_way.pop(run.id, None)
            if result.status == "finished":
                drop_last(folders[run.id])
            sync.tell(run, folders[run.id], result.status)
        case Warned():
            pass


def _attempt(call: Callable[[], object]) -> Iterator[Warned]:
    try:
        call()
    except StoreError as error:
        yield Warned(f"{error}; the results are safe on this disk")
