"""Arrays worked out once and kept on disk, where later epochs, other runs and other processes map one copy of them.

A cache is a folder `prepared/<key>` below the user's cache folder; its key says what content it holds. For each kind of
array it has one flat file, the arrays of all images one after another, and `index.json` with their shapes and their
CRC-32. A cache appears whole (a partial folder is renamed) and is never changed afterwards. It may be deleted at any
time: who has mapped it keeps what they have, and the next one builds it again, as they do where it is damaged.

Each process checks an image when it first uses it, so that opening a cache stays fast. CRC-32 is the fastest checksum
of the standard library (`python -m benchmarks.checksum_cost`) and finds what disks, cables and stray writes do; against
who forges a cache no checksum beside it would help. An image that fails is read from its original from then on.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from io import FileIO
from itertools import accumulate, chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.digests import cache_folder
from harness.environment import count_cores
from harness.errors import InputError
from harness.files import NO_ROOM, locked, require_room, write_text
from harness.fingerprint import canonical, digest

Array = npt.NDArray[Any]
Read = Callable[[int], Mapping[str, Array]]
"""Index of an image -> its arrays by kind. Every image has the same kinds; shapes may differ."""

_FORMAT = 2
"""Raised when the layout changes, or what is kept under an unchanged key."""
_INDEX = "index.json"


@dataclass(frozen=True, eq=False)
class Mapped:
    """The arrays of all images of a cache, as read-only views of its files; a `Read`."""

    folder: Path
    columns: Mapping[str, Column]
    original: Read
    whole: dict[int, bool] = field(default_factory=dict)
    """Index of an image that this process has checked -> whether its bytes are as they were written."""

    def __call__(self, index: int) -> Mapping[str, Array]:
        """Return the arrays of one image by kind."""
        if not self._is_whole(index):
            return self._restore(index)
        return {kind: column.one(index) for kind, column in self.columns.items()}

    def together(self, kind: str, indices: Sequence[int]) -> Array | None:
        """Return one kind of array of some images as one array, copied; None where shapes differ within the cache."""
        whole = self.columns[kind].whole
        if whole is None:
            return None
        # One copy of many rows is much faster than one for each image; damaged ones are mended in it.
        taken = whole.take(indices, axis=0)
        for place, index in enumerate(indices):
            if not self._is_whole(index):
                taken[place] = self._restore(index)[kind]
        return taken

    def _is_whole(self, index: int) -> bool:
        if index not in self.whole:
            whole = all(column.is_whole(index) for column in self.columns.values())
            # Said for the first damaged image alone, however many there are.
            if not whole and all(self.whole.values()):
                self._give_up(index)
            self.whole[index] = whole
        return self.whole[index]

    def _restore(self, index: int) -> Mapping[str, Array]:
        """Return the arrays of a damaged image as its original files give them.

        Raises:
            InputError: these are no longer what the cache was made from.
        """
        arrays = self.original(index)
        if any(_checksum(array) != self.columns[kind].sums[index] for kind, array in arrays.items()):
            raise InputError(
                f"{self.folder}: image {index} is damaged there, and its original files have changed since; run the "
                "same command again: it works with what is there now"
            )
        return arrays

    def _give_up(self, index: int) -> None:
        """Say that the cache is damaged, and have the next one who opens it build it again."""
        print(
            f"{self.folder}: damaged (the checksum of image {index} does not match): what is damaged is read from the "
            "original files instead, and the next command builds this cache again",
            file=sys.stderr,
        )
        with suppress(OSError), locked(self.folder.with_suffix(".lock"), wait=False) as is_mine:
            if is_mine:  # else it is being built again now
                (self.folder / _INDEX).unlink(missing_ok=True)


@dataclass(frozen=True)
class Column:
    """One kind of array of all images: a flat file, mapped."""

    flat: Array
    bounds: Sequence[int]
    """Where each image begins, and the last one ends."""
    shapes: Sequence[Sequence[int]]
    sums: Sequence[int]
    """CRC-32 of each image's bytes."""
    whole: Array | None
    """The file as one array, first axis the image, where all images have one shape."""

    def one(self, index: int) -> Array:
        """Return the array of one image."""
        return self.flat[self.bounds[index] : self.bounds[index + 1]].reshape(self.shapes[index])

    def is_whole(self, index: int) -> bool:
        """Tell whether the array of one image is as it was written."""
        return _checksum(self.one(index)) == self.sums[index]


