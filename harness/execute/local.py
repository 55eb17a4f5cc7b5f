"""Runs on this machine: each in its own process, several at once, each as soon as the run it starts from is done."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from harness.execute.device_slots import DeviceSlots, make_device_slots
from harness.execute.events import Advanced, Ended, Event, Started, Tick, Warned
from harness.execute.fork_server import end_processes
from harness.execute.machine import GIB, MemoryNeeds, RunningRun, read_capacity, read_memory
from harness.execute.scheduler import Scheduler
from harness.execute.time_limits import STATED, TimeLimits
from harness.execute.worker_monitor import Worker, wait_for
from harness.records import Machine, Progress, Run
from harness.runs.folder import RunFolder, load_result

POLL_S = 1.0
LONGEST_WORDS = 200

Active = list[tuple[RunningRun, Worker]]
"""Runs that have a process."""


@dataclass(frozen=True)
class Local:
    """Executes runs on this machine; an `Executor`."""

    machine: Machine
    jobs: int | None = None
    """Runs at once; None for as many as fill the machine."""
    gpus_per_run: float | None = None
    """None for a GPU of its own where there are any; below 1, runs share one."""
    patience: TimeLimits = STATED
    """What is had with each."""

    def __call__(self, runs: Sequence[Run], folders: Mapping[str, RunFolder]) -> Iterator[Event]:
        """Execute runs, given with each after the run it starts from; those that are finished already are not started.

        Yields what happens. Closing the iterator, or an interrupt, ends every process, with all that it has started;
        what they wrote stays.

        Raises:
            InputError: a GPU, or a share of one, that is not there.
        """
        offer = read_capacity(self.machine.device, _threads(runs))
        slots = make_device_slots(offer, self.machine.device, jobs=self.jobs, gpus_per_run=self.gpus_per_run)
        if self.jobs is not None and slots.jobs < self.jobs:
            yield Warned(
                f"{slots.jobs} runs at once, not {self.jobs}: with {slots.per_device} on each of "
                f"{len(slots.devices)} GPUs there is no room for more; see --gpus-per-run"
            )
        yield from execute_in(slots, runs, folders, self.machine, patience=self.patience)


def default_jobs(runs: Sequence[Run], device: str = "auto") -> int:
    """Return how many of these runs fill this machine: its cores over the threads of a run, and one a GPU."""
    return make_device_slots(read_capacity(device, _threads(runs)), device).jobs


def _threads(runs: Sequence[Run]) -> int:
    return max((run.config.train.threads for run in runs), default=1)


def execute_in(
    slots: DeviceSlots,
    runs: Sequence[Run],
    folders: Mapping[str, RunFolder],
    machine: Machine,
    *,
    available: Callable[[], int] = read_memory,
    patience: TimeLimits = STATED,
) -> Iterator[Event]:
    """Execute runs as `Local` does, in these slots; `available` reads the memory still to be had (bytes).

    A run that memory would not hold beside those under way waits, and those behind it with it; one run always goes.
    """
    queue, needs = Scheduler(runs, folders), MemoryNeeds()
    active: Active = []
    warned = False
    try:
        while queue or active:
            yield from queue.skip_lost()
            # The order is kept, also where a later and smaller run would have room: else a large one, with all that
            # starts from it, would wait until no small one is left.
            for run in queue.ready():
                device = slots.choose([item.device for item, _ in active])
                if device is None:
                    break
                lack = _lack_of_memory(run, device, [item for item, _ in active], needs, available)
                if lack:
                    yield from [] if warned else [Warned(lack)]
                    warned = True
                    break
                queue.take(run)
                own, start = replace(machine, device=device), queue.start_file(run)
                worker = Worker(run, folders[run.id], own, start, patience)
                active.append((RunningRun(run, worker.pid, device), worker))
                yield Started(run)
            yield from _listen(active, folders, queue, needs)
    finally:
        end_processes([worker.process for _, worker in active])


def _lack_of_memory(
    run: Run, device: str, under_way: Sequence[RunningRun], needs: MemoryNeeds, available: Callable[[], int]
) -> str:
    """Return that a run has to wait for memory, in words for the user; nothing where it has not."""
    need, free = needs.of(run, device), available() - needs.promised(under_way)
    if not under_way or need <= free:
        return ""
    return (
        f"{run.label} waits for memory: it needs about {need / GIB:.1f} GiB, and {max(free, 0) / GIB:.1f} GiB are free "
        f"beside what the {len(under_way)} under way may still use; other runs wait likewise"
    )


def _listen(active: Active, folders: Mapping[str, RunFolder], queue: Scheduler, needs: MemoryNeeds) -> Iterator[Event]:
    """Yield what the processes say, or, where they have said nothing for a while, a beat."""
    silent = not wait_for([worker for _, worker in active], POLL_S)
    for item, worker in list(active):
        for message in worker.hear():
            if isinstance(message, Progress):
                if message.epoch > 0:
                    needs.learn(item)
                yield Advanced(item.run, message)
            else:
                yield message
        if worker.is_over:
            active.remove((item, worker))
            yield _conclude(item.run, worker, folders[item.run.id], queue)
    if silent:
        yield Tick()


def _conclude(run: Run, worker: Worker, folder: RunFolder, queue: Scheduler) -> Ended:
    """Note what became of a run whose process has ended; where that is no result, it has failed."""
    why = worker.failure
    result = load_result(folder) if why is None else None
    if result is not None and result.status == "finished":
        return queue.end(run, result)
    return queue.fail(run, why.reason if why else _describe_death(worker, folder.log))


def _describe_death(worker: Worker, log: Path) -> str:
    """Return how a process has ended without a result, with the last line that it printed: that names the cause."""
    told, code = worker.describe_death(), worker.process.exitcode or 0
    if code < 0:
        hint = " (the system does this when memory runs out)" if code == -signal.SIGKILL else ""
        return f"{told}{hint}; run again to continue from its last completed epoch"
    printed = ""
    with suppress(OSError):
        printed = log.read_text(encoding="utf-8", errors="replace")  # of 4 MB at most
    last = next((line.strip() for line in reversed(printed.split("\n")) if line.strip()), "")
    return f"{told}{f': {last[:LONGEST_WORDS]}' if last else ''}; see {log}"
