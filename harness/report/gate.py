"""A gate for pipelines: is a variant shown to be no worse than a baseline by more than a stated drop?

Non-inferiority (e.g. Wellek 2010, ch. 1): passed where the lower end of the 90 % interval of the difference, which is a
one-sided 95 % bound, lies above minus the allowed drop. All checks must pass, so the chance of passing a variant that
is truly worse in some check is at most 5 % without any correction (intersection-union test, Berger 1982). What cannot
be shown, with one seed or one image group, does not pass; nor does a class with fewer seeds than the report's class
tables ask for. A variant is judged by its own training, and only where each of its runs, and each of the baseline's, is
trained as the plan says.
"""

from __future__ import annotations

import xml.etree.ElementTree as Xml
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from harness.errors import InputError, did_you_mean
from harness.judged import judged_results, primary_split
from harness.records import Plan, RunResult
from harness.report.page.text import code, counted, escape, percent, points, table
from harness.report.study.base import Record
from harness.report.study.claims import Claim
from harness.report.study.common_labels import find_common
from harness.report.study.judge import judge_splits, make_comparisons
from harness.report.study.variants import group_runs
from harness.stats.effects import JUDGED
from harness.stats.margins import HEADLINE
from harness.stats.verdicts import CLASS_SEEDS

FEW = ("few seeds", "few groups")
"""Reasons for which a report does not judge a difference: a gate does not pass it."""
IDLE = "is evaluated only (0 epochs): there is no training of its own to be judged"


class Check(Record):
    """One question to one variant."""

    variant: str
    against: str
    split: str
    measure: str
    max_drop: float
    """The largest drop that is allowed (fraction)."""
    delta: float | None
    """Difference to the baseline; null where the two cannot be compared."""
    lowest: float | None
    """One-sided 95 % bound: the drop is not larger than this, as far as the data show."""
    passed: bool
    told: str
    """The outcome in words."""


class Gate(Record):
    """All checks of a study."""

    study: str
    checks: tuple[Check, ...]
    untrained: tuple[str, ...]
    """Runs of the checked variants and of the baseline that have no result of the plan's, and why."""
    notes: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Return whether there is something to check, all of it is trained, and every check has passed."""
        return bool(self.checks) and not self.untrained and all(check.passed for check in self.checks)


COLUMNS: Mapping[str, Callable[[Check], str]] = {
    "": lambda check: "passed" if check.passed else "**failed**",
    "variant": lambda check: escape(check.variant),
    "baseline": lambda check: escape(check.against),
    "split": lambda check: escape(check.split),
    "measure": lambda check: code(check.measure),
    "allowed drop": lambda check: percent(check.max_drop),
    "difference": lambda check: points(check.delta),
    "at least (95 %)": lambda check: points(check.lowest),
    "in words": lambda check: escape(check.told),
}
"""Header of the summary's table -> what stands below it of a check."""


def make_gate(
    plan: Plan,
    results: Mapping[str, RunResult],
    *,
    baseline: str,
    variants: Sequence[str],
    split: str | None,
    drops: Mapping[str, float],
) -> Gate:
    """Return the checks of variants against a baseline; `drops` is measure -> allowed drop.

    They are made on `split`, or else on the study's primary one.

    Raises:
        InputError: the study has no such variant, or the split no such class.
    """
    _check_names(plan, baseline, variants)
    results = judged_results(plan, results)
    groups = group_runs(plan, results)
    there = {name for group in groups for result in group.results.values() for name in result.counts}
    if split is not None and there and split not in there:
        raise InputError(f"--split {split}: no run has counts of it; {did_you_mean(split, sorted(there))}")
    # The same claims as in the report, with a margin of 0 and one look: a gate asks once, about a stated drop.
    split = split or primary_split(plan, there)
    common = find_common(groups)
    statistics = judge_splits(groups if common is None else common.groups, baseline)
    judged = [item for item in statistics.judged if item.split == split]
    compared = [item for item in make_comparisons(judged, 0.0, None, split) if item.against == baseline]
    claims = {(item.variant, claim.measure): claim for item in compared for claim in (item.headline, *item.classes)}
    # A class that no claim names is a misspelt option, unless there are no claims to know it by.
    known = {measure for _, measure in claims}
    for measure in drops:
        if known and measure not in known:
            classes = sorted(known - {HEADLINE})
            raise InputError(f"--class {measure}: {split} has no such class; {did_you_mean(measure, classes)}")
    idle = {group.name for group in groups if group.is_evaluated_only}
    chosen = variants or [name for name in plan.variants if name != baseline and name not in idle]
    checks = [
        _check((name, baseline, split, measure), drop, claims.get((name, measure)), is_idle=name in idle)
        for name in chosen
        for measure, drop in drops.items()
    ]
    return Gate(
        study=plan.study,
        checks=tuple(checks),
        untrained=tuple(_find_untrained(plan, results, {baseline, *chosen})),
        notes=(
            *statistics.notes,
            *(f"'{name}' {IDLE}; it is not checked." for name in plan.variants if name in idle - {baseline, *chosen}),
        ),
    )


