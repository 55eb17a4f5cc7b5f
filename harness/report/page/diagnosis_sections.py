"""The diagnosis: what stated rules see in the runs, from the record alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.report.diagnosis.records import Diagnosis, SharedFinding, VariantDiagnosis
from harness.report.page.model import Block, Details, Heading, Text, make_list, make_table
from harness.report.page.text import NOTHING, counted, escape, percent
from harness.report.study.claims import DOMINANT, RARE


def diagnosis_section(diagnosis: Diagnosis, primary: str, reference: str) -> Iterator[Block]:
    """Yield the findings of each variant, the rules, and the classes that gained and lost; nothing without runs."""
    if not any(variant.runs for variant in diagnosis.variants):
        return
    yield Heading("Diagnosis")
    yield Text(
        "What stated rules see in each run's curves, gradients and counts; a rule that holds is a reason to look, not "
        "a proof."
    )
    for variant in diagnosis.variants:
        yield from make_list(f"{escape(variant.variant)}:", finding_lines(diagnosis, variant))
    if clean := ", ".join(escape(item.variant) for item in diagnosis.variants if item.runs and not item.shared):
        yield Text(f"No rule held for: {clean}.")
    if silent := tuple(make_list("", _silent_lines(diagnosis))):
        yield Details("Rules that could not be applied: their silence is no good news", silent)
    rules = [[rule.title, escape(rule.states)] for rule in diagnosis.rules]
    yield Details("The rules and their thresholds", (make_table(["rule", "holds when"], rows=rules, numeric_from=2),))
    if diagnosis.changes:
        yield Heading("Which classes gained and lost", level=3)
        yield Text(f"By share of val's labelled pixels in percent: {_bands_line(diagnosis)}.")
        yield Text(
            f"On {escape(primary)}, against {escape(reference)}: gained and lost are the changes that the class table "
            "calls, each class by itself. Undecided is no evidence of no change: taken together, as in the answer, the "
            "same classes may be decided."
        )
        rows = []
        for item in diagnosis.changes:
            names = (", ".join(map(escape, found)) or NOTHING for found in (item.gained, item.lost, item.undecided))
            rows.append([escape(item.variant), item.band, *names])
        yield make_table(["variant", "classes", "gained", "lost", "undecided"], rows, numeric_from=5)


def finding_lines(diagnosis: Diagnosis, variant: VariantDiagnosis) -> list[str]:
    """Return a line for each finding of a variant: what, in how many seeds, and the numbers of the first of them.

    Classes of which one rule says the same in the same seeds share a line.
    """
    titles = {rule.code: rule.title for rule in diagnosis.rules}
    alike: dict[tuple[str, str, tuple[int, ...]], list[SharedFinding]] = {}
    for item in variant.shared:
        alike.setdefault((item.severity, item.code, item.seeds), []).append(item)
    return [_line(titles[items[0].code], items) for items in alike.values()]


def _line(title: str, items: Sequence[SharedFinding]) -> str:
    first, seeds = items[0], ", ".join(map(str, items[0].seeds))
    what = title + (f": {', '.join(escape(item.subject) for item in items)}" if first.subject else "")
    held = f"{len(first.seeds)} of {counted(first.judged, 'seed')}" + (f": {seeds}" if first.judged > 1 else "")
    text = escape(first.text)
    told = f"Seed {first.seeds[0]}: {text}" if first.judged > 1 else text[:1].upper() + text[1:]
    more = " The others' numbers: report.json." if len(items) > 1 else ""
    return f"**{what}** ({first.severity}; {held}). {told}{more}"


def _silent_lines(diagnosis: Diagnosis) -> list[str]:
    """Return a line for each reason why rules could not be applied, with the rules and the runs."""
    titles = {rule.code: rule.title for rule in diagnosis.rules}
    num_runs = sum(len(item.runs) for item in diagnosis.variants)
    silent: dict[tuple[str, str], list[str]] = {}
    for item in diagnosis.variants:
        for silence in item.silent:
            labels = [f"{item.variant}/seed{seed}" for seed in silence.seeds]
            silent.setdefault((silence.reason, titles[silence.code]), []).extend(labels)
    rules: dict[tuple[str, str], list[str]] = {}
    for (reason, title), labels in silent.items():
        runs = "all runs" if len(labels) == num_runs else ", ".join(map(escape, labels))
        rules.setdefault((reason, runs), []).append(title)
    return [f"{', '.join(titles)}: {escape(reason)} ({runs})." for (reason, runs), titles in rules.items()]


def _bands_line(diagnosis: Diagnosis) -> str:
    """Return the thresholds of the bands, and the classes of each with their shares."""
    words = {"dominant": "dominant", "common": "common", "rare": "rare", "absent": "not in val"}
    shares: dict[str, list[str]] = {band: [] for band in words}
    for item in diagnosis.bands:
        shares[item.band].append(f"{escape(item.name)} {percent(item.share, 2)}")
    told = "; ".join(f"{words[band]}: {', '.join(names)}" for band, names in shares.items() if names)
    return f"dominant from {percent(DOMINANT, 0)}, rare below {percent(RARE, 0)}. {told[:1].upper()}{told[1:]}"
