"""Runs on other machines, without a shared disk: what is sent when, what becomes of what arrives.

This process decides what starts when. Each run is worked on in a scratch folder elsewhere (`worker`), from where each
epoch is sent home: first the files of the run's folder that have changed (`transfer`), then the epoch's figures. Here
the files are written into the run's folder on this disk, which is the durable truth as it is for local runs, and from
which the tracking store is brought up to date; the other machines need neither this disk nor the store. The weights
that a run starts from, and the checkpoint of one that has to go on, are sent along with it.

When a worker or its machine dies, the run is sent again with the last checkpoint that has arrived. When this process
dies, the next one goes on from what the folders hold. It holds each run's lock while the run is elsewhere, as the
process of a local run does: what else works on the same folders waits, and a worker that was given up can write nothing
here.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from harness.execute.events import Advanced, Ended, Event, Started, Warned
from harness.execute.remote.transfer import Chunk, FolderReceiver, pack_to_go_on
from harness.execute.remote.worker import Message, RemoteRun, RunSent, RunTaken, WorkerDied
from harness.execute.scheduler import Scheduler
from harness.execute.time_limits import STATED, TimeLimits
from harness.execute.worker import Failure
from harness.files import locked
from harness.records import Machine, Progress, Run
from harness.runs.folder import RunFolder, find_start_problem, is_finished, load_ended
from harness.runs.provenance import read_origin

DEATHS = 4
"""A run has failed when so many of its workers have died without a new epoch between them."""
SENT = 500  # runs that other machines, or their queue, have at once; more than that wait here
POLL_S = 1.0
IDLE_S = 60.0
"""After so long without a run that a machine works on, the user is told why."""


@dataclass(frozen=True)
class RunClosed:
    """A remote run sends nothing more. `why` says what ended it, where it did not say so itself."""

    why: Failure | WorkerDied | None = None


class RemoteMachines(Protocol):
    """Machines that take remote runs."""

    def send(self, remote_run: RemoteRun, own: Iterable[Chunk], start: Path | None) -> None:
        """Have a run worked on as soon as a machine is free, from its own files and the weights in the file `start`."""

    def forget(self, start: Path) -> None:
        """Note that no more runs start from these weights."""

    def receive(self, seconds: float) -> Sequence[tuple[str, Message | RunClosed]]:
        """Return what has arrived, with the run's id; wait for it so long at most."""

    def cancel(self, run_id: str) -> None:
        """End a remote run; nothing more arrives from it."""

    def shortage(self) -> str:
        """Return why no machine takes a remote run, as far as that is known."""


@dataclass
class _SentRun:
    """A run that was sent, and what is known of it."""

    run: Run
    receiver: FolderReceiver
    lock: ExitStack
    host: str = ""
    """The machine that has taken it up."""
    why: Failure | WorkerDied | None = None
    """Why it will have no result."""


@dataclass
class _Attempts:
    """How a run has fared so far."""

    started: bool = False
    epoch: int = -1
    """The last epoch that has arrived."""
    deaths: int = 0
    """Workers that have died since."""
    not_before: float = 0.0


def execute_remote(
    runs: Sequence[Run],
    folders: Mapping[str, RunFolder],
    machine: Machine,
    remote: RemoteMachines,
    patience: TimeLimits = STATED,
) -> Iterator[Event]:
    """Execute runs, given with each after the run it starts from, on other machines. Yields what happens.

    Closing the iterator, or an interrupt, cancels every run; what has arrived from them stays.
    """
    driver = _Driver(runs, folders, machine, remote, patience)
    try:
        yield from driver.events()
    finally:
        driver.cancel_all()


