"""What a run was made with, so that it can be made again: facts, and the source of its plugins.

Of environment variables there are those alone that change numbers: others may hold secrets.

Where a study's folder is gone, its weights can still be used by the copy of its plugins. Nothing here imports it. It is
code: who uses a run decides whether it may run, by naming the file in PYTHONPATH.
"""

from __future__ import annotations

import hashlib
import platform
import socket
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.environment import count_cores, read_environment, read_processor, read_version
from harness.errors import InputError
from harness.files import write_whole
from harness.fingerprint import digest_file
from harness.records import Machine, Origin
from harness.runs.credentials import holds_credential, mask_credentials
from harness.spec.plugins import LARGEST_BYTES, digest_sources, pack_sources, read_sources, unpack_sources

PACKAGES = (
    "ablation-harness",
    "torch",
    "torchvision",
    "segmentation-models-pytorch",
    "timm",
    "numpy",
    "pillow",
    "mlflow",
    "pydantic",
)
DIFF_BYTES = 200_000
GIT_SECONDS = 10


def read_provenance(machine: Machine) -> dict[str, Any]:
    """Return facts about code, packages and machine, ready for JSON. Works without git and outside a repository."""
    import psutil  # only here: a command that reads runs needs none of it

    origin = machine.origin or read_origin()
    return {
        "command": list(origin.command),
        "git": origin.git,
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := read_version(name)) is not None},
        "system": platform.platform(),
        "host": socket.gethostname(),
        "cpu": read_processor(),
        "cores": count_cores(),
        "memory_bytes": psutil.virtual_memory().total,
        "device_asked": machine.device,
        "environment": {name: mask_credentials(value) for name, value in read_environment().items()},
    }


def read_origin() -> Origin:
    """Return the command that runs here, and the state of the repository that it was given in."""
    command = (Path(sys.argv[0]).name, *(mask_credentials(word) for word in sys.argv[1:]))
    return Origin(command, _read_git(Path.cwd()))


def _read_git(folder: Path) -> dict[str, Any] | None:
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    diff = _git(folder, "diff", "HEAD") or b""
    shown = mask_credentials(diff[:DIFF_BYTES].decode(errors="replace"))
    return {
        "commit": commit.decode().strip(),
        "dirty": bool(diff),
        "diff_sha256": hashlib.sha256(diff).hexdigest() if diff else "",
        "diff": shown if len(diff) <= DIFF_BYTES else f"{shown}\n(cut: {len(diff)} bytes in all)",
    }


def _git(folder: Path, *arguments: str) -> bytes | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, timeout=GIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


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
    write_whole(path, lambda file: file.write(pack_sources(sources)))
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
