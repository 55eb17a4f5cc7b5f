"""What a report claims: differences with intervals and verdicts, and the noise they are seen through.

Of two variants, of bands of classes (frequent and rare ones), and of the components that a difference is made of. All
are fractions.
"""

from __future__ import annotations

from typing import Literal

from harness.report.study.base import Record
from harness.stats import verdicts
from harness.stats.chances import Chances
from harness.stats.effects import Scope
from harness.stats.power import Outlook

Outcome = Literal[verdicts.Outcome, "not judged"]
Reason = Literal[verdicts.Reason, "other split"]


class EarlierCall(Record):
    """The earlier look that gave a verdict: the first that called a comparison does so for good."""

    seeds: tuple[int, ...]
    """Those that were complete then."""
    delta: float
    """The difference as it was measured then."""
    low: float | None
    """95 % interval of it."""
    high: float | None
    agrees: bool
    """Whether all present seeds say the same: their 95 % interval lies on that side of 0; of what is equivalent, their
    interval of `margin_level` lies within the margin."""


class Claim(Record):
    """One difference between two variants on one measure of one split, and what may be said of it."""

    variant: str
    against: str
    split: str
    measure: str
    """`miou_dataset`; or the name of a class, whose IoU it is; or a band of classes, whose mean IoU it is."""
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
    """The verdict; `not judged` on every split but the study's primary one."""
    reason: Reason
    """Why a verdict is undecided or, as `other split`, why there is none; empty otherwise."""
    p_adjusted: float | None
    """The p-value adjusted for the family of comparisons that are read together, and for the looks at this one; null
    where it is not judged."""
    family: int
    """Comparisons in that family; those of the same runs under several names count once. 0 where none is judged."""
    low_margin: float | None
    """The interval of all present seeds that is held against the margin; null where it is not judged."""
    high_margin: float | None
    margin_level: float
    """Its level: 0.90 at a single look, more where several share the error."""
    look: int
    """Which look at this comparison it is, from 1."""
    looks: int | None
    """Looks that the study declares; null where it declares none."""
    look_level: float
    """Level of this look for a single comparison: what it spends of 5 %."""
    seeds: tuple[int, ...]
    by_seed: tuple[float, ...]
    """The difference within each seed."""
    left_out: tuple[int, ...] = ()
    """Seeds that were looked at and are not here: while there are any, nothing new is called."""
    groups: int
    """Image groups that hold the measure's classes."""
    images: int
    alone: tuple[str, ...]
    """Classes that one group alone holds: what other images would do to them is guessed from the other classes."""
    folds: int | None
    """Folds that its seeds validate on; null where they share their images."""
    all_folds: int | None
    """Folds that the data are divided into."""
    called: EarlierCall | None = None
    """The earlier look, at fewer seeds, that gave the verdict; null where the present seeds do. What stands here of the
    verdict (adjusted p-value, family, level of the margin's interval, look) is that look's, all else is of the present
    seeds, that interval too."""
    power: float | None
    """How often a true difference as large as the measured one would be called; null where it is not called."""
    outlook: Outlook | None
    """What would decide a headline that is undecided; null where no look is left or the noise is not known."""
    chances: Chances | None
    """Of a headline on the primary split; null elsewhere, and where no prior makes them right: below five seeds."""


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
    folds: int | None
    """Folds that the seeds validate on: their standard deviation is then that of other data too; null without folds."""
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
