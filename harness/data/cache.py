"""Arrays worked out once and kept on disk, where later epochs, other runs and other processes map one copy of them.

A cache is a folder `prepared/<key>` below the user's cache folder; its key says what content it holds. For each kind of
array it has one flat file, the arrays of all images one after another, and `index.json` with their shapes. A cache
appears whole (a partial folder is renamed) and is never changed afterwards. It may be deleted at any time: who has
mapped it keeps what they have, and the next one builds it again, as they do where it is damaged.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from itertools import accumulate, chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.cores import count_cores
from harness.data.digests import cache_folder
from harness.errors import InputError
from harness.files import NO_ROOM, locked, require_room, write_text
from harness.fingerprint import canonical, digest_bytes

Array = npt.NDArray[Any]
Read = Callable[[int], Mapping[str, Array]]
"""Index of an image -> its arrays by kind. Every image has the same kinds; shapes may differ."""

_FORMAT = 1
"""Raised when the layout changes, or what is kept under an unchanged key."""
_INDEX = "index.json"


class Mapped:
    """The arrays of all images of a cache, as read-only views of its files; a `Read`."""

    def __init__(self, columns: Mapping[str, Column]) -> None:
        self._columns = columns

    def __call__(self, index: int) -> Mapping[str, Array]:
        """Return the arrays of one image by kind."""
        return {kind: column.one(index) for kind, column in self._columns.items()}

    def together(self, kind: str, indices: Sequence[int]) -> Array | None:
        """Return one kind of array of some images as one array, copied; None where shapes differ within the cache."""
        whole = self._columns[kind].whole
        return None if whole is None else whole.take(indices, axis=0)


@dataclass(frozen=True)
class Column:
    """One kind of array of all images: a flat file, mapped."""

    flat: Array
    bounds: Sequence[int]
    """Where each image begins, and the last one ends."""
    shapes: Sequence[Sequence[int]]
    whole: Array | None
    """The file as one array, first axis the image, where all images have one shape."""

    def one(self, index: int) -> Array:
        """Return the array of one image."""
        return self.flat[self.bounds[index] : self.bounds[index + 1]].reshape(self.shapes[index])


@dataclass(frozen=True)
class Kept:
    """A cache on disk."""

    folder: Path
    title: str
    """What it holds, in words; `unfinished` where it is being built, its builder was killed, or it is damaged."""
    bytes: int


def open_cache(title: str, content: Any, number: int, read: Read) -> Read:
    """Return what gives the arrays of `read` as read-only views of files on disk; where there are none, build them now.

    `content` is JSON that decides what `read` returns for its `number` images. `read` is called once for each image,
    from several threads. Processes that want one cache at once build it once: the others wait, then map it.

    Raises:
        InputError: the folder cannot be written, or the disk is too full. Nothing half-written is left.
    """
    folder = _root() / digest_bytes([canonical([_FORMAT, content]).encode()])[:32]
    if kept := _find(folder):
        return kept
    with ExitStack() as until_built:
        with _explaining(folder, 0):
            until_built.enter_context(locked(folder.with_suffix(".lock")))
        if kept := _find(folder):
            return kept
        _build(folder, title, number, read)
        return _map(folder)


def list_caches() -> tuple[Kept, ...]:
    """Return the caches on disk, finished or not, in the order of their titles."""
    folders = [path for path in _root().glob("*") if path.is_dir()]
    return tuple(sorted((Kept(path, _title(path), _size(path)) for path in folders), key=lambda kept: kept.title))


def clear_caches() -> int:
    """Delete all caches but those that are being built; runs that use one are not disturbed. Return the bytes freed.

    Raises:
        InputError: a cache cannot be deleted.
    """
    freed = 0
    for kept in list_caches():
        try:
            with locked(kept.folder.with_suffix(".lock"), wait=False) as held:
                if held:
                    shutil.rmtree(kept.folder)
                    freed += kept.bytes
        except OSError as error:
            raise InputError(f"{kept.folder}: cannot be deleted: {error.strerror}") from None
    return freed


def _root() -> Path:
    return cache_folder() / "prepared"


def _title(folder: Path) -> str:
    try:
        return str(_load_index(folder)["title"])
    except (OSError, ValueError, KeyError, TypeError):
        return "unfinished"


def _size(folder: Path) -> int:
    total = 0
    with suppress(FileNotFoundError):  # it was finished, or deleted, while we looked
        for path in folder.iterdir():
            total += path.stat().st_size
    return total


def _find(folder: Path) -> Read | None:
    """Return what gives the arrays of a cache; None where it is missing, cut short or has a damaged index."""
    try:
        return _map(folder)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _map(folder: Path) -> Read:
    kinds = _load_index(folder)["kinds"]
    return Mapped({kind: _map_column(folder / f"{kind}.bin", **column) for kind, column in kinds.items()})


def _load_index(folder: Path) -> dict[str, Any]:
    """Return the index of a cache; ValueError where its checksum does not match."""
    entry = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
    index: dict[str, Any] = entry["index"]
    if entry["checksum"] != digest_bytes([canonical(index).encode()]):
        raise ValueError("the index was changed")
    return index


def _map_column(path: Path, dtype: str, shapes: Sequence[Sequence[int]]) -> Column:
    """Return one file's arrays; ValueError where the file is not as long as they are."""
    flat = np.memmap(path, dtype, mode="r").view(np.ndarray)
    bounds = [0, *accumulate(math.prod(shape) for shape in shapes)]
    if bounds[-1] != flat.size:
        raise ValueError("the file was cut short, or is too long")
    same = all(shape == shapes[0] for shape in shapes)
    return Column(flat, bounds, shapes, flat.reshape(len(shapes), *shapes[0]) if same else None)


