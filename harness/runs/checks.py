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
    write_text(path, json.dumps(signed(entry), indent=2, ensure_ascii=False))


def signed(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record with its own checksum."""
    read_back = json.loads(json.dumps(entry))  # where keys are text, and sorted as such
    return {**entry, "checksum": fingerprint(read_back)}


def read_entry(path: Path) -> dict[str, Any]:
    """Return a record that `write_entry` wrote; older ones have no checksum.

    Raises:
        InputError: it is damaged.
    """
    try:
        return read_signed(path)
    except (OSError, ValueError) as error:
        raise damaged(path, str(error), path) from None


def read_signed(path: Path) -> dict[str, Any]:
    """Return the record in a file of JSON that carries its own checksum; older ones have none.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged; the message says in what way.
    """
    try:
        entry = dict(json.loads(path.read_text(encoding="utf-8")))
        whole = entry.pop("checksum", None) in (None, fingerprint(entry))
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"no JSON: {error}") from None
    if not whole:
        raise ValueError("its checksum does not match")
    return entry


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
