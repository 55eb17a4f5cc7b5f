"""A run's process as its parent sees it: what it says, that it is silent, that it takes too long, that it has ended.

The end of the process is what counts, not that of the pipe: a helper that a plugin has started holds the pipe too.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import wait
from pathlib import Path

from harness.execute.events import Warned
from harness.execute.fork_server import end_family, end_processes, run_context
from harness.execute.output_log import cut_middle
from harness.execute.time_limits import ProgressWatch, TimeLimits, in_words
from harness.execute.worker import BatchesDone, Failure, run_in_child
from harness.records import Machine, Progress, Run
from harness.runs.folder import RunFolder

Said = Progress | Warned

OVERDUE = "it took longer than --run-timeout ({}), and was ended; run again to continue from its last epoch"
QUOTED = 3
"""Innermost calls of a silent run that a warning shows."""
STACK_S = 2.0
"""How long a stack is waited for."""
_FRAMES = "most recent call first"


class Worker:
    """A run's process, which starts when this is made."""

    def __init__(self, run: Run, folder: RunFolder, machine: Machine, start: Path | None, patience: TimeLimits) -> None:
        context = run_context()
        self._pipe, theirs = context.Pipe()
        arguments = (run, folder, machine, start, theirs)
        self.process = context.Process(target=run_in_child, args=arguments, name=run.label)
        self.process.start()
        theirs.close()
        self.is_over = False
        self.failure: Failure | None = None
        """Why there will be no result, where that is known before the process has ended or in its last words."""
        self._run, self._log = run, folder.log
        self._patience, self._watch = patience, ProgressWatch(patience)

    @property
    def pid(self) -> int:
        """Return the process's number."""
        assert self.process.pid is not None
        return self.process.pid

    def hear(self) -> list[Said]:
        """Return what the process has said since it was last asked, and what there is to say of it.

        When the process has ended, these are its last words: its family is ended, and `is_over` set.
        """
        # The pipe is read after the process is known to have ended: then all of its last words are in it. A helper
        # that still holds the pipe is ended first, or it might write on.
        ended = not self.process.is_alive()
        if ended:
            end_family(self.pid)
        messages = self._read()
        if not ended and self._watch.is_overdue():
            self.end()
            messages += self._read()
            self.failure, ended = Failure(OVERDUE.format(in_words(self._patience.run_s or 0))), True
        if not ended:
            messages += self._describe_silence()
        elif not self.is_over:
            self.is_over = True
            self._pipe.close()
            cut_middle(self._log)
        return messages

    def end(self) -> None:
        """End the process and its family; what it wrote stays."""
        end_processes([self.process])

    def describe_death(self) -> str:
        """Return how the process has ended that leaves no result and did not say why."""
        code = self.process.exitcode
        if code is not None and code < 0:
            return f"its process was ended by {signal.Signals(-code).name}"
        return f"its process ended with exit code {code} and no result"

    def _read(self) -> list[Said]:
        messages: list[Said] = []
        with suppress(EOFError, ConnectionResetError):
            while self._pipe.poll():
                message = self._pipe.recv()
                if isinstance(message, BatchesDone):
                    self._watch.note(message.batches)
                elif isinstance(message, Failure):
                    self.failure = message
                else:
                    messages.append(message)
        return messages

    def _describe_silence(self) -> list[Said]:
        silent = self._watch.silence()
        if not silent:
            return []
        stack = _ask_for_stack(self.pid, self._log)
        where = f"; it stands at {' < '.join(stack)}" if stack else ""
        found = [f"{name}={os.environ[name]}" for name in sorted(os.environ) if name.startswith(("OMP_", "KMP_"))]
        threads = f"; {', '.join(found)} may be why" if found and self._run.config.train.threads > 1 else ""
        text = (
            f"{self._run.label} has trained or judged nothing for {in_words(silent)}{where}{threads}; the whole "
            f"stack is in {self._log}; it is not ended: --run-timeout does that"
        )
        return [Warned(text)]


def wait_for(workers: Sequence[Worker], seconds: float) -> bool:
    """Wait until a worker says something or ends, so many seconds at most; return whether one has."""
    of_any = [item for worker in workers for item in (worker._pipe, worker.process.sentinel)]
    return bool(wait(of_any, seconds))


def _ask_for_stack(pid: int, log: Path) -> list[str]:
    """Have a process write the stacks of its threads into its log; return the innermost calls of its main thread."""
    try:
        size = log.stat().st_size
        os.kill(pid, signal.SIGUSR1)
    except OSError:
        return []
    until, text = time.monotonic() + STACK_S, ""
    while time.monotonic() < until:
        time.sleep(0.1)
        with log.open("rb") as file:
            file.seek(size)
            found = file.read().decode(errors="replace")
        if found == text and _FRAMES in text:
            break
        text = found
    frames = text.rpartition(_FRAMES)[2].splitlines()[1:]
    return [frame.strip() for frame in frames[:QUOTED] if frame.startswith("  File")]
