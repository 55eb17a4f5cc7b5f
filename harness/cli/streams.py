"""Standard input, output and error as a shell hands them over: closed, read no more, or in few letters.

What a command prints must not decide whether it does its work.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from pathlib import Path
from typing import TextIO

from harness.errors import HarnessError

_GONE = (errno.EPIPE, errno.EIO, errno.EBADF)
"""Nobody reads: the other end of a pipe is closed, or a terminal is."""
_PLAIN = str.maketrans("−–—×·≈", "---x*~") | str.maketrans({"≥": ">=", "≤": "<=", "±": "+/-", "…": "...", "→": "->"})
_PLAINLY = "harness.plainly"


def secure_streams() -> None:
    """Make the standard streams such that printing never ends a command, but where the disk they lead to is full.

    A stream that is closed, or that nobody reads any more, swallows what is printed. A letter that its encoding lacks
    is printed as letters that it has. A stream that a program has put in the place of the shell's is left alone.
    """
    while (spare := os.open(os.devnull, os.O_RDWR)) <= 2:  # the lowest number that is free: that of the closed stream
        os.set_inheritable(spare, True)
    os.close(spare)
    codecs.register_error(_PLAINLY, _write_plainly)
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - open as long as the program
    if sys.stdout is sys.__stdout__:
        sys.stdout = _make_stream(sys.stdout, 1)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _make_stream(sys.stderr, 2)


def flush_output() -> None:
    """Print what is still held back.

    Raises:
        HarnessError: the disk that it goes to is full.
    """
    sys.stdout.flush()
    sys.stderr.flush()


def _make_stream(given: TextIO | None, fd: int) -> TextIO:
    buffered, encoding = io.BufferedWriter(_Lasting(fd, "wb", closefd=False)), given.encoding if given else "utf-8"
    return io.TextIOWrapper(buffered, encoding, errors=_PLAINLY, line_buffering=os.isatty(fd) or fd == 2)


class _Lasting(io.FileIO):
    """A file that goes nowhere once it cannot be written to any more."""

    def write(self, data: object) -> int:
        """Write bytes, or drop them where nobody reads.

        Raises:
            HarnessError: the disk that standard output goes to is full.
        """
        try:
            return super().write(data)  # type: ignore[arg-type]
        except OSError as error:
            with Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), self.fileno())
            if self.fileno() == 1 and error.errno not in _GONE:
                raise HarnessError(f"standard output cannot be written: {error.strerror}") from None
            return memoryview(data).nbytes  # type: ignore[arg-type]


def _write_plainly(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(_PLAIN)
    return text.encode("ascii", "backslashreplace").decode("ascii"), error.end
