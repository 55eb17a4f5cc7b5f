"""All randomness, as a pure function of named keys. Torch's generators are seeded in `harness.train.seeding` alone."""

from __future__ import annotations

import hashlib

import numpy as np


def derive(*keys: int | str) -> int:
    """Return a 63-bit number that depends on every key and on their order."""
    return int.from_bytes(hashlib.sha256(repr(keys).encode()).digest()[:8], "big") >> 1


def make_rng(*keys: int | str) -> np.random.Generator:
    """Return a numpy generator for the keys, such as (seed, "order", epoch)."""
    return np.random.default_rng(derive(*keys))
