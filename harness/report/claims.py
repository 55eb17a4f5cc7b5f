"""What a report claims: differences with intervals and verdicts, and the noise they are seen through. Fractions."""

from __future__ import annotations

from typing import Literal

from harness.report.base import Record

Outcome = Literal["improved", "regressed", "equivalent", "undecided"]
Reason = Literal["", "one seed", "few seeds", "one group", "only before correction", "noise"]
Scope = Literal["new seeds and images", "these weights", "these images", "these weights on these images"]


class Claim(Record):
    """One difference between two variants on one measure of one split, and what may be said of it."""

    variant: str
    against: str
    split: str
    measure: str
    """`miou_dataset`, or the name of a class, whose IoU it is."""
    delta: float
    """`variant` minus `against`, mean over the seeds that both have."""
    low: float | None
    """95 % interval; null where nothing can be said about new seeds or images."""
    high: float | None
    p: float | None
    """Two-sided p-value of no difference."""
    scope: Scope
    """What the interval speaks for."""
    outcome: Outcome
    reason: Reason
    """Why a verdict is undecided; empty otherwise."""
    p_holm: float | None
    """The p-value adjusted for the family of comparisons that are read together; null where it is not judged."""
    family: int
    """Comparisons in that family."""
    low_margin: float | None
    """90 % interval, which is held against the margin."""
    high_margin: float | None
    seeds: tuple[int, ...]
    by_seed: tuple[float, ...]
    """The difference within each seed."""
    groups: int
    """Image groups that hold the measure's classes."""
    images: int
    alone: tuple[str, ...]
    """Classes that one group alone holds: what other images would do to them is guessed from the other classes."""
    seeds_needed: int | None
    """Seeds that would decide it with 80 % probability, were the measured difference and noise the true ones; null
    where it is decided, or nothing within reach would decide it."""
    groups_needed: int | None
    """Image groups beside those seeds; more than `groups` where seeds alone would not do."""


class Comparison(Record):
    """Two variants on one split: the headline score, and the IoU of each class (a family of its own)."""

    variant: str
    against: str
    split: str
    headline: Claim
    classes: tuple[Claim, ...]


class Floor(Record):
    """What the reference does on a split when nothing is changed but the seed."""

    variant: str
    split: str
    seeds: int
    sd: float | None
    """Standard deviation of miou_dataset between seeds; null with one seed."""
    sd_low: float | None
    """95 % interval of it."""
    sd_high: float | None
    detectable: float | None
    """Smallest true difference that a comparison of this study calls with 80 % probability."""


class Rank(Record):
    """A variant's place."""

    variant: str
    mean: float
    """Mean miou_dataset over its seeds."""
    behind: bool
    """Whether the first is shown to be ahead of it; false for the first itself."""


class Ranking(Record):
    """The variants on one split, the highest mean first; all pairs are one family."""

    split: str
    family: int
    ranks: tuple[Rank, ...]


class Concern(Record):
    """What the study as planned does not show, or shows wrongly; as `harness plan` says it."""

    code: str
    variants: tuple[str, ...]
    text: str
    remedy: str
