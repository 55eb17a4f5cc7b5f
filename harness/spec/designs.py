"""Designs: which combinations of a variant's components run."""

from __future__ import annotations

from collections.abc import Sequence

TOGETHER = "together"
PLANNED = ("one_at_a_time", "add_one_in", "leave_one_out", "factorial", "fractional")
"""Designs whose names are kept free; this version does not have them."""


def combinations(components: Sequence[str], design: str) -> tuple[tuple[str, frozenset[str]], ...]:
    """Return, for each variant that a design makes, the suffix of its name and the components that are on.

    Raises:
        ValueError: the design is not known.
    """
    if design != TOGETHER:
        raise ValueError(f"unknown design '{design}'")
    return (("", frozenset(components)),)
