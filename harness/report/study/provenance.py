"""Provenance of many runs -> a short list: what holds for all, and what holds for some."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from harness.records import Plan, RunResult
from harness.report.study.record import Fact
from harness.report.study.variants import flat_texts

LONGEST = 200
TOLD_ELSEWHERE = ("run.id", "run.starts_from")
"""Beginnings of keys that are different for each run and stand in the report's list of runs."""


def make_facts(plan: Plan, results: Mapping[str, RunResult]) -> tuple[Fact, ...]:
    """Return one fact for each dotted key and distinct value of the runs' provenance, sorted by key."""
    stated = {run.label: flat_texts(results[run.id].provenance) for run in plan.runs if run.id in results}
    stated = {label: facts for label, facts in stated.items() if facts}
    holders: dict[tuple[str, str], list[str]] = {}
    for label, facts in stated.items():
        for key, value in facts.items():
            if key.startswith(TOLD_ELSEWHERE):
                continue
            holders.setdefault((key, _short(value)), []).append(label)
    return tuple(
        Fact(key=key, value=value, runs=() if len(labels) == len(stated) else tuple(labels))
        for (key, value), labels in sorted(holders.items())
    )


def _short(text: str) -> str:
    if len(text) <= LONGEST and "\n" not in text:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return f"{len(text)} characters, SHA-256 {digest}..., in the run's provenance.json"