@dataclass(frozen=True)
class CacheFolder:
    """A cache on disk."""

    folder: Path
    title: str
    """What it holds, in words; `unfinished` where it is being built, its builder was killed, or it is damaged."""
    bytes: int


def open_cache(
    title: str, content: Any, number: int, read: Read, require_unchanged: Callable[[], None] = lambda: None
) -> Read:
    """Return what gives the arrays of `read` as read-only views of files on disk; where there are none, build them now.

    `content` is JSON that decides what `read` returns for its `number` images. `read` is called once for each image,
    from several threads, and in later processes for those whose bytes in the cache are damaged. Processes that want one
    cache at once build it once: the others wait, then map it. `require_unchanged` raises where what `read` reads is no
    longer `content`; it is asked before a new cache is kept.

    Raises:
        InputError: the folder cannot be written, or the disk is too full. Nothing half-written is left.
    """
    folder = _root() / digest([_FORMAT, content])[:32]
    if cache := _find(folder, read):
        return cache
    with ExitStack() as until_built:
        with _explaining(folder, 0):
            until_built.enter_context(locked(folder.with_suffix(".lock")))
        # Another process may have built it while this one waited for the lock.
        if cache := _find(folder, read):
            return cache
        _build(folder, title, number, read, require_unchanged)
        return _map(folder, read)


def list_caches() -> tuple[CacheFolder, ...]:
    """Return the caches on disk, finished or not, in the order of their titles."""
    caches = (CacheFolder(path, _title(path), _size(path)) for path in _root().glob("*") if path.is_dir())
    return tuple(sorted(caches, key=lambda cache: cache.title))


def clear_caches() -> int:
    """Delete all caches but those that are being built; runs that use one are not disturbed. Return the bytes freed.

    Raises:
        InputError: a cache cannot be deleted.
    """
    freed = 0
    for cache in list_caches():
        try:
            with locked(cache.folder.with_suffix(".lock"), wait=False) as is_mine:
                if is_mine:
                    shutil.rmtree(cache.folder)
                    freed += cache.bytes
        except OSError as error:
            raise InputError(f"{cache.folder}: cannot be deleted: {error.strerror}") from None
    return freed


def _root() -> Path:
    return cache_folder() / "prepared"


def _title(folder: Path) -> str:
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(_load_index(folder)["title"])
    return "unfinished"


def _size(folder: Path) -> int:
    with suppress(FileNotFoundError):  # it was finished, or deleted, while we looked
        return sum(path.stat().st_size for path in folder.iterdir())
    return 0


def _find(folder: Path, original: Read) -> Read | None:
    """Return what gives the arrays of a cache; None where it is missing, cut short or has a damaged index."""
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        return _map(folder, original)
    return None


def _map(folder: Path, original: Read) -> Read:
    kinds = _load_index(folder)["kinds"]
    columns = {kind: _map_column(folder / f"{kind}.bin", **column) for kind, column in kinds.items()}
    return Mapped(folder, columns, original)


def _load_index(folder: Path) -> dict[str, Any]:
    """Return the index of a cache; ValueError where its checksum does not match."""
    entry = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
    index: dict[str, Any] = entry["index"]
    if entry["checksum"] != digest(index):
        raise ValueError("the index was changed")
    return index


