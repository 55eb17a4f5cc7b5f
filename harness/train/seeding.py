"""All randomness, as a pure function of named keys. The only file that seeds torch.

A run never draws from a state that an earlier epoch left behind: resumed at an epoch, it is the run it would have been.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch


def derive(*keys: int | str) -> int:
    """Return a 63-bit number that depends on every key and on their order."""
    return int.from_bytes(hashlib.sha256(repr(keys).encode()).digest()[:8], "big") >> 1


def make_rng(*keys: int | str) -> np.random.Generator:
    """Return a numpy generator for the keys, such as (seed, "order", epoch)."""
    return np.random.default_rng(derive(*keys))


def seed_torch(*keys: int | str) -> None:
    """Seed torch's own generators (all devices): initial weights and dropout can draw from no other."""
    torch.manual_seed(derive(*keys))
