"""Checkpoints: tensors and plain values only, so that they load with `weights_only=True` and run no code.

Each file carries its checksum (`harness.files`). What a disk or a cable has changed is so found before it is
used: torch itself loads many a damaged file without a word.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

import torch

from harness.errors import RunFailed, describe
from harness.files import append_checksum, find_damage, write_whole
from harness.models.network import Network
from harness.models.tensor_files import NotTensors, load_tensors
from harness.records import IMAGES_AT_ONCE, Progress
from harness.train.memory import MicroBatch
from harness.train.setup import TrainState

Weights = Mapping[str, torch.Tensor]
"""The plain model's own state dict, on the CPU."""


@dataclass(frozen=True)
class Checkpoint:
    """How far a run has come: what a file of its state holds beside the weights and the state of the optimizer."""

    history: tuple[Progress, ...] = ()
    best: Weights | None = None
    """Weights of the best epoch; None before an epoch is trained."""
    seconds: float = 0.0
    """Time spent so far."""
    notes: tuple[str, ...] = ()
    """What a reader of the results should know about how it came so far."""
    micro_batch: MicroBatch = field(default_factory=MicroBatch)
    """With how many images at once its last epoch was made."""


def copy_weights(network: Network) -> Weights:
    """Return the weights as they are now."""
    state = network.module.state_dict()
    return {key: value.detach().cpu().clone(memory_format=torch.contiguous_format) for key, value in state.items()}


def save_weights(path: Path, weights: Weights) -> None:
    """Write weights alone, as a state dict that any program can load.

    Raises:
        CannotWrite: the disk is full or not writable; an older file is untouched.
    """
    write_whole(path, lambda file: _save_sealed(dict(weights), file))


def save_state(path: Path, previous: Path, state: TrainState, checkpoint: Checkpoint) -> None:
    """Write all that a run needs to go on; the state before it is kept as `previous`.

    Raises:
        CannotWrite: the disk is full or not writable; the older states are untouched.
    """
    content = {
        "model": state.network.module.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "best": dict(checkpoint.best or {}),
        "history": json.dumps([item.to_dict() for item in checkpoint.history]),
        "seconds": checkpoint.seconds,
        "notes": json.dumps(checkpoint.notes),
        "micro_batch": json.dumps(vars(checkpoint.micro_batch)),
    }
    write_whole(path, lambda file: _save_sealed(content, file), previous=previous)


def _save_sealed(content: object, file: IO[bytes]) -> None:
    torch.save(content, file)
    append_checksum(file)


def load_newest(paths: Sequence[Path], state: TrainState) -> Checkpoint:
    """Put the newest undamaged one of some files, given with the newest first, into the network and the optimizer.

    Damaged ones are removed, so that they never take the place of a good one, and noted. With none left, the run is at
    its start.

    Raises:
        RunFailed: the file is undamaged, but no state of this run.
    """
    # The older state is tried where the newer is damaged: an epoch is made again, which the same seed makes the same.
    damaged: list[str] = []
    checkpoint, then = Checkpoint(), "training began anew"
    for path in (path for path in paths if path.exists()):
        problem = find_damage(path)
        if problem is None:
            checkpoint = _load_state(path, state)
            then = f"training went on after epoch {checkpoint.history[-1].epoch} instead"
            break
        damaged.append(f"the checkpoint {path.name} was damaged ({problem})")
        path.unlink()
    return replace(checkpoint, notes=(*checkpoint.notes, f"{', '.join(damaged)}: {then}")) if damaged else checkpoint


def _load_state(path: Path, state: TrainState) -> Checkpoint:
    try:
        # On the CPU: Adam's counts of its steps stay where they are put, and on a GPU each step would wait for each.
        content = load_tensors(path)
        state.network.module.load_state_dict(content["model"])
        state.optimizer.load_state_dict(content["optimizer"])
        history = tuple(Progress(**item) for item in json.loads(content["history"]))
        return Checkpoint(
            history=history,
            best={key: value.cpu() for key, value in content["best"].items()} or None,
            seconds=float(content["seconds"]),
            notes=tuple(json.loads(content["notes"])),
            micro_batch=_read_micro_batch(content.get("micro_batch"), history),
        )
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - what holds something else makes torch raise errors of any kind
        reason = str(error) if isinstance(error, NotTensors) else describe(error)
        raise RunFailed(f"{path}: cannot continue from it ({reason}); delete the file to start this run anew") from None


def _read_micro_batch(text: str | None, history: Sequence[Progress]) -> MicroBatch:
    """Read how many images at once a run goes on with; a file of an older version says it in its last epoch alone."""
    if text is not None:
        return MicroBatch(**json.loads(text))
    last = history[-1].metrics if history else {}
    return MicroBatch(**{phase: int(last[name]) for phase, name in IMAGES_AT_ONCE.items() if name in last})
