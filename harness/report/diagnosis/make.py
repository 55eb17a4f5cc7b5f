"""Diagnosis of a study by stated rules: what each run's history and counts show, and which classes gained and lost.

Pure: no rule draws a random number, and each says its numbers and its threshold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.records import Plan, Run, RunResult
from harness.report.diagnosis import records
from harness.report.diagnosis.class_rules import CLASS_RULES
from harness.report.diagnosis.curve_rules import CURVE_RULES
from harness.report.study.claims import Band, Claim, ClassBand, Comparison

RULES = (*CURVE_RULES, *CLASS_RULES)


def examine(run: Run, result: RunResult) -> records.RunFindings:
    """Return what the rules find in one run, and which of them could not be applied to it."""
    trace = records.Trace(run, result)
    lacking = {rule.code: rule.lacks(trace) for rule in RULES}
    return records.RunFindings(
        seed=run.seed,
        findings=tuple(found for rule in RULES if not lacking[rule.code] for found in rule.find(trace)),
        silent=tuple(records.Silence(code=code, reason=reason) for code, reason in lacking.items() if reason),
    )


def make_diagnosis(
    plan: Plan, results: Mapping[str, RunResult], bands: Sequence[ClassBand], comparisons: Sequence[Comparison]
) -> records.Diagnosis:
    """Return the diagnosis of a plan's runs, those that failed on the way included.

    `bands` are those of the classes in which variants are compared, `comparisons` what is claimed of them.
    """
    judged = {
        name: tuple(
            examine(run, results[run.id])
            for run in plan.runs
            if run.variant == name and run.id in results and results[run.id].history
        )
        for name in plan.variants
    }
    return records.Diagnosis(
        rules=tuple(records.StatedRule(code=rule.code, title=rule.title, states=rule.states) for rule in RULES),
        variants=tuple(
            records.VariantDiagnosis(variant=name, runs=runs, shared=_share(runs), silent=_share_silence(runs))
            for name, runs in judged.items()
        ),
        bands=tuple(bands),
        changes=tuple(
            change
            for item in comparisons
            if item.against == plan.reference and item.headline.outcome != "not judged"
            for change in _make_changes(item, bands)
        ),
    )


def _share(runs: Sequence[records.RunFindings]) -> tuple[records.SharedFinding, ...]:
    """Bring together what the seeds of a variant share: warnings first, then in the order of the rules."""
    # The same rule about the same subject in several seeds is one finding, told with the first seed's words and its
    # worst severity. `judged` counts the seeds in which the rule could speak at all.
    found: dict[tuple[records.Code, str], dict[int, records.Finding]] = {}
    for run in runs:
        for item in run.findings:
            found.setdefault((item.code, item.subject), {})[run.seed] = item
    shared = [
        records.SharedFinding(
            code=code,
            severity=min((item.severity for item in by_seed.values()), key=("warning", "note").index),
            subject=subject,
            seeds=tuple(by_seed),
            judged=sum(all(silence.code != code for silence in run.silent) for run in runs),
            text=next(iter(by_seed.values())).text,
        )
        for (code, subject), by_seed in found.items()
    ]
    # Warnings first: they put what is concluded in doubt. Within them in the order in which the rules are stated.
    order = [rule.code for rule in RULES]
    return tuple(sorted(shared, key=lambda item: (item.severity != "warning", order.index(item.code))))


def _share_silence(runs: Sequence[records.RunFindings]) -> tuple[records.SharedSilence, ...]:
    seeds: dict[tuple[records.Code, str], list[int]] = {}
    for run in runs:
        for silence in run.silent:
            seeds.setdefault((silence.code, silence.reason), []).append(run.seed)
    return tuple(
        records.SharedSilence(code=code, reason=reason, seeds=tuple(own)) for (code, reason), own in seeds.items()
    )


def _make_changes(comparison: Comparison, bands: Sequence[ClassBand]) -> list[records.BandChange]:
    """Sort the class claims of one comparison by band; a class that val lacks is in no band that is told."""
    band_of = {item.name: item.band for item in bands}
    present: tuple[Band, ...] = ("dominant", "common", "rare")
    claims = {band: [claim for claim in comparison.classes if band_of.get(claim.measure) == band] for band in present}
    return [
        records.BandChange(
            variant=comparison.variant,
            against=comparison.against,
            split=comparison.split,
            band=band,
            gained=_names(own, "improved"),
            lost=_names(own, "regressed"),
            undecided=_names(own, "undecided"),
        )
        for band, own in claims.items()
        if own
    ]


def _names(claims: Sequence[Claim], outcome: str) -> tuple[str, ...]:
    chosen = sorted((claim for claim in claims if claim.outcome == outcome), key=lambda claim: -abs(claim.delta))
    return tuple(claim.measure for claim in chosen)