def _map_column(path: Path, dtype: str, shapes: Sequence[Sequence[int]], sums: Sequence[int]) -> Column:
    """Return one file's arrays; ValueError where the file is not as long as they are."""
    flat = np.memmap(path, dtype, mode="r").view(np.ndarray)
    bounds = [0, *accumulate(math.prod(shape) for shape in shapes)]
    if bounds[-1] != flat.size:
        raise ValueError("the file was cut short, or is too long")
    # Where all images have one shape, several can be taken at once.
    same = all(shape == shapes[0] for shape in shapes)
    return Column(flat, bounds, shapes, sums, flat.reshape(len(shapes), *shapes[0]) if same else None)


def _build(folder: Path, title: str, number: int, read: Read, require_unchanged: Callable[[], None]) -> None:
    """Write a cache into a partial folder and rename it. Call it only under the cache's lock."""
    partial = folder.with_suffix(".partial")
    for left_over in (partial, folder):  # of a builder that was killed; damaged
        shutil.rmtree(left_over, ignore_errors=True)
    # Images mostly have one size: the first one tells about how much room all of them need.
    first = read(0)
    needed = number * sum(array.nbytes for array in first.values())
    try:
        with _explaining(partial, needed):
            partial.mkdir()
            require_room(partial, needed)
        _fill(partial, title, first, needed, _read_rest(read, number))
        require_unchanged()
        with _explaining(partial, needed):
            partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _fill(
    partial: Path, title: str, first: Mapping[str, Array], needed: int, rest: Iterator[Mapping[str, Array]]
) -> None:
    kinds: dict[str, dict[str, Any]]
    kinds = {kind: {"dtype": array.dtype.str, "shapes": [], "sums": []} for kind, array in first.items()}
    # Only what touches the new files is explained as a cache that cannot be kept: `rest` reads the user's own files.
    with ExitStack() as open_files:
        with _explaining(partial, needed):
            files = {kind: open_files.enter_context(FileIO(partial / f"{kind}.bin", "w")) for kind in first}
        for arrays in chain([first], rest):
            for kind, array in arrays.items():
                kinds[kind]["shapes"].append(array.shape)
                kinds[kind]["sums"].append(_checksum(array))
                with _explaining(partial, needed):
                    _append(files[kind], array)
        index = {"title": title, "kinds": kinds}
        with _explaining(partial, needed):
            for file in files.values():
                os.fsync(file.fileno())
            write_text(partial / _INDEX, canonical({"index": index, "checksum": digest(index)}))


def _checksum(array: Array) -> int:
    return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def _append(file: FileIO, array: Array) -> None:
    """Write an array's bytes. The file has no buffer, so that a full disk is met here and not when it is closed."""
    left = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    while left.size:
        left = left[file.write(left.data) :]


def _read_rest(read: Read, number: int) -> Iterator[Mapping[str, Array]]:
    """Yield what `read` gives for images 1, 2, ... in order, read ahead a little by as many threads as there are cores.

    Decoding releases Python's global lock. Which thread decodes changes no byte.
    """
    # `pool.map` would read ahead without end: where disks are slower than cores, all images would be in memory at once.
    cores = count_cores()
    ahead: deque[Future[Mapping[str, Array]]] = deque()
    with ThreadPoolExecutor(cores) as pool:
        for index in range(1, number):
            ahead.append(pool.submit(read, index))
            if len(ahead) > 2 * cores:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


@contextmanager
def _explaining(folder: Path, needed: int) -> Iterator[None]:
    """Turn the system's refusal to write into an error for the user."""
    try:
        yield
    except OSError as error:
        remedy = "set HARNESS_CACHE=FOLDER to a folder"
        # What the unfinished cache fills now is free again as soon as it is given up.
        if needed and error.errno in NO_ROOM:
            free = shutil.disk_usage(folder.parent).free + _size(folder)
            raise InputError(
                f"{folder.parent}: no room to keep the prepared images: {needed:,} bytes are needed, {free:,} are free "
                f"({error.strerror}); free some space, or {remedy} on a larger disk. Nothing half-written is left"
            ) from None
        raise InputError(
            f"{folder.parent}: the prepared images cannot be kept there: {error.strerror}; {remedy} that can be written"
        ) from None
