"""Checkpoints: tensors and plain values only, so that they load with `weights_only=True` and run no code.

Each file carries the SHA-256 of its content where zip files carry a comment, which `torch.load` passes over. What a
disk or a cable has changed is so found before it is used: torch itself loads many a damaged file without a word.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import torch

from harness.errors import RunFailed, describe
from harness.files import write_whole
from harness.nets.tensor_files import NotTensors, load_tensors
from harness.records import Progress
from harness.train.workbench import Bench

Weights = Mapping[str, torch.Tensor]
"""The plain model's own state dict, on the CPU."""

_SEAL = b"sha256:"
_SEAL_LENGTH = len(_SEAL) + 64
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Standing:
    """How far a run has come; its weights and the state of its optimizer are on the bench."""

    history: tuple[Progress, ...] = ()
    best: Weights | None = None
    """Weights of the best epoch; None before an epoch is trained."""
    seconds: float = 0.0
    """Time spent so far."""
    notes: tuple[str, ...] = ()
    """What a reader of the results should know about how it came so far."""


def copy_weights(bench: Bench) -> Weights:
    """Return the weights as they are now."""
    state = bench.network.module.state_dict()
    return {key: value.detach().cpu().clone(memory_format=torch.contiguous_format) for key, value in state.items()}


def save_weights(path: Path, weights: Weights) -> None:
    """Write weights alone, as a state dict that any program can load.

    Raises:
        CannotWrite: the disk is full or not writable; an older file is untouched.
    """
    write_whole(path, lambda file: _save_sealed(dict(weights), file))


def save_state(path: Path, previous: Path, bench: Bench, standing: Standing) -> None:
    """Write all that a run needs to go on; the state before it is kept as `previous`.

    Raises:
        CannotWrite: the disk is full or not writable; the older states are untouched.
    """
    state = {
        "model": bench.network.module.state_dict(),
        "optimizer": bench.optimizer.state_dict(),
        "best": dict(standing.best or {}),
        "history": json.dumps([item.to_dict() for item in standing.history]),
        "seconds": standing.seconds,
        "notes": json.dumps(standing.notes),
    }
    write_whole(path, lambda file: _save_sealed(state, file), previous=previous)


def _save_sealed(content: object, file: IO[bytes]) -> None:
    torch.save(content, file)
    file.seek(-2, 2)
    file.write(_SEAL_LENGTH.to_bytes(2, "little"))  # a zip file ends with the length of its comment
    digest = _digest_start(file, file.tell())
    file.seek(0, 2)
    file.write(_SEAL + digest.encode())


def _digest_start(file: IO[bytes], length: int) -> str:
    """Return the SHA-256 (hexadecimal) of the first bytes of a file."""
    file.seek(0)
    sha = hashlib.sha256()
    while length and (chunk := file.read(min(length, _CHUNK))):
        sha.update(chunk)
        length -= len(chunk)
    return sha.hexdigest()


def find_damage(path: Path) -> str | None:
    """Return what is wrong with a checkpoint's bytes, in words; None where they are as they were written.

    Files without the SHA-256, of an older harness, are judged by the CRC-32 of the zip file.
    """
    try:
        with path.open("rb") as file:
            start = max(file.seek(0, 2) - _SEAL_LENGTH, 0)
            file.seek(start)
            seal = file.read()
            if seal.startswith(_SEAL):
                intact = seal == _SEAL + _digest_start(file, start).encode()
            else:
                intact = seal.endswith(b"\0\0") and zipfile.ZipFile(file).testzip() is None  # no comment, cut or whole
    except OSError as error:
        return error.strerror or str(error)
    except Exception:  # noqa: BLE001 - a damaged zip file makes its reader raise errors of any kind
        return "it is cut short, or no checkpoint"
    return None if intact else "its checksum does not match"


def load_newest(states: Sequence[Path], bench: Bench) -> Standing:
    """Put the newest undamaged one of some states, given with the newest first, on the bench; say which were damaged.

    Damaged ones are removed, so that they never take the place of a good one. With none left, the run is at its start.

    Raises:
        RunFailed: the file is undamaged, but no state of this run.
    """
    damaged: list[str] = []
    for path in (path for path in states if path.exists()):
        problem = find_damage(path)
        if problem is None:
            standing = _load_state(path, bench)
            return _noted(standing, damaged, f"training went on after epoch {standing.history[-1].epoch} instead")
        damaged.append(f"the checkpoint {path.name} was damaged ({problem})")
        path.unlink()
    return _noted(Standing(), damaged, "training began anew")


def _noted(standing: Standing, damaged: Sequence[str], then: str) -> Standing:
    notes = (*standing.notes, f"{', '.join(damaged)}: {then}") if damaged else standing.notes
    return Standing(standing.history, standing.best, standing.seconds, notes)


def _load_state(path: Path, bench: Bench) -> Standing:
    try:
        # On the CPU: Adam's counts of its steps stay where they are put, and on a GPU each step would wait for each.
        state = load_tensors(path)
        bench.network.module.load_state_dict(state["model"])
        bench.optimizer.load_state_dict(state["optimizer"])
        return Standing(
            history=tuple(Progress(**item) for item in json.loads(state["history"])),
            best={key: value.cpu() for key, value in state["best"].items()} or None,
            seconds=float(state["seconds"]),
            notes=tuple(json.loads(state["notes"])),
        )
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - what holds something else makes torch raise errors of any kind
        reason = str(error) if isinstance(error, NotTensors) else describe(error)
        raise RunFailed(f"{path}: cannot continue from it ({reason}); delete the file to start this run anew") from None
