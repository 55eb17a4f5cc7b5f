"""What a diagnosis says: findings of stated rules, run by run and shared by a variant's seeds. And what a rule is.

Scores are fractions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from harness.records import Progress, Run, RunResult
from harness.report.study.base import Record
from harness.report.study.claims import Band, ClassBand

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


Series = dict[int, float]
"""Epoch -> value."""


@dataclass(frozen=True)
class Trace:
    """A run, its result and its history."""

    run: Run
    result: RunResult

    @property
    def trained(self) -> tuple[Progress, ...]:
        """Return the epochs that moved weights: all but epoch 0, which judges those that a warm start begins with."""
        return tuple(item for item in self.result.history if item.epoch > 0)

    @property
    def score(self) -> str:
        """Return the name of the score that marks the best epoch."""
        return self.run.config.evaluate.select_on

    def series(self, metric: str) -> Series:
        """Return a metric at the trained epochs where it is a finite number."""
        values = {item.epoch: item.metrics.get(metric, math.nan) for item in self.trained}
        return {epoch: value for epoch, value in values.items() if math.isfinite(value)}

    def by_class(self, prefix: str) -> dict[str, Series]:
        """Return class -> series, for the metrics that begin with a prefix and go on with a class's name."""
        metrics = dict.fromkeys(name for item in self.trained for name in item.metrics if name.startswith(prefix))
        return {name.removeprefix(prefix): self.series(name) for name in metrics}


@dataclass(frozen=True)
class Rule:
    """One rule. It is silent where it lacks what it needs, and finds nothing where it does not apply."""

    code: Code
    title: str
    states: str
    """When it holds, threshold and its reason included."""
    find: Callable[[Trace], Iterable[Finding]]
    fewest: int = 0
    """Trained epochs without which it is silent."""
    needs: tuple[str, ...] = ()
    """Metrics without which it is silent; `{score}` stands for the score that marks the best epoch."""
    of_the_end: bool = False
    """Whether it speaks of how a run ended: then only finished runs are judged."""

    def lacks(self, trace: Trace) -> str:
        """Return why the rule cannot be applied to a run; nothing where it can."""
        if self.of_the_end and trace.result.status != "finished":
            return "the run did not finish"
        series = {name: trace.series(name) for name in (need.format(score=trace.score) for need in self.needs)}
        absent = [name for name, values in series.items() if not values]
        if absent and trace.trained:
            return f"not in the journal: {', '.join(absent)}"
        have = min(map(len, series.values()), default=len(trace.trained))
        return f"needs {self.fewest} trained epochs, has {have}" if have < self.fewest else ""


def finding(code: Code, severity: Severity, text: str, values: dict[str, float], subject: str = "") -> Finding:
    """Return a finding."""
    return Finding(code=code, severity=severity, subject=subject, text=text, values=values)
