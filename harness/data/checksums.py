"""Checksums of a folder that harness has written and later trains on: prepared masks, copies of data at a URL."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from harness.data.digests import combine, digest_files
from harness.files import write_text
from harness.fingerprint import digest_file, fingerprint

FILE = "checksums.json"


def write_checksums(folder: Path, files: Iterable[Path]) -> None:
    """Keep the SHA-256 of files below a folder in it."""
    sums = {path.relative_to(folder).as_posix(): digest_file(path) for path in sorted(files)}
    write_text(folder / FILE, json.dumps({"sha256": sums, "checksum": fingerprint(sums)}, indent=0))


def find_changed(folder: Path) -> str | None:
    """Return what is no longer as `write_checksums` found it, in words; None where nothing is.

    Files of known state are not read again (`harness.data.digests`).

    Raises:
        InputError: a file cannot be read.
    """
    try:
        entry: Any = json.loads((folder / FILE).read_text(encoding="utf-8"))
        sums: dict[str, str] = entry["sha256"]
        if entry["checksum"] != fingerprint(sums):
            return f"{folder / FILE}: its checksum does not match"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return f"{folder / FILE}: it is gone, or no JSON"
    gone = [name for name in sums if not (folder / name).is_file()]
    if gone:
        return f"{folder / gone[0]}: it is gone"
    if digest_files({name: folder / name for name in sums}) == combine(sums):
        return None
    changed = next((name for name, digest in sums.items() if digest_file(folder / name) != digest), FILE)
    return f"{folder / changed}: its checksum does not match"
