"""The process of one run: what it does at its borders. It tells its parent each epoch and dies with it."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from harness.errors import HarnessError, describe, is_out_of_memory, without_unsafe_advice
from harness.execute.processes import forget_setting
from harness.records import Machine, Run
from harness.store.folder import RunFolder


@dataclass(frozen=True)
class Failure:
    """What a run's process says before it ends without a result."""

    reason: str


def run_in_child(run: Run, folder: RunFolder, machine: Machine, start: Path | None, pipe: Connection) -> None:
    """Be the process of one run. Epochs and a failure go into the pipe; all that is printed goes to the run's log."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the parent decides what ends
    threading.Thread(target=_die_with_parent, args=(pipe,), daemon=True).start()
    _print_into(folder.log)
    forget_setting()
    try:
        from harness.execute.one import run_one  # here: a failing import is then a failure of the run, with its reason

        run_one(run, folder, machine, start, pipe.send)
    except HarnessError as error:
        pipe.send(Failure(str(error)))
    except Exception as error:  # noqa: BLE001 - the border of the process: whatever it is, the other runs go on
        print(without_unsafe_advice(traceback.format_exc()), file=sys.stderr)
        pipe.send(Failure(f"{_explain(error)}; details in {folder.log}"))


def _explain(error: Exception) -> str:
    text = describe(error)
    if is_out_of_memory(error):
        return f"out of memory where a smaller batch does not help ({text}); other programs may have used it: run again"
    return text


def _die_with_parent(pipe: Connection) -> None:
    """Wait for the parent, which never sends: the read ends when the parent does, even if it was killed."""
    try:
        pipe.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)


def _print_into(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", buffering=1), os.fdopen(2, "w", buffering=1)
    logging.getLogger("harness").setLevel(logging.INFO)
    logging.getLogger("harness").addHandler(logging.StreamHandler(sys.stdout))
