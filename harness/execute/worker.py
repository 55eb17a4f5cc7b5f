"""The process of one run: what it does at its borders. It tells its parent each epoch and dies with it."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

from harness.errors import HarnessError, describe, is_out_of_memory, without_unsafe_advice
from harness.execute.fork_server import forget_setting, lead_family
from harness.execute.output_log import print_into
from harness.records import Machine, Run
from harness.runs.folder import RunFolder
from harness.train.batch_counter import BatchCounter

PULSE_S = 1.0
"""How often a run's process says how far it is."""


@dataclass(frozen=True)
class Failure:
    """What a run's process says before it ends without a result."""

    reason: str


@dataclass(frozen=True)
class BatchesDone:
    """The run has trained on, or judged, so many batches by now."""

    batches: int


def run_in_child(run: Run, folder: RunFolder, machine: Machine, start: Path | None, pipe: Connection) -> NoReturn:
    """Be the process of one run. Epochs and a failure go into the pipe; all that is printed goes to the run's log.

    The process ends when the run does, whatever threads and helpers a plugin has left.
    """
    lead_family()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what ends
    threading.Thread(target=_die_with_parent, args=(pipe,), daemon=True).start()
    print_into(folder.log)
    # Python, too, prints where standard output goes now: also what ends it, and its stacks when the parent asks.
    sys.stdout, sys.stderr = (os.fdopen(fd, "w", buffering=1, encoding="utf-8", errors="replace") for fd in (1, 2))
    faulthandler.enable(sys.stderr)
    faulthandler.register(signal.SIGUSR1, sys.stderr, all_threads=True)
    logging.getLogger("harness").setLevel(logging.INFO)
    logging.getLogger("harness").addHandler(logging.StreamHandler(sys.stdout))
    forget_setting()
    counter, lock = BatchCounter(), threading.Lock()

    def tell(message: object) -> None:
        with lock:  # two threads send
            pipe.send(message)

    threading.Thread(target=_tell_batches, args=(counter, tell), daemon=True).start()
    try:
        from harness.execute.run import run_one  # here: a failing import is then a failure of the run, with its reason

        run_one(run, folder, machine, start, tell, counter)
    except HarnessError as error:
        tell(Failure(str(error)))
    except Exception as error:  # noqa: BLE001 - the border of the process: whatever it is, the other runs go on
        print(without_unsafe_advice(traceback.format_exc()), file=sys.stderr)
        text = describe(error)
        if is_out_of_memory(error):
            cause = f"out of memory where a smaller batch does not help ({text})"
            text = f"{cause}; other programs may have used it: run again"
        tell(Failure(f"{text}; details in {folder.log}"))
    # Without waiting for threads, as the interpreter's own exit would: one that a plugin left may never end.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _tell_batches(counter: BatchCounter, tell: Callable[[object], None]) -> None:
    """Tell how far the run is, as long as it moves. A thread of its own: where it cannot run, nothing moves."""
    told, still = 0, threading.Event()
    while not still.wait(PULSE_S):
        if counter.batches != told:
            told = counter.batches
            tell(BatchesDone(told))


def _die_with_parent(pipe: Connection) -> None:
    """Wait for the parent, which never sends: the read ends when the parent does, even if it was killed."""
    try:
        pipe.recv_bytes()
    except (EOFError, OSError):
        os.killpg(os.getpgrp(), signal.SIGKILL)
