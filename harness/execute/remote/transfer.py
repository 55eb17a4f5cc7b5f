"""A folder's files on their way to another disk: cut into chunks there, put together here, each whole or not at all.

What arrives is always something to go on from, whenever the sender or the receiver is killed: the weights of the best
epoch arrive before the state that counts that epoch as done, and a run's result arrives last.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from harness.runs.folder import RunFolder

CHUNK_BYTES = 16 * 2**20  # a file of hundreds of megabytes is never in memory as a whole


@dataclass(frozen=True)
class Chunk:
    """Some bytes of a file; a file's chunks come in order, and no other file's between them."""

    file: str
    """Its path below the folder."""
    data: bytes
    is_last: bool


def cut(path: Path, name: str) -> Iterator[Chunk]:
    """Yield a file's chunks under another name."""
    with path.open("rb") as file:
        yield from _cut(file, name)


def _cut(file: IO[bytes], name: str) -> Iterator[Chunk]:
    data = file.read(CHUNK_BYTES)
    while following := file.read(CHUNK_BYTES):
        yield Chunk(name, data, False)
        data = following
    yield Chunk(name, data, True)


def pack_to_go_on(folder: RunFolder) -> Iterator[Chunk]:
    """Yield what a run needs to go on elsewhere, as far as there is any; its state comes last."""
    checkpoints = [path for path in sorted(folder.state.parent.glob("*")) if path != folder.state]
    for path in (folder.log, folder.journal, *checkpoints, folder.state):
        if path.is_file() and not path.name.startswith("."):
            yield from cut(path, path.relative_to(folder.path).as_posix())


class FolderSender:
    """The files of a run's folder, in which a process is working, that have changed since they were last sent."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._sent: dict[Path, tuple[int, int, int, int]] = {}
        self._order = {path: rank for rank, path in enumerate((folder.state, folder.journal, folder.result), start=1)}

    def changed(self, *, with_log: bool = False) -> Iterator[Chunk]:
        """Yield them. The log, which grows all the time, is sent only where it is asked for.

        Files are opened in the opposite of the order in which they are sent: none is older than one sent after it.
        """
        # Between two files the run's process may write a newer state. Opened from the last to the first, what is sent
        # first is the newest: the weights are never older than the state that counts their epoch as done.
        with ExitStack() as open_files:
            files: list[tuple[Path, IO[bytes]]] = []
            for path in sorted(self._paths(with_log), key=lambda path: (self._order.get(path, 0), path), reverse=True):
                with suppress(FileNotFoundError):  # the state of a run that has just finished
                    files.append((path, open_files.enter_context(path.open("rb"))))
            for path, file in reversed(files):
                facts = os.fstat(file.fileno())
                mark = (facts.st_ino, facts.st_ctime_ns, facts.st_mtime_ns, facts.st_size)
                if self._sent.get(path) != mark:
                    yield from _cut(file, path.relative_to(self._folder.path).as_posix())
                    self._sent[path] = mark

    def _paths(self, with_log: bool) -> Iterator[Path]:
        unsent = {self._folder.lock, *(() if with_log else (self._folder.log,))}
        for path in self._folder.path.rglob("*"):
            if path not in unsent and not path.name.startswith(".") and path.is_file():
                yield path


class FolderReceiver:
    """Puts chunks together into the files of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None

    def take(self, chunk: Chunk) -> None:
        """Write a chunk; the file is there, in place of an older one, when its last chunk is.

        Raises:
            OSError: the disk is full or not writable; the older file is untouched.
        """
        path = self._folder / chunk.file
        # Under another name until it is whole and on the disk: a receiver that is killed leaves the older file.
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        if self._file is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = partial.open("wb")
        self._file.write(chunk.data)
        if chunk.is_last:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None
            partial.replace(path)

    def take_all(self, chunks: Iterable[Chunk]) -> None:
        """Write all chunks of some files."""
        for chunk in chunks:
            self.take(chunk)

    def close(self) -> None:
        """Drop a file that has not come to its end."""
        if self._file is not None:
            self._file.close()
            with suppress(FileNotFoundError):
                Path(self._file.name).unlink()
            self._file = None
