"""What a diagnosis says: findings of stated rules, run by run and shared by a variant's seeds. Scores are fractions."""

from __future__ import annotations

from typing import Literal

from harness.report.study.base import Record
from harness.report.study.class_band_records import Band, ClassBand

Code = Literal[
    "still_improving",
    "plateau",
    "overfit",
    "unstable_loss",
    "never_predicted",
    "saturated",
    "starved",
    "weights_out_of_proportion",
    "exploding_gradient",
    "vanishing_gradient",
    "noisy_gradient",
    "best_is_last",
    "best_is_start",
    "stopped_early",
]
Severity = Literal["warning", "note"]


class Finding(Record):
    """One rule that held for one run."""

    code: Code
    severity: Severity
    """A warning puts the run's score, or what is concluded from it, in doubt; a note helps to read it."""
    subject: str
    """The class that it is about; empty where it is about the whole run."""
    text: str
    """One sentence with the numbers and the threshold."""
    values: dict[str, float]
    """The numbers that the rule looked at."""


class Silence(Record):
    """A rule that could not be applied to one run: its silence is no good news."""

    code: Code
    reason: str


class RunFindings(Record):
    """What the rules found in one run."""

    seed: int
    findings: tuple[Finding, ...]
    silent: tuple[Silence, ...]


class SharedFinding(Record):
    """One finding of a variant, with the seeds that share it."""

    code: Code
    severity: Severity
    """The gravest over the seeds."""
    subject: str
    seeds: tuple[int, ...]
    judged: int
    """Seeds that the rule could be applied to."""
    text: str
    """The sentence of the first of these seeds."""


class SharedSilence(Record):
    """A rule that could not be applied to some of a variant's runs."""

    code: Code
    reason: str
    seeds: tuple[int, ...]


class VariantDiagnosis(Record):
    """One variant: its runs' findings, and the same by finding."""

    variant: str
    runs: tuple[RunFindings, ...]
    """Those that trained at least one epoch or have a result."""
    shared: tuple[SharedFinding, ...]
    """Warnings first."""
    silent: tuple[SharedSilence, ...]


class StatedRule(Record):
    """One rule in words, its threshold included."""

    code: Code
    title: str
    states: str
    """When it holds, and why the threshold is where it is."""


class BandChange(Record):
    """What happened to the classes of one band in a variant, against the reference: called changes only."""

    variant: str
    against: str
    split: str
    band: Band
    gained: tuple[str, ...]
    """Classes whose IoU improved by the verdict of the class table, the largest change first."""
    lost: tuple[str, ...]
    undecided: tuple[str, ...]
    """Classes whose difference is not told from noise: no evidence that there is none."""


class Diagnosis(Record):
    """What stated rules see in the runs of a study."""

    rules: tuple[StatedRule, ...]
    variants: tuple[VariantDiagnosis, ...]
    bands: tuple[ClassBand, ...]
    """Classes from the most frequent to the rarest."""
    changes: tuple[BandChange, ...]
