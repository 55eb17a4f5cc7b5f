"""The source of a run's plugins, kept with the run: where the study's folder is gone, its weights can still be used.

Nothing here imports the copy. It is code: who uses a run decides whether it may run, by naming the file in PYTHONPATH.
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import InputError
from harness.files import write_whole
from harness.fingerprint import digest_file
from harness.runs.credentials import holds_credential
from harness.spec.plugins import (
    LARGEST_BYTES,
    digest_sources,
    pack_sources,
    read_sources,
    unpack_sources,
)


def keep_plugins(path: Path, plugins: Sequence[str]) -> dict[str, Any]:
    """Write the source of imported plugins into a zip file, and return what provenance says of it; {} without plugins.

    `modules`: name -> file; `sha256`: of the sources; `copy`: of the zip file, absent where none is kept.

    Raises:
        CannotWrite: the disk is full or not writable.
    """
    if not plugins:
        return {}
    sources = read_sources(plugins)
    facts: dict[str, Any] = {
        "modules": {name: getattr(sys.modules[name], "__file__", None) for name in plugins},
        "sha256": digest_sources(sources),
    }
    if not sources or sum(map(len, sources.values())) > LARGEST_BYTES:
        return facts
    content = pack_sources(sources)
    write_whole(path, lambda file: file.write(content))
    return {**facts, "copy": digest_file(path)}


def read_copy(path: Path, facts: Mapping[str, Any]) -> dict[str, bytes]:
    """Return file -> source as `keep_plugins` kept it; empty where it kept none, or the file stayed elsewhere.

    Raises:
        InputError: the copy is damaged.
    """
    if "copy" not in facts or not path.is_file():
        return {}
    if digest_file(path) != facts["copy"]:
        raise InputError(f"{path}: damaged (its checksum does not match); put a whole copy of it back, or remove it")
    return unpack_sources(path)


def may_leave(path: Path) -> bool:
    """Tell whether there is a copy that may be sent to a tracking store: one that holds a credential stays here."""
    try:
        return not any(holds_credential(text.decode(errors="replace")) for text in unpack_sources(path).values())
    except (OSError, zipfile.BadZipFile):
        return False
