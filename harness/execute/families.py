"""A run's process and all that it starts: a family, which ends with it.

A plugin may start helpers, and those others. The run's process leads a session of its own, so that one signal reaches
them all. One that has left the session is still found on Linux: what loses its parent there falls to the run's process,
and, once that is gone, to the server that forks the runs (`keeper`); the server outlives the command that is killed,
and ends what is left. Elsewhere the session is all that is known.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path

GRACE_S = 3.0
"""How long a process that is asked to end (SIGTERM) may take before it is ended."""
_SET_DEATH_SIGNAL, _SET_ADOPTS_ORPHANS = 1, 36
"""PR_SET_PDEATHSIG and PR_SET_CHILD_SUBREAPER of prctl(2)."""


def lead_family() -> None:
    """Make this process the leader of a family; it can be ended by SIGTERM, whatever the command does with that."""
    os.setsid()
    adopt_orphans()
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_DFL)


def adopt_orphans() -> None:
    """Become the parent of descendants that lose theirs; does nothing where the system has no such thing."""
    _prctl(_SET_ADOPTS_ORPHANS, 1)


def die_with_parent(signum: int) -> None:
    """Have the system send this process a signal when its parent ends; does nothing where there is no such thing."""
    _prctl(_SET_DEATH_SIGNAL, signum)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def end_processes(processes: Collection[BaseProcess]) -> None:
    """End leaders and their families: by SIGTERM, and what is still there after a while by SIGKILL."""
    for process in processes:
        _signal_family(process.pid, signal.SIGTERM)
    until = time.monotonic() + GRACE_S
    for process in processes:
        process.join(max(until - time.monotonic(), 0))
    for process in processes:
        end_family(process.pid)
        process.join()


def end_probes() -> None:
    """End every leader that this program has started, and its family, at once."""
    for process in multiprocessing.active_children():
        if process.pid is not None and _session(process.pid) == process.pid:
            end_family(process.pid)


def end_family(leader: int | None) -> None:
    """End a leader, if it is still there, and its family (SIGKILL)."""
    if leader is None:
        return
    family = list(_descendants(leader))
    _signal_family(leader, signal.SIGKILL)
    _kill(family)
    server = getattr(forkserver._forkserver, "_forkserver_pid", None)
    if server is not None:
        living = {process.pid for process in multiprocessing.active_children()} - {leader}
        end_orphans(server, living)


def end_orphans(server: int, living: Collection[int | None] = ()) -> int:
    """End what has fallen to the server: its children in sessions of their own that are none of the living leaders.

    Returns how many there were.
    """
    home = _session(server)
    left = [pid for pid in _children(server) if pid not in living and _session(pid) not in (home, None)]
    for pid in left:
        family = list(_descendants(pid))
        _kill([pid, *family])
    return len(left)


def _signal_family(leader: int | None, signum: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        if leader is not None and leader != os.getpgrp():
            os.killpg(leader, signum)


def _kill(pids: Collection[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _session(pid: int) -> int | None:
    with suppress(ProcessLookupError, PermissionError):
        return os.getsid(pid)
    return None


def _descendants(pid: int) -> Iterator[int]:
    parents = _parents()
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        yield from more
        found |= more


def _children(pid: int) -> list[int]:
    return [child for child, parent in _parents().items() if parent == pid]


def _parents() -> dict[int, int]:
    """Return the parent of each process that the system lists (Linux; elsewhere none)."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            found[int(folder.name)] = int((folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    return found
