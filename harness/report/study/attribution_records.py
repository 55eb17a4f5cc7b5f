"""What a report says about the parts of a difference. Fractions."""

from __future__ import annotations

from typing import Literal

from harness.report.study.base import Record
from harness.report.study.claims import EarlierCall


class Part(Record):
    """One part of a total: an effect with its 95 % interval and p-value of this part alone (fractions)."""

    name: str
    delta: float
    low: float | None
    high: float | None
    p: float | None
    p_adjusted: float | None
    """The p-value adjusted for the parts that are read together, main effects or interactions, and for the looks; null
    where the part is not judged: the total and the shares, which follow from the others."""
    outcome: Literal["improved", "regressed", "undecided"] | None
    called: EarlierCall | None = None
    """The earlier look, at fewer seeds, that gave the outcome; null where the present seeds do."""
    seeds: int
    groups: int


class BracketPart(Record):
    """A component's effect in the two most different surroundings in which it was switched on."""

    name: str
    few_on: tuple[str, ...]
    few: Part
    """What it adds where the fewest others are on."""
    many_on: tuple[str, ...]
    many: Part
    """What it adds where the most others are on."""
    interaction: Part | None
    """`many` less `few`: how far its effect depends on the others; null where both are the same surroundings."""


class FamilyAttribution(Record):
    """What the combinations of one variant's components say about each of them, on one split."""

    family: str
    split: str
    designs: tuple[str, ...]
    combinations: int
    """Combinations with results that the attribution rests on."""
    total: Part | None
    """All components on, less all off; null where one of the two has no results."""
    main: tuple[Part, ...]
    """Main effects; empty where the design does not give them."""
    interactions: tuple[Part, ...]
    shapley: tuple[Part, ...]
    """Shares that add up to `total` exactly."""
    brackets: tuple[BracketPart, ...]
    aliases: dict[str, tuple[str, ...]]
    """Component -> interactions that its main effect cannot be told from."""
