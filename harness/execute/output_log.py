"""A run's output.log: all that its process prints, at file level, cut in the middle where it is too much."""

from __future__ import annotations

import io
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
_NOTE = re.compile(rb"\n\.\.\. ([\d,]+) bytes cut here \.\.\. *\n")
_NOTE_BYTES = 60


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

    Others append meanwhile: what they write at the very moment of the cut goes, too, and may not be counted.
    """
    try:
        if log.stat().st_size > MOST:
            with log.open("r+b", buffering=0) as file:
                _cut(file)
    except OSError:  # no file, or a disk that refuses: the run itself meets that where it matters
        return


def _cut(file: io.FileIO) -> None:
    """Write the last bytes behind the first ones, and only then shorten the file: what is appended stays at its end."""
    fd = file.fileno()
    first = os.pread(fd, HEAD + _NOTE_BYTES, 0)
    last = os.pread(fd, TAIL, os.fstat(fd).st_size - TAIL)
    before = _NOTE.search(first, HEAD // 2)
    line = first.rfind(b"\n", HEAD // 2, HEAD)
    keep = before.start() if before else line if line >= 0 else HEAD
    gone = int(before[1].replace(b",", b"")) - _NOTE_BYTES if before else 0
    os.pwrite(fd, last, keep + _NOTE_BYTES)
    text = f"\n... {gone + os.fstat(fd).st_size - TAIL - keep:,} bytes cut here ..."
    os.pwrite(fd, f"{text:{_NOTE_BYTES - 1}}\n".encode(), keep)
    os.ftruncate(fd, keep + _NOTE_BYTES + len(last))