class _Driver:
    def __init__(
        self,
        runs: Sequence[Run],
        folders: Mapping[str, RunFolder],
        machine: Machine,
        remote: RemoteMachines,
        patience: TimeLimits,
    ) -> None:
        self._patience = patience
        self._queue = Scheduler(runs, folders)
        self._folders = folders
        self._machine = replace(machine, origin=read_origin())
        self._remote = remote
        self._sent: dict[str, _SentRun] = {}
        self._attempts = {run.id: _Attempts() for run in runs}

    def events(self) -> Iterator[Event]:
        """Send what is ready, note what arrives, until every run is at its end."""
        busy = time.monotonic()
        while self._queue or self._sent:
            yield from self._queue.skip_lost()
            yield from self._send_ready()
            arrived = self._remote.receive(POLL_S)
            for run_id, message in arrived:
                if run_id in self._sent:
                    yield from self._note(self._sent[run_id], message)
            now = time.monotonic()
            if arrived or not self._sent or any(sent.host for sent in self._sent.values()):
                busy = now
            elif now - busy > IDLE_S:
                busy = now
                yield Warned(f"no machine has taken up a run for {IDLE_S:.0f} s: {self._remote.shortage()}")

    def cancel_all(self) -> None:
        """End what is under way."""
        for run_id in list(self._sent):
            self._remote.cancel(run_id)
            self._close(run_id)

    def _send_ready(self) -> Iterator[Event]:
        for run in self._queue.ready():
            if len(self._sent) >= SENT:
                return
            if time.monotonic() < self._attempts[run.id].not_before:
                continue
            # Taken before the run is sent and kept until it is closed: the folder is written by nobody else meanwhile.
            lock = ExitStack()
            if not lock.enter_context(locked(self._folders[run.id].lock, wait=False)):
                lock.close()  # another process works on it
                continue
            self._queue.take(run)
            self._sent[run.id] = _SentRun(run, FolderReceiver(self._folders[run.id].path), lock)
            yield from self._send(run)

    def _send(self, run: Run) -> Iterator[Event]:
        folder, start = self._folders[run.id], self._queue.start_file(run)
        if is_finished(folder):  # by the process that had the lock
            yield self._end(run)
        elif start is not None and (problem := find_start_problem(start)):
            yield self._fail(run, problem)
        else:
            remote_run = RemoteRun(run, self._machine, str(folder.path), str(Path.cwd()), self._patience)
            self._remote.send(remote_run, pack_to_go_on(folder), start)
        if start is not None and not self._queue.wants(start):
            self._remote.forget(start)

    def _note(self, sent: _SentRun, message: Message | RunClosed) -> Iterator[Event]:
        run, attempts = sent.run, self._attempts[sent.run.id]
        match message:
            case RunTaken(host):
                yield from [] if attempts.started else [Started(run)]  # told once, however often the run is sent
                sent.host, attempts.started = host, True
            case Chunk():
                yield from self._take(sent, message)
            case Progress(epoch=epoch) if epoch > attempts.epoch:
                # Told once: a run that goes on repeats what it has done.
                attempts.epoch, attempts.deaths = epoch, 0
                yield Advanced(run, message)
            case Warned():
                yield message
            case Failure() | WorkerDied():
                sent.why = message
            case RunSent(names):
                self._remove_checkpoints(run, names)
            case RunClosed(why):
                yield from self._conclude(sent, why or sent.why or WorkerDied("its worker ended without a word"))

    def _take(self, sent: _SentRun, chunk: Chunk) -> Iterator[Ended]:
        try:
            sent.receiver.take(chunk)
        except OSError as error:
            self._remote.cancel(sent.run.id)
            yield self._fail(sent.run, f"{error.filename or self._folders[sent.run.id].path}: {error.strerror}")

    def _conclude(self, sent: _SentRun, why: Failure | WorkerDied) -> Iterator[Event]:
        run, attempts = sent.run, self._attempts[sent.run.id]
        if is_finished(self._folders[run.id]):
            yield self._end(run)
        elif isinstance(why, Failure):
            yield self._fail(run, why.reason)
        elif attempts.deaths + 1 >= DEATHS:
            yield self._fail(
                run,
                f"its workers died {DEATHS} times without a new epoch, the last time so: {why.reason}; run again to "
                "continue from its last checkpoint",
            )
        else:
            # Twice as long each time: a dead machine may be given out again before it is known to be dead.
            attempts.deaths += 1
            attempts.not_before = time.monotonic() + 2 ** (attempts.deaths - 1)
            self._close(run.id)
            self._queue.put_back(run)
            place = f" (on {sent.host})" if sent.host else ""
            yield Warned(f"{run.label}: {why.reason}{place}; it is sent again and goes on from its last checkpoint")

    def _end(self, run: Run) -> Ended:
        self._close(run.id)
        return self._queue.end(run, load_ended(self._folders[run.id]))

    def _fail(self, run: Run, reason: str) -> Ended:
        self._close(run.id)
        return self._queue.fail(run, reason)

    def _close(self, run_id: str) -> None:
        sent = self._sent.pop(run_id)
        sent.receiver.close()
        sent.lock.close()

    def _remove_checkpoints(self, run: Run, kept: Collection[str]) -> None:
        """Remove what a finished run needed to go on, as its process did where it worked."""
        folder = self._folders[run.id]
        if is_finished(folder):
            for path in folder.state.parent.glob("*"):
                if path.name not in kept:
                    path.unlink()