def _check_names(plan: Plan, baseline: str, variants: Sequence[str]) -> None:
    for name in (baseline, *variants):
        if name not in plan.variants:
            raise InputError(f"the study has no variant '{name}'; {did_you_mean(name, plan.variants)}")
    if baseline in variants:
        raise InputError(f"--variant {baseline}: it is the baseline; name another variant, or another --baseline")


def _find_untrained(plan: Plan, results: Mapping[str, RunResult], variants: Collection[str]) -> Iterator[str]:
    for run in (run for run in plan.runs if run.variant in variants):
        result = results.get(run.id)
        if result is None:
            yield f"{run.label}: not run yet"
        elif result.status != "finished" or not result.counts:
            state = "" if result.status == "finished" else f"{result.status}: "
            yield f"{run.label}: {state}{result.reason}"


def _check(about: tuple[str, str, str, str], drop: float, claim: Claim | None, *, is_idle: bool) -> Check:
    variant, against, split, measure = about
    # The lower end of the 90 % interval that a margin is held against is the one-sided 95 % bound.
    lowest = claim.low_margin if claim is not None and claim.scope in JUDGED and claim.reason not in FEW else None
    passed = lowest is not None and lowest >= -drop
    return Check(
        variant=variant,
        against=against,
        split=split,
        measure=measure,
        max_drop=drop,
        delta=claim.delta if claim else None,
        lowest=lowest,
        passed=passed,
        told=IDLE if is_idle else _tell(claim, lowest, drop, passed=passed),
    )


def _tell(claim: Claim | None, lowest: float | None, drop: float, *, passed: bool) -> str:
    if claim is None:
        return "no finished runs that could be compared with the baseline"
    basis = f"{counted(len(claim.seeds), 'seed')}, {counted(claim.groups, 'image group')}"
    difference = f"difference {points(claim.delta)} points"
    if claim.reason == "few seeds":
        return f"{difference}; {basis}: a class is judged from {CLASS_SEEDS} seeds on"
    if lowest is None:
        return f"{difference}; {basis}: too few to say anything about new seeds and images"
    if passed:
        return f"{difference}, at least {points(lowest)} with 95 % confidence ({basis})"
    bound = f"may be as low as {points(lowest)} (one-sided 95 % bound; {basis})"
    if claim.delta < -drop:
        return f"lost {percent(-claim.delta)} points, more than the allowed drop of {percent(drop)}; {bound}"
    return f"{difference}, but it {bound}, beyond the allowed drop of {percent(drop)}"


def render_junit(gate: Gate) -> str:
    """Return the gate as a JUnit file: a test case for each check, and for each run that is not trained."""
    failed = sum(not check.passed for check in gate.checks) + len(gate.untrained)
    number = len(gate.checks) + len(gate.untrained)
    suite = Xml.Element("testsuite", name=f"harness gate {gate.study}", tests=str(number), failures=str(failed))
    for text in gate.untrained:
        case = Xml.SubElement(suite, "testcase", classname=gate.study, name=f"{text.partition(':')[0]} is trained")
        Xml.SubElement(case, "failure", message=text)
    for check in gate.checks:
        case = Xml.SubElement(suite, "testcase", classname=f"{gate.study}.{check.variant}")
        case.set("name", f"{check.measure} on {check.split} against {check.against}")
        if check.passed:
            Xml.SubElement(case, "system-out").text = check.told
        else:
            Xml.SubElement(case, "failure", message=check.told)
    Xml.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + Xml.tostring(suite, encoding="unicode") + "\n"


def render_summary(gate: Gate) -> str:
    """Return the gate in Markdown, for a pipeline's summary."""
    return "\n".join(_lines(gate)) + "\n"


def _lines(gate: Gate) -> Iterator[str]:
    untrained = f"{counted(len(gate.untrained), 'run')} not trained as written, " if gate.untrained else ""
    failed = f"failed: {untrained}{sum(not check.passed for check in gate.checks)} of {len(gate.checks)} checks"
    yield f"# Gate of {escape(gate.study)}: {'passed' if gate.passed else failed}"
    yield ""
    if gate.untrained:
        yield "Not trained as written:"
        yield ""
        yield from (f"- {escape(text)}" for text in gate.untrained)
        yield ""
    rows = [[tell(check) for tell in COLUMNS.values()] for check in gate.checks]
    yield table(list(COLUMNS), rows, numeric_from=len(COLUMNS))
    for note in gate.notes:
        yield f"\n{escape(note)}"
    yield ""
    yield "Non-inferiority: a check passes where, by the one-sided 95 % bound, no more than the allowed drop is lost."
