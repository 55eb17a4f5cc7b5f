"""Processes of runs: where they come from, and how each ends with all that it has started.

One server that has imported what runs need forks them. A training step asks for the same large blocks again and again.
The C library gives each back to the system at once, and the system clears it, page by page, when it is asked for anew:
a tenth of the time of a step on a CPU and more (docs/performance.md). So a run's process keeps its memory, in large
pages where the system has them. No number depends on it. Only the C library of GNU reads the setting; others ignore it.

A run's process and all that it starts are a family, which ends with it. A plugin may start helpers, and those others.
The run's process leads a session of its own, so that one signal reaches them all. One that has left the session is
still found on Linux: what loses its parent there falls to the run's process, and, once that is gone, to the server that
forks the runs (`fork_server_exit`); the server outlives the command that is killed, and ends what is left. Elsewhere
the session is all that is known.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

TUNABLES = "GLIBC_TUNABLES"
"""The variable is read when a program starts, so it has to stand when the server is started."""
KEEP_MEMORY = ":".join(
    f"glibc.malloc.{name}={value}"
    for name, value in {"mmap_threshold": 2**30, "trim_threshold": 2**30, "hugetlb": 1}.items()
)


def run_context() -> ForkServerContext:
    """Return where processes of runs come from; its server is running. A user's own setting of memory is left alone."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["harness.execute.fork_server_exit", "harness.execute.run"])
    if TUNABLES in os.environ:
        return context
    os.environ[TUNABLES] = KEEP_MEMORY
    try:
        forkserver.ensure_running()
    finally:
        os.environ.pop(TUNABLES, None)
    return context


def forget_setting() -> None:
    """Leave programs that a run's process starts (compilers, git) their own ways with memory."""
    if os.environ.get(TUNABLES) == KEEP_MEMORY:
        del os.environ[TUNABLES]


GRACE_S = 3.0
"""How long a process that is asked to end (SIGTERM) may take before it is ended."""
GONE_S = 2.0
"""How long what is ended may take to be gone."""
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
    # All are asked before any is waited for, so that the time of grace is spent once.
    for process in processes:
        _signal_family(process.pid, signal.SIGTERM)
    until = time.monotonic() + GRACE_S
    for process in processes:
        process.join(max(until - time.monotonic(), 0))
    for process in processes:
        end_family(process.pid)
        process.join()


@contextmanager
def ending_processes() -> Iterator[None]:
    """End, when the block is left, the processes that were started in it and are still there, with their families."""
    others = set(multiprocessing.active_children())
    try:
        yield
    finally:
        for process in set(multiprocessing.active_children()) - others:
            process.kill()
            end_family(process.pid)


def end_family(leader: int | None) -> None:
    """End a leader, if it is still there, and its family (SIGKILL), and wait until they are gone."""
    if leader is None:
        return
    # First the session by one signal, then whoever has left it, then what has fallen to the server meanwhile.
    _signal_family(leader, signal.SIGKILL)
    end_all(lambda: _family(leader))
    server = getattr(forkserver._forkserver, "_forkserver_pid", None)
    if server is not None:
        living = {process.pid for process in multiprocessing.active_children()} - {leader}
        end_all(lambda: orphans(server, living))


def orphans(server: int, living: Collection[int | None] = ()) -> set[int]:
    """Return what has fallen to the server, and its descendants.

    These are its children in sessions of their own, but for the living leaders, whom it has forked itself.
    """
    table = _read_processes()
    sid = table[server].session if server in table else 0
    left = {pid for pid, stat in table.items() if stat.parent == server and pid not in living and stat.session != sid}
    return _not_ended(left.union(*(_descendants(pid, table) for pid in left)), table)


def _signal_family(leader: int | None, signum: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        if leader is not None and leader != os.getpgrp():
            os.killpg(leader, signum)


def end_all(find: Callable[[], set[int]], patience_s: float = GONE_S) -> None:
    """End what `find` finds until it finds no more: what was ended may have started others meanwhile."""
    until = time.monotonic() + patience_s
    while (found := find()) and time.monotonic() < until:
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):  # it may be gone already
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


class _ProcessStat(NamedTuple):
    parent: int
    session: int
    has_ended: bool
    """Its first thread has: it may be the parent of others until its last one has."""


def _family(leader: int) -> set[int]:
    table = _read_processes()
    found = _descendants(leader, table) | {pid for pid, stat in table.items() if leader in (pid, stat.session)}
    return _not_ended(found, table)


def _not_ended(pids: Collection[int], table: Mapping[int, _ProcessStat]) -> set[int]:
    return {pid for pid in pids if not table[pid].has_ended}


def _descendants(pid: int, table: Mapping[int, _ProcessStat]) -> set[int]:
    found = {pid}
    while more := {child for child, stat in table.items() if stat.parent in found} - found:
        found |= more
    return found - {pid}


def _read_processes() -> dict[int, _ProcessStat]:
    """Return the processes that the system lists (Linux; elsewhere none)."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            state, parent, _, session, *_ = (
                (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            )
            found[int(folder.name)] = _ProcessStat(int(parent), int(session), state in "ZX")
    return found
