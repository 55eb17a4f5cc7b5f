"""Files written whole or not at all, arrays and checksums in them, locks that end with their process, full disks."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from harness.errors import HarnessError, InputError

if TYPE_CHECKING:
    import numpy.typing as npt

WHERE_IT_RUNS = "harness runs on Linux and macOS; on Windows, install it in WSL (Windows Subsystem for Linux)"
DEFAULT_ROOT, DEFAULT_REPORTS = Path("mlruns"), Path("reports")
"""Where runs, and reports, are kept unless the user says otherwise."""
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)
_PARTIAL = ".partial"


class CannotWrite(HarnessError, OSError):
    """The system does not let a file be written: the disk is full or read-only, or the user may not. Nothing is torn.

    It is an OSError too, so that who can do without the file may say so.
    """

    def __init__(self, path: Path, error: OSError) -> None:
        code, reason = error.errno or errno.EIO, error.strerror or str(error)
        super().__init__(code, reason)
        self.exit_code = 2 if code in _NOT_ALLOWED else 1
        self.message = f"{path}: cannot be written: {reason}; {_remedy(path, code)}"

    def __str__(self) -> str:
        return self.message


def _remedy(path: Path, code: int) -> str:
    if code in _NOT_ALLOWED:
        return "give a folder that you may write to"
    disk = next(folder for folder in path.absolute().parents if folder.exists())
    room = shutil.disk_usage(disk)
    while not disk.is_mount():
        disk = disk.parent
    hint = "free some space there" if code in NO_ROOM else "see that the disk works"
    return (
        f"the disk {disk} has {room.free:,} bytes free of {room.total:,}; {hint} and run the same command again: "
        "what was written before is whole"
    )


@contextmanager
def _explaining(path: Path) -> Iterator[None]:
    """Turn the system's refusal to write `path` into an error for the user."""
    try:
        yield
    except CannotWrite:
        raise
    except OSError as error:
        raise CannotWrite(path, error) from error
    except RuntimeError as error:  # torch.save raises one over the disk's own error
        if isinstance(error.__context__, OSError) and error.__context__.errno in NO_ROOM:
            raise CannotWrite(path, error.__context__) from error
        raise


def require_room(folder: Path, needed: int) -> None:
    """Raise OSError (ENOSPC) where the disk of a folder that exists has fewer bytes free than are needed."""
    if shutil.disk_usage(folder).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def write_whole(path: Path, fill: Callable[[IO[bytes]], object], *, previous: Path | None = None) -> None:
    """Let `fill` write a file so that readers, and a machine that loses power, see the old file or the new one.

    The file may be read and written again while it is filled. `previous` is where the old file is kept, if anywhere; a
    process that is killed at the wrong moment leaves the old file there and no new one.

    Raises:
        CannotWrite: the disk is full or not writable; the old file is untouched.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}{_PARTIAL}")
    with _explaining(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("w+b") as file:
                fill(file)
                # A renamed file whose content is still in memory would be empty after a loss of power.
                file.flush()
                os.fsync(file.fileno())
            if previous is not None and path.exists():
                path.replace(previous)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file whole or not at all."""
    write_whole(path, lambda file: file.write(text.encode()))


def remove_partial(folder: Path) -> None:
    """Remove what killed processes left half-written below a folder, in which nobody else may be writing now."""
    for path in find_partial(folder):
        path.unlink()


def find_partial(folder: Path) -> list[Path]:
    """Return what is half-written below a folder, now or by killed processes."""
    return sorted(folder.rglob(f".*{_PARTIAL}"))


def describe_bytes(number: int) -> str:
    """Return a size for people."""
    if number >= 1e8:
        return f"{number / 1e9:.1f} GB"
    return f"{number / 1e6:.1f} MB" if number >= 1e5 else f"{number / 1e3:.0f} kB"


@contextmanager
def locked(path: Path, *, wait: bool = True, shared: bool = False) -> Iterator[bool]:
    """Hold a lock on a file while the block runs; the system frees it when the process dies.

    A lock is exclusive, or `shared` with others that ask for a shared one. Yields whether it is held: always true with
    `wait`, else false where another process holds it.

    Raises:
        CannotWrite: the file cannot be opened for writing.
        HarnessError: the system has no such locks.
    """
    try:
        import fcntl
    except ImportError:
        raise HarnessError(WHERE_IT_RUNS) from None
    with _explaining(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    with file:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
            is_mine = True
        except BlockingIOError:
            is_mine = False
        yield is_mine


ADVICE = "put a whole copy of the file back, or remove the result.json of its run and run the study again"
"""What helps against a damaged file of a result: each lies in the run's folder and in the tracking store."""


def load_arrays(file: Path | IO[bytes], names: Sequence[str], title: str) -> dict[str, npt.NDArray[Any]]:
    """Return some arrays of an npz file; `title` is the file and what it should be, for the message.

    Raises:
        InputError: it is no npz file, it is damaged, or an array is missing.
    """
    import numpy as np  # only here: the command line starts without it

    try:
        with np.load(file, allow_pickle=False) as content:
            arrays = {name: content[name] for name in names}
            odd = [name for name in names if not isinstance(arrays[name], np.ndarray)]  # numpy hands out raw bytes
            if odd:
                raise ValueError(f"{', '.join(odd)} is no array")
            for array in arrays.values():
                if array.dtype.kind == "U":
                    "".join(array.ravel().tolist()).encode()  # refuses what is no Unicode, which numpy lets through
            return arrays
    except Exception as error:  # noqa: BLE001 - damaged files make the readers raise errors of any kind
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{title} ({reason[:200]}); {ADVICE}") from None


_MARK = b"sha256:"
"""Begins the comment of a zip file, such as a checkpoint: SHA-256 of all before it. Whoever reads the file passes the
comment over, `torch.load` among them.
"""
_LENGTH = len(_MARK) + 64


def append_checksum(file: IO[bytes]) -> None:
    """Add its checksum to a zip file that was just written and has no comment."""
    # The length is written before the checksum is taken: it belongs to what the checksum protects.
    file.seek(-2, 2)
    file.write(_LENGTH.to_bytes(2, "little"))  # a zip file ends with the length of its comment
    digest = _digest_start(file, file.tell())
    file.seek(0, 2)
    file.write(_MARK + digest.encode())


def _digest_start(file: IO[bytes], length: int) -> str:
    """Return the SHA-256 (hexadecimal) of the first bytes of a file."""
    file.seek(0)
    sha = hashlib.sha256()
    while length and (chunk := file.read(min(length, 1 << 20))):
        sha.update(chunk)
        length -= len(chunk)
    return sha.hexdigest()


def find_damage(path: Path) -> str | None:
    """Return what is wrong with a zip file's bytes, in words; None where they are as they were written.

    Files without the SHA-256, of an older harness, are judged by the CRC-32 of what is in the zip file.
    """
    try:
        with path.open("rb") as file:
            start = max(file.seek(0, 2) - _LENGTH, 0)
            file.seek(start)
            end = file.read()
            if end.startswith(_MARK):
                intact = end == _MARK + _digest_start(file, start).encode()
            else:
                intact = end.endswith(b"\0\0") and zipfile.ZipFile(file).testzip() is None  # no comment, cut or whole
    except OSError as error:
        return error.strerror or str(error)
    except Exception:  # noqa: BLE001 - a damaged zip file makes its reader raise errors of any kind
        return "it is cut short, or no checkpoint"
    return None if intact else "its checksum does not match"
