"""A whole plan: what is finished is kept, the rest is executed, and the tracking store follows each step.

Weights that a run starts from and that were not kept are made once more, beside the record of their run, which stays. A
run's id stands for its numbers, so the same weights come again. That they do is checked by what they count.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from harness.errors import InputError, name_some
from harness.execute.events import Advanced, Ended, Event, Started, Tick, Warned
from harness.files import locked
from harness.judged import digest_counts
from harness.records import Plan, Run, RunResult, Status, Which
from harness.runs.folder import RunFolder, is_finished, is_running, load_ended, load_result, record_weights, run_folder
from harness.runs.studies import drop_last, save_study
from harness.tracking.background_sync import BackgroundSync
from harness.tracking.protocol import NoWeights, Shown, Store, StoreError, study_lock
from harness.tracking.server import sync_command

INTERRUPT_PATIENCE_S = 10.0
"""How long an interrupted process goes on telling the store what is so."""

MOST_LABELS = 6

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
    # On disk before the store hears of it: what a store knows of a study can then always be made again from here.
    save_study(store.root, plan)
    warned = _attempt(store.open_study, plan)
    yield from warned
    folders = {run.id: run_folder(store.root, run.id) for run in plan.runs}
    unique = tuple({run.id: run for run in runs}.values())
    sync = BackgroundSync(store, plan, opened=not warned)
    status: Status = "interrupted"
    try:
        # Shared, for several processes may execute one study; as long as any of them holds it, nobody takes the runs
        # that the store shows as running for runs that were killed.
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
        # The last process to leave closes the study, and only where the store has all of it: never ahead of the disk.
        with locked(study_lock(store.root, plan.study), wait=False) as alone:
            if alone and not sync.behind:
                _attempt(store.close_study, status)
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
    done = {run.id for run in runs if run.id not in lost and is_finished(folders[run.id])}
    try:
        yield from map(Warned, describe_lost(tuple(lost.values())))
        for run in (run for run in runs if run.id in done):
            sync.tell(run, folders[run.id], "finished")
            yield Ended(run, load_ended(folders[run.id]), again=True)
        for event in _make_again(lost, [run for run in runs if run.id not in done], folders, executor):
            if not isinstance(event, Tick):
                yield event
            if isinstance(event, Started | Advanced | Ended):
                _follow(event, folders[event.run.id], sync, under_way, lost)
            yield from map(Warned, sync.news())
    except BaseException:
        # The runs' processes are gone by now. What they wrote stays, so each can go on; the store is told so.
        for run in under_way.values():
            if not is_running(folders[run.id]):  # else another process works on it
                sync.tell(run, folders[run.id], "interrupted")
        sync.close(INTERRUPT_PATIENCE_S)
        raise
    sync.close()
    yield from map(Warned, sync.news())


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
        yield replace(event, result=load_ended(folders[run.id]))


def _fetch(runs: Sequence[Run], study: str, store: Store, folders: Mapping[str, RunFolder]) -> Iterator[Warned]:
    """Bring the runs here that were finished elsewhere, unless the store fails; what is damaged there is left there."""
    for run in runs:
        try:
            warned = _attempt(store.fetch, run.id, study, folders[run.id])
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
    event: Started | Advanced | Ended,
    folder: RunFolder,
    sync: BackgroundSync,
    under_way: dict[str, Run],
    lost: Mapping[str, Run],
) -> None:
    """Have the store brought up to date after an event; `under_way` keeps the runs that a process works on."""
    run = event.run
    status: Shown = event.result.status if isinstance(event, Ended) else "running"
    if run.id in lost:  # made again for its weights alone: the store has all of it
        status = "finished"
    elif status == "running":
        under_way[run.id] = run
    else:
        under_way.pop(run.id, None)
        if status == "finished":
            drop_last(folder)
    sync.tell(run, folder, status)


def _attempt(call: Callable[..., object], *arguments: object) -> list[Warned]:
    """Call a store; where it fails, return what to say of that."""
    try:
        call(*arguments)
    except StoreError as error:
        return [Warned(f"{error}; the results are safe on this disk")]
    return []


def find_lost_starts(runs: Iterable[Run], folders: Mapping[str, RunFolder]) -> tuple[Run, ...]:
    """Return the finished runs that lack the weights which unfinished ones start from, each after its own start.

    `runs` are given with each after the run it starts from.
    """
    wanted: dict[str, set[Which]] = {}
    lost: list[Run] = []
    for run in reversed(list({run.id: run for run in runs}.values())):
        folder, finished = folders[run.id], is_finished(folders[run.id])
        is_lost = finished and not all(folder.weights(which).exists() for which in wanted.get(run.id, ()))
        if is_lost:
            lost.insert(0, run)
        if run.start is not None and (is_lost or not finished):
            wanted.setdefault(run.start.run_id, set()).add(run.start.which)
    return tuple(lost)


def describe_lost(runs: Sequence[Run]) -> tuple[str, ...]:
    """Return a sentence on runs that are made once more; nothing where there are none."""
    if not runs:
        return ()
    return (
        f"{name_some([run.label for run in runs], MOST_LABELS)}: finished, but the weights that others start from now "
        "were not kept; trained again for them, with the same numbers",
    )


def again_folder(folder: RunFolder) -> RunFolder:
    """Return where a run is made once more."""
    return RunFolder(folder.path / "again")


def keep_weights(run: Run, folder: RunFolder, wanted: Collection[Which]) -> str:
    """Move to a run's record the wanted weights that it lacks and that were made again; return what is wrong with them.

    Where they count something else than the record says, none of them are kept.
    """
    again = again_folder(folder)
    with locked(again.lock):
        recorded, made = load_result(folder), load_result(again)
        same = recorded is not None and made is not None and _digests(recorded) == _digests(made)
        for which in wanted if same else ():
            if again.weights(which).exists() and not folder.weights(which).exists():
                folder.weights(which).parent.mkdir(exist_ok=True)
                record_weights(folder, again.weights(which), again.path)
                again.weights(which).replace(folder.weights(which))
        shutil.rmtree(again.path, ignore_errors=True)
    if same:
        return ""
    return (
        f"{run.label}: trained again for its weights it counts something else than its record says (another machine, "
        f"or other versions of libraries?); they are not used. To replace the record: remove the folder {folder.path}"
    )


def _digests(result: RunResult) -> tuple[str, str]:
    return digest_counts(result), digest_counts(replace(result, last_counts={}))
