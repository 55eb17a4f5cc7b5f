"""Checkpoints: tensors and plain values only, so that they load with `weights_only=True` and run no code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch

from harness.errors import RunFailed
from harness.files import write_whole
from harness.records import Progress
from harness.train.workbench import Bench


def save_weights(path: Path, bench: Bench) -> None:
    """Write the weights alone, as the plain model's own state dict."""
    state = {key: value.detach().cpu().contiguous() for key, value in bench.network.module.state_dict().items()}
    write_whole(path, lambda file: torch.save(state, file))


def save_state(path: Path, bench: Bench, history: Sequence[Progress], seconds: float) -> None:
    """Write all that a run needs to go on after the last epoch of `history`; `seconds` is the time spent so far."""
    state = {
        "model": bench.network.module.state_dict(),
        "optimizer": bench.optimizer.state_dict(),
        "history": json.dumps([item.to_dict() for item in history]),
        "seconds": seconds,
    }
    write_whole(path, lambda file: torch.save(state, file))


def load_state(path: Path, bench: Bench) -> tuple[list[Progress], float]:
    """Put a saved state on the bench; return the epochs done and the seconds they took.

    Raises:
        RunFailed: the file cannot be read as a state of this run.
    """
    try:
        state = torch.load(path, map_location=bench.device, weights_only=True)
        bench.network.module.load_state_dict(state["model"])
        bench.optimizer.load_state_dict(state["optimizer"])
        history = [Progress(**item) for item in json.loads(state["history"])]
    except (OSError, RuntimeError, KeyError, ValueError, EOFError) as error:
        reason = str(error).splitlines()[0]
        raise RunFailed(f"{path}: cannot continue from it ({reason}); delete the file to start this run anew") from None
    return history, float(state["seconds"])
