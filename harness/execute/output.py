"""A run's output.log: all that its process prints, at file level, cut in the middle where it is too much."""

from __future__ import annotations

import os
import re
import threading
import time
from pathlib import Path

HEAD = TAIL = 2**20
MOST = 4 * 2**20
"""A file of more bytes is cut to its first and last ones."""
LOOK_S = 0.1
"""How often a process looks at its own file: for so long it may grow at will."""
_NOTE = re.compile(rb"\n\.\.\. ([\d,]+) bytes cut here \.\.\.\n")


def print_into(log: Path) -> None:
    """Have standard output and standard error go to the end of a file, which is kept from growing without end."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    threading.Thread(target=_keep_short, args=(log,), name="output", daemon=True).start()


def _keep_short(log: Path) -> None:
    while True:
        cut_middle(log)
        time.sleep(LOOK_S)


def cut_middle(log: Path) -> None:
    """Cut a file of more than `MOST` bytes to its first and last ones, in place, and say between them how much went.

    What others append meanwhile may be lost, and is then not counted.
    """
    try:
        size = log.stat().st_size
        if size > MOST:
            _cut(log, size)
    except OSError:  # no file, or a disk that refuses: the run itself meets that where it matters
        return


def _cut(log: Path, size: int) -> None:
    with log.open("rb") as file:
        first = file.read(HEAD + 100)
        file.seek(size - TAIL)
        last = file.read(TAIL)
    before = _NOTE.search(first, HEAD // 2)
    keep = before.start() if before else (first.rfind(b"\n", HEAD // 2, HEAD) + 1 or HEAD + 1) - 1
    gone = int(before[1].replace(b",", b"")) if before else 0
    after = before.end() if before else keep
    note = f"\n... {gone + size - TAIL - after:,} bytes cut here ...\n".encode()
    os.truncate(log, keep)
    with log.open("ab") as file:
        file.write(note + last)
