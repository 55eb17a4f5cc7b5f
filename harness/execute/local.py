"""Runs on this machine: each in its own process, several at once, each as soon as the run it starts from is done."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

from harness.execute.child import Failure, run_in_child
from harness.execute.events import Advanced, Beat, Ended, Event, Started, Warned
from harness.execute.machine import read_memory, read_offer
from harness.execute.memory import GIB, Needs, UnderWay
from harness.execute.places import Places, make_places
from harness.execute.processes import run_context
from harness.records import Machine, Progress, Run, RunResult
from harness.store.folder import RunFolder, is_finished, load_result, read_progress, save_result

POLL_S = 1.0


@dataclass(frozen=True)
class Local:
    """Executes runs on this machine; an `Executor`."""

    machine: Machine
    jobs: int | None = None
    gpus_per_run: float | None = None

    def __call__(self, runs: Sequence[Run], folders: Mapping[str, RunFolder]) -> Iterator[Event]:
        """Do what `execute_local` does."""
        return execute_local(runs, folders, self.machine, jobs=self.jobs, gpus_per_run=self.gpus_per_run)


class _Active(NamedTuple):
    run: Run
    process: BaseProcess
    device: str

    @property
    def under_way(self) -> UnderWay:
        assert self.process.pid is not None
        return UnderWay(self.run, self.process.pid, self.device)


def default_jobs(runs: Sequence[Run], device: str = "auto") -> int:
    """Return how many of these runs fill this machine: its cores over the threads of a run, and one a GPU."""
    return make_places(read_offer(device, _threads(runs)), device).jobs


def execute_local(
    runs: Sequence[Run],
    folders: Mapping[str, RunFolder],
    machine: Machine,
    *,
    jobs: int | None = None,
    gpus_per_run: float | None = None,
) -> Iterator[Event]:
    """Execute runs, given with each after the run it starts from; runs that are finished already are not started.

    `jobs` at once, by default as many as fill the machine; each has a GPU of its own where there are any, or, with
    `gpus_per_run` below 1, shares one. Yields what happens. Closing the iterator, or an interrupt, ends every process;
    what they wrote stays.

    Raises:
        InputError: a GPU, or a share of one, that is not there.
    """
    offer = read_offer(machine.device, _threads(runs))
    places = make_places(offer, machine.device, jobs=jobs, gpus_per_run=gpus_per_run)
    if jobs is not None and places.jobs < jobs:
        yield Warned(
            f"{places.jobs} runs at once, not {jobs}: with {places.per_device} on each of {len(places.devices)} GPUs "
            "there is no room for more; see --gpus-per-run"
        )
    yield from execute_in(places, runs, folders, machine)


def _threads(runs: Sequence[Run]) -> int:
    return max((run.config.train.threads for run in runs), default=1)


def execute_in(
    places: Places,
    runs: Sequence[Run],
    folders: Mapping[str, RunFolder],
    machine: Machine,
    *,
    available: Callable[[], int] = read_memory,
) -> Iterator[Event]:
    """Execute runs as `execute_local` does, in these places; `available` reads the memory still to be had (bytes).

    A run that memory would not hold beside those under way waits, and those behind it with it; one run always goes.
    """
    waiting, status, needs = list(runs), _statuses(runs, folders), Needs()
    active: dict[Connection, _Active] = {}
    warned = False
    try:
        while waiting or active:
            yield from _skip_lost(waiting, status, folders)
            for run in _ready(waiting, status):
                device = places.choose([item.device for item in active.values()])
                if device is None:
                    break
                lack = _lack_of_memory(run, device, [item.under_way for item in active.values()], needs, available)
                if lack:
                    yield from [] if warned else [Warned(lack)]
                    warned = True
                    break
                waiting.remove(run)
                pipe, process = _start(run, folders, replace(machine, device=device))
                active[pipe] = _Active(run, process, device)
                yield Started(run)
            yield from _listen(active, folders, status, needs)
    finally:
        for item in active.values():
            item.process.terminate()
        for item in active.values():
            item.process.join()


def _skip_lost(waiting: list[Run], status: dict[str, str], folders: Mapping[str, RunFolder]) -> Iterator[Ended]:
    for run in [run for run in waiting if _lost_parent(run, status)]:
        waiting.remove(run)
        status[run.id] = "skipped"
        yield Ended(run, _skip(run, folders))


def _lack_of_memory(
    run: Run, device: str, under_way: Sequence[UnderWay], needs: Needs, available: Callable[[], int]
) -> str:
    """Return that a run has to wait for memory, in words for the user; nothing where it has not."""
    need, free = needs.of(run, device), available() - needs.promised(under_way)
    if not under_way or need <= free:
        return ""
    return (
        f"{run.label} waits for memory: it needs about {need / GIB:.1f} GiB, and {max(free, 0) / GIB:.1f} GiB are free "
        f"beside what the {len(under_way)} under way may still use; other runs wait likewise"
    )


def _start(run: Run, folders: Mapping[str, RunFolder], machine: Machine) -> tuple[Connection, BaseProcess]:
    context = run_context()
    ours, theirs = context.Pipe()
    arguments = (run, folders[run.id], machine, _start_file(run, folders), theirs)
    process = context.Process(target=run_in_child, args=arguments, name=run.label)
    process.start()
    theirs.close()  # so that the pipe ends when the child does
    return ours, process


def _listen(
    active: dict[Connection, _Active], folders: Mapping[str, RunFolder], status: dict[str, str], needs: Needs
) -> Iterator[Event]:
    """Yield what the processes say, or, where they have said nothing for a while, a beat."""
    speaking = [pipe for pipe in wait(list(active), POLL_S) if isinstance(pipe, Connection)]
    for pipe in speaking:
        item = active[pipe]
        event = _next_event(pipe, item, folders[item.run.id])
        if isinstance(event, Advanced) and event.progress.epoch > 0:
            needs.learn(item.under_way)
        if isinstance(event, Ended):
            del active[pipe]
            status[event.run.id] = event.result.status
        yield event
    if not speaking:
        yield Beat()


def _statuses(runs: Sequence[Run], folders: Mapping[str, RunFolder]) -> dict[str, str]:
    known = {run.id for run in runs}
    return {id_: "finished" for id_, folder in folders.items() if id_ not in known and is_finished(folder)}


def _lost_parent(run: Run, status: Mapping[str, str]) -> bool:
    return run.start is not None and status.get(run.start.run_id) in ("failed", "skipped")


def _ready(waiting: Sequence[Run], status: Mapping[str, str]) -> list[Run]:
    return [run for run in waiting if run.start is None or status.get(run.start.run_id) == "finished"]


def _start_file(run: Run, folders: Mapping[str, RunFolder]) -> Path | None:
    if run.start is None:
        return None
    parent = folders[run.start.run_id]
    return parent.best if run.start.which == "best" else parent.last


def _skip(run: Run, folders: Mapping[str, RunFolder]) -> RunResult:
    assert run.start is not None
    parent = load_result(folders[run.start.run_id])
    became = f"{parent.status}: {parent.reason}" if parent else "not finished"
    result = RunResult(run.id, "skipped", f"the run it starts from ({run.start.run_id}) {became}")
    save_result(folders[run.id], result)
    return result


def _next_event(pipe: Connection, active: _Active, folder: RunFolder) -> Event:
    """Read one message of a run's process; the end of the pipe is the end of the process."""
    try:
        message = pipe.recv()
    except (EOFError, ConnectionResetError):
        message = None
    if isinstance(message, Progress):
        return Advanced(active.run, message)
    if isinstance(message, Warned):
        return message
    active.process.join()
    pipe.close()
    result = load_result(folder) if message is None else None
    if result is None or result.status != "finished":
        reason = message.reason if isinstance(message, Failure) else _describe_death(active.process.exitcode, folder)
        result = RunResult(active.run.id, "failed", reason, history=read_progress(folder))
        save_result(folder, result)
    return Ended(active.run, result)


def _describe_death(exitcode: int | None, folder: RunFolder) -> str:
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        hint = " (the system does this when memory runs out)" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{hint}; run again to continue from its last completed epoch"
    return f"its process ended with exit code {exitcode} and no result; see {folder.log}"
