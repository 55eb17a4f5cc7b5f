"""Seeding torch: the only file that does.

A run never draws from a state that an earlier epoch left behind: resumed at an epoch, it is the run it would have been.
"""

from __future__ import annotations

import torch

from harness.randomness import derive


def seed_torch(*keys: int | str) -> None:
    """Seed torch's own generators (all devices in use): initial weights and dropout can draw from no other.

    `torch.manual_seed` makes ready to seed a GPU that nobody has asked for, which takes two milliseconds.
    """
    if torch.cuda.is_initialized() or torch.backends.mps.is_available():  # type: ignore[no-untyped-call]
        torch.manual_seed(derive(*keys))
    else:
        torch.default_generator.manual_seed(derive(*keys))
