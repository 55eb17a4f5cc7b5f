"""Runs on this machine: each in its own process, several at once, each as soon as the run it starts from is done."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from harness.execute.child import Failure, run_in_child
from harness.execute.events import Advanced, Ended, Event, Started, Warned
from harness.records import Machine, Progress, Run, RunResult
from harness.store.folder import RunFolder, is_finished, load_result, read_progress, save_result

POLL_S = 1.0


@dataclass(frozen=True)
class _Active:
    run: Run
    process: BaseProcess


def default_jobs(runs: Sequence[Run]) -> int:
    """Return how many of these runs fill this machine: its cores over the threads of a run, or one with a GPU."""
    if Path("/dev/nvidiactl").exists():
        return 1
    threads = max((run.config.train.threads for run in runs), default=1)
    return max(1, len(os.sched_getaffinity(0)) // threads)


def execute_local(
    runs: Sequence[Run], folders: Mapping[str, RunFolder], machine: Machine, *, jobs: int | None = None
) -> Iterator[Event]:
    """Execute runs, given with each after the run it starts from; runs that are finished already are not started.

    `jobs` at once, by default as many as fill the machine. Yields what happens. Closing the iterator, or an interrupt,
    ends every process; what they wrote stays.
    """
    jobs = jobs or default_jobs(runs)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["harness.execute.one"])
    waiting, status = list(runs), _statuses(runs, folders)
    active: dict[Connection, _Active] = {}
    try:
        while waiting or active:
            for run in [run for run in waiting if _lost_parent(run, status)]:
                waiting.remove(run)
                status[run.id] = "skipped"
                yield Ended(run, _skip(run, folders))
            for run in _ready(waiting, status, jobs - len(active)):
                waiting.remove(run)
                ours, theirs = context.Pipe()
                arguments = (run, folders[run.id], machine, _start_file(run, folders), theirs)
                process = context.Process(target=run_in_child, args=arguments, name=run.label)
                process.start()
                theirs.close()  # so that the pipe ends when the child does
                active[ours] = _Active(run, process)
                yield Started(run)
            for pipe in [pipe for pipe in wait(list(active), POLL_S) if isinstance(pipe, Connection)]:
                event = _next_event(pipe, active[pipe], folders[active[pipe].run.id])
                if isinstance(event, Ended):
                    del active[pipe]
                    status[event.run.id] = event.result.status
                yield event
    finally:
        for entry in active.values():
            entry.process.terminate()
        for entry in active.values():
            entry.process.join()


def _statuses(runs: Sequence[Run], folders: Mapping[str, RunFolder]) -> dict[str, str]:
    known = {run.id for run in runs}
    return {id_: "finished" for id_, folder in folders.items() if id_ not in known and is_finished(folder)}


def _lost_parent(run: Run, status: Mapping[str, str]) -> bool:
    return run.start is not None and status.get(run.start.run_id) in ("failed", "skipped")


def _ready(waiting: Sequence[Run], status: Mapping[str, str], places: int) -> list[Run]:
    ready = [run for run in waiting if run.start is None or status.get(run.start.run_id) == "finished"]
    return ready[: max(places, 0)]


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
