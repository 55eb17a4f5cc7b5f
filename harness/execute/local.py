"""Runs on this machine: each in its own process, several at once, each as soon as the run it starts from is done."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from harness.execute.device_slots import Places, make_places
from harness.execute.events import Advanced, Beat, Ended, Event, Started, Warned
from harness.execute.machine import read_memory, read_offer
from harness.execute.memory import GIB, Needs, UnderWay
from harness.execute.process_tree import end_processes
from harness.execute.time_limits import STATED, Patience
from harness.execute.worker_monitor import Worker, wait_for
from harness.records import Machine, Progress, Run, RunResult
from harness.runs.folder import RunFolder, is_finished, load_result, read_progress, save_result

POLL_S = 1.0
LONGEST_WORDS = 200


@dataclass(frozen=True)
class Local:
    """Executes runs on this machine; an `Executor`."""

    machine: Machine
    jobs: int | None = None
    gpus_per_run: float | None = None
    patience: Patience = STATED

    def __call__(self, runs: Sequence[Run], folders: Mapping[str, RunFolder]) -> Iterator[Event]:
        """Do what `execute_local` does."""
        return execute_local(
            runs, folders, self.machine, jobs=self.jobs, gpus_per_run=self.gpus_per_run, patience=self.patience
        )


class _Active(NamedTuple):
    run: Run
    worker: Worker
    device: str

    @property
    def under_way(self) -> UnderWay:
        return UnderWay(self.run, self.worker.pid, self.device)


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
    patience: Patience = STATED,
) -> Iterator[Event]:
    """Execute runs, given with each after the run it starts from; runs that are finished already are not started.

    `jobs` at once, by default as many as fill the machine; each has a GPU of its own where there are any, or, with
    `gpus_per_run` below 1, shares one; `patience` is had with each. Yields what happens. Closing the iterator, or an
    interrupt, ends every process, with all that it has started; what they wrote stays.

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
    yield from execute_in(places, runs, folders, machine, patience=patience)


def _threads(runs: Sequence[Run]) -> int:
    return max((run.config.train.threads for run in runs), default=1)


def execute_in(
    places: Places,
    runs: Sequence[Run],
    folders: Mapping[str, RunFolder],
    machine: Machine,
    *,
    available: Callable[[], int] = read_memory,
    patience: Patience = STATED,
) -> Iterator[Event]:
    """Execute runs as `execute_local` does, in these places; `available` reads the memory still to be had (bytes).

    A run that memory would not hold beside those under way waits, and those behind it with it; one run always goes.
    """
    waiting, status, needs = list(runs), _statuses(runs, folders), Needs()
    active: list[_Active] = []
    warned = False
    try:
        while waiting or active:
            yield from _skip_lost(waiting, status, folders)
            for run in _ready(waiting, status):
                device = places.choose([item.device for item in active])
                if device is None:
                    break
                lack = _lack_of_memory(run, device, [item.under_way for item in active], needs, available)
                if lack:
                    yield from [] if warned else [Warned(lack)]
                    warned = True
                    break
                waiting.remove(run)
                own, start = replace(machine, device=device), _start_file(run, folders)
                active.append(_Active(run, Worker(run, folders[run.id], own, start, patience), device))
                yield Started(run)
            yield from _listen(active, folders, status, needs)
    finally:
        end_processes([item.worker.process for item in active])


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


def _listen(
    active: list[_Active], folders: Mapping[str, RunFolder], status: dict[str, str], needs: Needs
) -> Iterator[Event]:
    """Yield what the processes say, or, where they have said nothing for a while, a beat."""
    silent = not wait_for([item.worker for item in active], POLL_S)
    for item in list(active):
        for said in item.worker.hear():
            if isinstance(said, Progress):
                if said.epoch > 0:
                    needs.learn(item.under_way)
                yield Advanced(item.run, said)
            else:
                yield said
        if item.worker.is_over:
            active.remove(item)
            result = _conclude(item, folders[item.run.id])
            status[item.run.id] = result.status
            yield Ended(item.run, result)
    if silent:
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
    return folders[run.start.run_id].weights(run.start.which)


def _skip(run: Run, folders: Mapping[str, RunFolder]) -> RunResult:
    assert run.start is not None
    parent = load_result(folders[run.start.run_id])
    became = f"{parent.status}: {parent.reason}" if parent else "not finished"
    result = RunResult(run.id, "skipped", f"the run it starts from ({run.start.run_id}) {became}")
    save_result(folders[run.id], result)
    return result


def _conclude(item: _Active, folder: RunFolder) -> RunResult:
    """Return what became of a run whose process has ended; where that is no result, it has failed."""
    why = item.worker.failure
    result = load_result(folder) if why is None else None
    if result is None or result.status != "finished":
        reason = why.reason if why else _describe_death(item.worker.process.exitcode, folder)
        result = RunResult(item.run.id, "failed", reason, history=read_progress(folder))
        save_result(folder, result)
    return result


def _describe_death(exitcode: int | None, folder: RunFolder) -> str:
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        hint = " (the system does this when memory runs out)" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{hint}; run again to continue from its last completed epoch"
    return f"its process ended with exit code {exitcode} and no result{_last_words(folder.log)}; see {folder.log}"


def _last_words(log: Path) -> str:
    """Return the last line that a run's process printed, which names what ended it; nothing where there is none."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n")  # of 4 MB at most
    except OSError:
        return ""
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f": {last[:LONGEST_WORDS]}" if last else ""
