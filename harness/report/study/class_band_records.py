"""Classes by how frequent they are, and what a change did to the frequent and to the rare ones. Fractions."""

from __future__ import annotations

from typing import Literal

from harness.report.study.base import Record
from harness.report.study.claims import Claim

Band = Literal["dominant", "common", "rare", "absent"]
DOMINANT = 0.10
"""Share of val's labelled pixels from which on a class is dominant: at most ten classes can be."""
RARE = 0.01
"""Share below which a class is rare: an error on all of it moves pixel accuracy by less than a point."""


class ClassBand(Record):
    """How much of the validation split's ground truth one class makes up."""

    name: str
    share: float
    """Of the labelled pixels."""
    band: Band


class BandComparison(Record):
    """What became of the classes of one band, taken together, in a variant against the reference."""

    band: Band
    classes: tuple[str, ...]
    """Those that occur in the ground truth of the split."""
    claim: Claim
    """The difference of their mean IoU; those of all variants and bands are one family."""
