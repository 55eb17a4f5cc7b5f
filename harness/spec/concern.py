"""One thing that a plan's results will not show, or will show wrongly."""

from __future__ import annotations

from dataclasses import dataclass

CODES = (
    *("normalization", "confounded", "budget", "continued", "batch_norm"),
    *("one_seed", "few_seeds", "few_folds", "judged_on_test", "few_groups", "margin", "same_images", "stepwise"),
)
"""Most serious first: what makes a comparison wrong, what makes it weak, and what the plan's own runs divide."""


@dataclass(frozen=True)
class Concern:
    """One thing that the plan's results will not show, or will show wrongly."""

    code: str
    """One of CODES."""
    variants: tuple[str, ...]
    """Variants that it is about."""
    text: str
    """What is so, and why it matters."""
    remedy: str
    """What would resolve it, and how many runs that takes."""
