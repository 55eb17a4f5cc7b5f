"""Processes for runs: forked by one server that has imported what they need, with memory that stays theirs.

A training step asks for the same large blocks again and again. The C library gives each back to the system at once, and
the system clears it, page by page, when it is asked for anew: a tenth of the time of a step on a CPU and more
(docs/performance.md). So a run's process keeps its memory, in large pages where the system has them. No number depends
on it. Only the C library of GNU reads the setting; others ignore it.
"""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext

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
