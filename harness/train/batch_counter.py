"""How far a run is, for who watches it."""

from __future__ import annotations


class BatchCounter:
    """Counts the batches that a run has trained on or evaluated. Another thread may look at any time."""

    def __init__(self) -> None:
        self.batches = 0

    def add(self) -> None:
        """Note that another batch goes through the network."""
        self.batches += 1
