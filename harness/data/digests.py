"""Digests of files' content, and a memory on disk for what is slow to find out and never changes for one content.

A folder that harness has written and later trains on (prepared masks, copies of data at a URL) holds the checksums of
its files.

The memory lies below the user's cache folder. It may be deleted at any time; where it is missing, damaged or cannot be
written, the answer is worked out again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import InputError
from harness.files import write_text
from harness.fingerprint import digest, digest_file, fingerprint

CLOCK_STEP_NS = 2_000_000_000
"""The coarsest step of a file system's clock (FAT's): two changes that are closer may bear one time."""
CHECKSUMS = "checksums.json"


def cache_folder() -> Path:
    """Return `$HARNESS_CACHE`, else `$XDG_CACHE_HOME/ablation-harness`, else `~/.cache/ablation-harness`."""
    if own := os.environ.get("HARNESS_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ablation-harness"


def digest_files(files: Mapping[str, Path]) -> str:
    """Return the SHA-256 (hexadecimal) of files: of their names (the keys), sorted, and their contents.

    Files of a known state (`_state`) are not read again. A state is remembered only where a later change must give
    another one: not of files that were changed within the clock's step of the moment they were read (as git does for
    its index).

    Raises:
        InputError: a file cannot be read, or is being changed.
    """
    try:
        states = _states(files)
        key = digest([sorted(files), list(states.items())])
        if (known := _load("digests", key)) is not None:
            return known
        began = time.time_ns()
        found = combine({name: digest_file(path) for name, path in files.items()})
        after = _states(files)
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read: {error.strerror}") from None
    # A file that was changed between two looks at it has a digest of a mixture, which must never be remembered.
    if changed := [path for path in states if states[path] != after[path]]:
        raise InputError(
            f"{changed[0]}: changed while it was read; run the same command again when nothing writes there"
        )
    if all(state.ctime_ns < began - CLOCK_STEP_NS for state in states.values()):
        _store("digests", key, found)
    return found


def require_digest(files: Mapping[str, Path], expected: str, root: Path) -> None:
    """Require that files, below `root`, are still those of a digest.

    Raises:
        InputError: they are not, or cannot be read.
    """
    if digest_files(files) != expected:
        raise InputError(f"{root}: files changed while they were read; run the same command again")


class _State(NamedTuple):
    """What the system tells of a file. A program can set size and time of modification to what they were before; the
    time of change (of content, name or rights) it cannot.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


def _states(files: Mapping[str, Path]) -> dict[str, _State]:
    found = {str(files[name].absolute()): files[name].stat() for name in sorted(files)}
    return {path: _State(s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino) for path, s in found.items()}


def combine(digests: Mapping[str, str]) -> str:
    """Return what `digest_files` returns of files whose contents have these digests (SHA-256, hexadecimal), by name."""
    sha = hashlib.sha256()
    for name in sorted(digests):
        sha.update(hashlib.sha256(name.encode()).digest() + bytes.fromhex(digests[name]))
    return sha.hexdigest()


def remember(kind: str, key: str, work_out: Callable[[], str]) -> str:
    """Return what the memory holds for a key, else work it out and remember it.

    Each answer has a file of its own, written whole: processes that work out the same answer at once do not meet. It
    carries a checksum, without which it is not believed.
    """
    if (answer := _load(kind, key)) is None:
        answer = work_out()
        _store(kind, key, answer)
    return answer


def _load(kind: str, key: str) -> str | None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):  # missing or damaged
        entry = json.loads(_entry(kind, key).read_text(encoding="utf-8"))
        answer = entry["answer"]
        if isinstance(answer, str) and entry["checksum"] == _checksum(key, answer):
            return answer
    return None


def _store(kind: str, key: str, answer: str) -> None:
    with contextlib.suppress(OSError):  # a cache that cannot be written is no reason to stop
        write_text(_entry(kind, key), json.dumps({"answer": answer, "checksum": _checksum(key, answer)}))


def _entry(kind: str, key: str) -> Path:
    return cache_folder() / kind / f"{key}.json"


def _checksum(key: str, answer: str) -> str:
    return digest([key, answer])


def write_checksums(folder: Path, files: Iterable[Path]) -> None:
    """Keep the SHA-256 of files below a folder in it."""
    sums = {path.relative_to(folder).as_posix(): digest_file(path) for path in sorted(files)}
    write_text(folder / CHECKSUMS, json.dumps({"sha256": sums, "checksum": fingerprint(sums)}, indent=0))


def find_changed(folder: Path) -> str | None:
    """Return what is no longer as `write_checksums` found it, in words; None where nothing is.

    Files of known state are not read again (`harness.data.digests`).

    Raises:
        InputError: a file cannot be read.
    """
    try:
        entry: Any = json.loads((folder / CHECKSUMS).read_text(encoding="utf-8"))
        sums: dict[str, str] = entry["sha256"]
        if entry["checksum"] != fingerprint(sums):
            return f"{folder / CHECKSUMS}: its checksum does not match"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return f"{folder / CHECKSUMS}: it is gone, or no JSON"
    gone = [name for name in sums if not (folder / name).is_file()]
    if gone:
        return f"{folder / gone[0]}: it is gone"
    if digest_files({name: folder / name for name in sums}) == combine(sums):
        return None
    # The sum of all is compared first, because it is remembered; only where it differs is the file looked for.
    changed = next((name for name, known in sums.items() if digest_file(folder / name) != known), CHECKSUMS)
    return f"{folder / changed}: its checksum does not match"
