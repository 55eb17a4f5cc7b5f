"""Digests of files' content, and a memory on disk for what is slow to find out and never changes for one content.

The memory lies below the user's cache folder. It may be deleted at any time; where it is missing, damaged or cannot be
written, the answer is worked out again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from harness.errors import InputError
from harness.files import write_text
from harness.fingerprint import canonical, digest_bytes


def cache_folder() -> Path:
    """Return `$HARNESS_CACHE`, else `$XDG_CACHE_HOME/ablation-harness`, else `~/.cache/ablation-harness`."""
    if own := os.environ.get("HARNESS_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ablation-harness"


def digest_files(files: Mapping[str, Path]) -> str:
    """Return the SHA-256 (hexadecimal) of files: of their names (the keys), sorted, and their contents.

    Files of known path, size and time of change are not read again.

    Raises:
        InputError: a file cannot be read.
    """
    try:
        states = [(str(files[name].absolute()), *_state(files[name])) for name in sorted(files)]
        key = digest_bytes([canonical([sorted(files), states]).encode()])
        return remember("digests", key, lambda: _digest(files))
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read: {error.strerror}") from None


def _state(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_size, state.st_mtime_ns


def _digest(files: Mapping[str, Path]) -> str:
    sha = hashlib.sha256()
    for name in sorted(files):
        with files[name].open("rb") as file:
            content = hashlib.file_digest(file, "sha256").digest()
        sha.update(hashlib.sha256(name.encode()).digest() + content)
    return sha.hexdigest()


def remember(kind: str, key: str, work_out: Callable[[], str]) -> str:
    """Return what the memory holds for a key, else work it out and remember it.

    Each answer has a file of its own, written whole: processes that work out the same answer at once do not meet.
    """
    path = cache_folder() / kind / f"{key}.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # missing or damaged: work it out
        entry = json.loads(path.read_text(encoding="utf-8"))
        answer = entry["answer"]
        if entry["key"] == key and isinstance(answer, str):
            return answer
    answer = work_out()
    with contextlib.suppress(OSError):  # a cache that cannot be written is no reason to stop
        write_text(path, json.dumps({"key": key, "answer": answer}))
    return answer
