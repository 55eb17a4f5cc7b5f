"""Whether a result's files are as they were written: `result.json` carries the SHA-256 of the others, and of itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.errors import InputError
from harness.files import write_text
from harness.fingerprint import digest_file, fingerprint


def write_entry(path: Path, entry: Mapping[str, Any]) -> None:
    """Write a record as JSON that carries its own checksum."""
    write_text(path, json.dumps({**entry, "checksum": fingerprint(entry)}, indent=2, ensure_ascii=False))


def read_entry(path: Path) -> dict[str, Any]:
    """Return a record that `write_entry` wrote; older ones have no checksum.

    Raises:
        InputError: it is damaged.
    """
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
        checksum = entry.pop("checksum", None)
        problem = "" if checksum in (None, fingerprint(entry)) else "its checksum does not match"
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        problem = str(error)
    if problem:
        raise damaged(path, problem, path)
    return dict(entry)


def digests_of(files: Iterable[Path], root: Path) -> dict[str, str]:
    """Return the SHA-256 of each of some files, by its place below a folder."""
    return {path.relative_to(root).as_posix(): digest_file(path) for path in files}


def require_same(digests: Mapping[str, str], root: Path, result: Path) -> None:
    """Check files against what `digests_of` returned when they were written.

    Raises:
        InputError: one is gone, or another than it was.
    """
    for name, digest in digests.items():
        path = root / name
        if not path.is_file():
            raise damaged(path, "it is gone", result)
        if digest_file(path) != digest:
            raise damaged(path, "its checksum does not match", result)


def damaged(path: Path, problem: str, result: Path) -> InputError:
    """Return the error for a damaged file of a run whose outcome is in the file `result`."""
    return InputError(
        f"{path}: damaged ({problem}); put a whole copy of the file back, or remove {result} and run the study again: "
        "the run is then taken from the tracking store, or made again"
    )
