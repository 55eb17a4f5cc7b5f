"""One run as the rules of a diagnosis see it, and what a rule is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from harness.records import Progress, Run, RunResult
from harness.report.diagnosis.records import Code, Finding, Severity

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
