"""Checkpoints: tensors and plain values only, so that they load with `weights_only=True` and run no code.

Each file carries its checksum (`harness.zip_checksum`). What a disk or a cable has changed is so found before it is
used: torch itself loads many a damaged file without a word.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import torch

from harness.errors import RunFailed, describe
from harness.files import write_whole
from harness.models.tensor_files import NotTensors, load_tensors
from harness.records import Progress
from harness.train.setup import Bench
from harness.zip_checksum import append_checksum, find_damage

Weights = Mapping[str, torch.Tensor]
"""The plain model's own state dict, on the CPU."""


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
    append_checksum(file)


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
