"""What a run was made with, so that it can be made again.

Of environment variables there are those alone that change numbers: others may hold secrets.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from harness.cores import count_cores, read_processor
from harness.environment import read_environment
from harness.records import Machine, Origin

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
_SECRET_NAME = r"(?:passw(?:or)?d|pwd|token|secret|api[_-]?key|access[_-]?key|signature|credential)s?"
_SECRET = re.compile(rf"(?i)({_SECRET_NAME}[\"']?(?:\s*[=:]\s*(?=[\"'])|=))(\"[^\"\n]*\"|'[^'\n]*'|[^\s&\"',;)]+)")
_LITERAL_SECRET = re.compile(rf"(?i){_SECRET_NAME}[\"']?\s*[=:]\s*[\"'][^\"'\n]+[\"']|\w+://[^/\s:@]+:[^/\s@]+@")
_ENVIRONMENT = re.compile(r"(?i)^(?!(?:old)?pwd$).*(?:passw|pwd|token|secret|key|credential)")  # PWD is a folder
_SHORTEST_SECRET = 8
DIFF_BYTES = 200_000
GIT_SECONDS = 10


def read_provenance(machine: Machine) -> dict[str, Any]:
    """Return facts about code, packages and machine, ready for JSON. Works without git and outside a repository."""
    origin = machine.origin or read_origin()
    return {
        "command": list(origin.command),
        "git": origin.git,
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := _version(name)) is not None},
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


def mask_credentials(text: str) -> str:
    """Return a text with its secrets as `***`.

    These are the user and password of any URL, the value of whatever is called a password, token or the like, and the
    values of environment variables so called. A password may hold any character but a space, also those that a URL
    should not have there: too much is hidden then.
    """
    for name, value in os.environ.items():
        if _ENVIRONMENT.search(name) and len(value) >= _SHORTEST_SECRET:
            text = text.replace(value, "***")
    return _SECRET.sub(r"\1***", re.sub(r"\b(\w+://)\S*@", r"\1***@", text))


def holds_credential(text: str) -> bool:
    """Tell whether a text, such as a program, has a password or the like in it: as a literal, in a URL, or as the value
    of an environment variable that is called so."""
    values = [
        value for name, value in os.environ.items() if _ENVIRONMENT.search(name) and len(value) >= _SHORTEST_SECRET
    ]
    return bool(_LITERAL_SECRET.search(text)) or any(value in text for value in values)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


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