def _build(folder: Path, title: str, number: int, read: Read) -> None:
    """Write a cache into a partial folder and rename it. Call it only under the cache's lock."""
    partial = folder.with_suffix(".partial")
    for left_over in (partial, folder):  # of a builder that was killed; damaged
        shutil.rmtree(left_over, ignore_errors=True)
    first = read(0)
    needed = number * sum(array.nbytes for array in first.values())
    try:
        with _explaining(partial, needed):
            partial.mkdir()
            require_room(partial, needed)
        _fill(partial, title, first, needed, _read_rest(read, number))
        with _explaining(partial, needed):
            partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _fill(
    partial: Path, title: str, first: Mapping[str, Array], needed: int, rest: Iterator[Mapping[str, Array]]
) -> None:
    kinds: dict[str, dict[str, Any]] = {kind: {"dtype": first[kind].dtype.str, "shapes": []} for kind in first}
    with ExitStack() as open_files:
        with _explaining(partial, needed):
            files = {kind: open_files.enter_context(FileIO(partial / f"{kind}.bin", "w")) for kind in first}
        for arrays in chain([first], rest):
            for kind, array in arrays.items():
                kinds[kind]["shapes"].append(array.shape)
                with _explaining(partial, needed):
                    _append(files[kind], array)
        with _explaining(partial, needed):
            for file in files.values():
                os.fsync(file.fileno())
    index = {"title": title, "kinds": kinds}
    with _explaining(partial, needed):
        write_text(partial / _INDEX, canonical({"index": index, "checksum": digest_bytes([canonical(index).encode()])}))


def _append(file: FileIO, array: Array) -> None:
    """Write an array's bytes. The file has no buffer, so that a full disk is met here and not when it is closed."""
    left = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    while left.size:
        left = left[file.write(left.data) :]


def _read_rest(read: Read, number: int) -> Iterator[Mapping[str, Array]]:
    """Yield what `read` gives for images 1, 2, ... in order, read ahead a little by as many threads as there are cores.

    Decoding releases Python's global lock. Which thread decodes changes no byte.
    """
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
        if needed and error.errno in NO_ROOM:
            free = shutil.disk_usage(folder.parent).free + _size(folder)
            raise InputError(
                f"{folder.parent}: no room to keep the prepared images: {needed:,} bytes are needed, {free:,} are free "
                f"({error.strerror}); free some space, or {remedy} on a larger disk. Nothing half-written is left"
            ) from None
        raise InputError(
            f"{folder.parent}: the prepared images cannot be kept there: {error.strerror}; {remedy} that can be written"
        ) from None
