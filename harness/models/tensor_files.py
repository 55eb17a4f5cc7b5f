"""The one door to `torch.load`: tensors and plain values are read, and nothing in a file is ever executed.

Where torch refuses a file, its own message advises to load it with code and all. What is said here instead is what the
file is, and how weights alone are saved.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

SHOWN = 3
_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")
_STARTS = {
    b"<": "it is a web page (HTML or XML); the download went wrong",
    b"version https://git-lfs": "it is a pointer of Git LFS; git lfs pull fetches the file itself",
    b"\x93NUMPY": "it is a NumPy array",
    b"\x89HDF": "it is an HDF5 file, as Keras writes them",
    b"\x80": "it is a pickle that torch.save did not write",
}


class NotTensors(Exception):
    """A file holds something else than tensors and plain values; the text says what, as the end of a sentence."""


def load_tensors(path: Path) -> Any:
    """Return what `torch.save` wrote, on the CPU.

    Raises:
        OSError: the file cannot be read.
        NotTensors: it holds something else, or is damaged.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, about other ways to read what is refused below
            return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - what is no such file makes torch raise errors of any kind
        raise NotTensors(_explain(path, str(error) or type(error).__name__)) from None


def _explain(path: Path, told: str) -> str:
    if names := sorted(set(_GLOBAL.findall(told))):
        return f"it holds Python objects ({', '.join(names[:SHOWN])}), whose code would run when they are read"
    if "TorchScript" in told:
        return "it is a TorchScript archive: a program, with its weights"
    with path.open("rb") as file:
        start = file.read(64)
    if not start:
        return "it is empty"
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            is_ours = any(name.endswith("/data.pkl") for name in archive.namelist())
        return "it is damaged" if is_ours else "it is a zip archive without weights"
    if start.startswith(b"PK"):
        return "it is damaged or cut short"
    kind = next((kind for begin, kind in _STARTS.items() if start.lstrip().startswith(begin)), None)
    return kind or "it is no file of PyTorch, or damaged"
