"""What a run was made with, so that it can be made again.

Of environment variables there are those alone that change numbers: others may hold secrets.
"""

from __future__ import annotations

import hashlib
import platform
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from harness.environment import count_cores, read_environment, read_processor, read_version
from harness.records import Machine, Origin
from harness.runs.credentials import mask_credentials

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
