"""What a forward pass occupies, by looking: whether a picture fits is decided by its size, never by the machine."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from harness.apply.model import Model
from harness.apply.predict.tiles import GRID_PX, Tiling

PROBE_PX = 256
SAFETY = 1.5
"""Libraries lay out tensors anew inside an operation, which nobody counts (tests/apply/test_predict_tiles.py)."""


class _Live(TorchDispatchMode):
    """Keeps account of the bytes of all tensors that are alive."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak: int = 0
        self._now = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._note(leaf.untyped_storage())
        return result

    def _note(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self._known.add(key)
        self._now += size
        self.peak = max(self.peak, self._now)
        weakref.finalize(storage, self._drop, key, size)

    def _drop(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._now -= size


def forward_bytes_per_pixel(model: Model) -> float:
    """Return the bytes that a forward pass occupies at most for a pixel of its input, weights apart."""
    with _Live() as live:
        model([np.zeros((PROBE_PX, PROBE_PX, 3), np.uint8)])
    return SAFETY * float(live.peak) / PROBE_PX**2


def choose_tiling(height: int, width: int, *, bytes_per_pixel: float, num_classes: int, limit: int) -> Tiling | None:
    """Return square tiles with which a picture's forward pass stays below a limit (bytes); None where it does whole.

    Neighbours share a quarter of a tile. What is kept of the picture's width beside the tile counts too.
    """
    if bytes_per_pixel * height * width <= limit:
        return None
    row_bytes = 2 * 4 * num_classes * width
    side = 4 * GRID_PX
    while bytes_per_pixel * (side + 4 * GRID_PX) ** 2 + row_bytes * (side + 4 * GRID_PX) <= limit:
        side += 4 * GRID_PX
    return Tiling(side, side, side // 4)
