"""One run on another machine: made in a scratch folder there, its files and epochs sent home as they come.

Nothing here knows how messages travel. The run itself has a process of its own, the one that a run on this machine
has: the same code in the same surroundings, hence the same numbers.
"""

from __future__ import annotations

import os
import shutil
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from harness.data.digests import cache_folder
from harness.errors import HarnessError, InputError
from harness.execute.events import Warned
from harness.execute.inputs import find_changed
from harness.execute.remote.transfer import Chunk, FolderSender
from harness.execute.time_limits import STATED, TimeLimits
from harness.execute.worker import Failure
from harness.execute.worker_monitor import Worker, wait_for
from harness.files import locked
from harness.records import Machine, Progress, Run
from harness.runs.folder import RunFolder, is_finished
from harness.spec.plugins import import_plugin

POLL_S = 0.2
"""A wait is cut into these, between which a cancellation is noticed."""


@dataclass(frozen=True)
class RemoteRun:
    """What another machine needs to know of a run, apart from the files that it starts from."""

    run: Run
    machine: Machine
    home: str
    """The run's folder on the machine that sends the remote run, for messages."""
    cwd: str
    """The folder that the user's command was given in: paths in a spec are relative to it, where it exists."""
    patience: TimeLimits = STATED


@dataclass(frozen=True)
class RunTaken:
    """A machine has taken the run up."""

    host: str


@dataclass(frozen=True)
class WorkerDied:
    """The run's process ended without a result and without saying why; it may succeed when it is started again."""

    reason: str


@dataclass(frozen=True)
class RunSent:
    """The run's process has ended and all its files are sent; of its checkpoints it has kept these."""

    checkpoints: tuple[str, ...]


Message = RunTaken | Chunk | Progress | Warned | Failure | WorkerDied | RunSent


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield an empty folder of this process below the cache folder, and remove what killed processes left there."""
    scratch = cache_folder() / "scratch"
    place = scratch / uuid.uuid4().hex
    with locked(place.with_suffix(".lock")):
        place.mkdir()
        try:
            for other in scratch.iterdir():
                if other.is_dir() and other != place:
                    with locked(other.with_suffix(".lock"), wait=False) as acquired:  # a living process holds it
                        if acquired:
                            _remove(other)
            yield place
        finally:
            _remove(place)


def _remove(place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    place.with_suffix(".lock").unlink(missing_ok=True)


def carry_out(remote_run: RemoteRun, folder: RunFolder, start: Path | None) -> Iterator[Message]:
    """Bring a run to its end, from wherever its folder says it stands; `start` holds the weights that it starts from.

    Yields each epoch after the chunks of the files that hold it. Closing the iterator ends the run's process.
    """
    with suppress(OSError):
        os.chdir(remote_run.cwd)
    try:
        _require_same_inputs(remote_run.run)
    except HarnessError as error:
        yield Failure(str(error))
        return
    worker = Worker(remote_run.run, folder, remote_run.machine, start, remote_run.patience)
    sender = FolderSender(folder)
    try:
        while not worker.is_over:
            wait_for([worker], POLL_S)
            # Files go before words: an epoch that the other side hears of is on its disk by then.
            if messages := worker.hear():
                yield from sender.changed()
            for message in messages:
                if isinstance(message, Warned):
                    message = Warned(message.text.replace(str(folder.path), remote_run.home))
                yield message
        yield from sender.changed(with_log=True)
        if worker.failure:
            yield Failure(worker.failure.reason.replace(str(folder.path), remote_run.home))
        elif not is_finished(folder):
            yield WorkerDied(worker.describe_death())
        yield RunSent(tuple(path.name for path in folder.state.parent.glob("*")))
    finally:
        worker.end()


def _require_same_inputs(run: Run) -> None:
    """Refuse to compute a run from other data than its id stands for."""
    for module in run.config.plugins:
        import_plugin(module)
    here = socket.gethostname()
    try:
        changed = find_changed(run)
    except InputError as error:
        raise InputError(f"on {here}: {error}; without a shared disk, data.root must be a URL") from None
    if changed:
        raise InputError(
            f"on {here}: {changed[0]} is not what the study was planned with (another content at that place)"
        )
