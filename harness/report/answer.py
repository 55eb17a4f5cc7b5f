"""The answer to a study's question in at most three plain sentences, from the report record alone.

The first says who improved, regressed, is equivalent or undecided against the reference, by how much, and what that did
to dominant and to rare classes. What the reference itself starts from comes last: nobody asks whether to go back.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.report.band_records import BandComparison
from harness.report.claims import Claim
from harness.report.names import has_scores
from harness.report.record import Report, VariantSummary
from harness.report.sentences import bounds, caveat, decided, interval, what_next
from harness.report.text import counted, percent, points
from harness.stats.verdicts import CLASS_SEEDS

SCORE = "miou_dataset"
MOST_SENTENCES = 3
MOST_CLASSES = 3
"""Classes of a band that are named."""


def make_answer(report: Report) -> tuple[str, ...]:
    """Return the sentences; names stand in them as they were written."""
    claims = [
        item.headline
        for item in report.comparisons
        if item.against == report.reference and item.split == report.primary
    ]
    if not claims:
        return (_say_why_none(report),)
    before = _starts_of(report, report.reference)
    asked = [claim for claim in claims if claim.variant not in before] or claims
    rest = [claim for claim in claims if claim not in asked]
    sentences = _tell_one(report, asked[0]) if len(asked) == 1 else _tell_many(report, asked)
    sentences += [*_tell_absent(report), *_tell_rest(report, rest)]
    return tuple(sentences[:MOST_SENTENCES])


def _starts_of(report: Report, name: str) -> set[str]:
    """Return the variants from whose weights a variant starts, and those from which these do."""
    start_of = {item.name: (item.starts_from or "").rpartition("@")[0] for item in report.variants}
    found: set[str] = set()
    while (name := start_of.get(name, "")) and name not in found:
        found.add(name)
    return found


def _tell_one(report: Report, claim: Claim) -> list[str]:
    who, other, place = claim.variant, claim.against, f"on {claim.split}"
    size = _size(claim)
    if claim.low == claim.high == 0:
        return [f"{who} scores exactly like {other} {place} with every seed."]
    if claim.reason == "one seed":
        return [f"One seed decides nothing about {who} against {other} {place}: {size}.", what_next(claim)]
    bands = _tell_bands(report, who)
    bands = f"; {bands}" if bands else ""
    if claim.outcome in ("improved", "regressed"):
        return [f"{who} {claim.outcome} against {other} {place}: {size}{bands}."]
    if claim.outcome == "equivalent":
        margin = f"within the margin of ±{100 * report.margin:g}"
        return [f"{who} is equivalent to {other} {place}: {size}, {margin}{bands}."]
    told = f"It is undecided whether {who} is better or worse than {other} {place}: {size}, {_doubt(claim)}{bands}."
    return [told, *filter(None, [what_next(claim)])]


def _doubt(claim: Claim) -> str:
    """Return why a difference is undecided, in few words."""
    if claim.reason == "only before correction":
        among = f"among {claim.family} comparisons" if claim.family > 1 and claim.look == 1 else "at this look"
        return f"which is not enough {among}"
    if claim.reason in ("one group", "few groups"):
        return "on too few groups of images"
    if claim.reason == "no look left":
        return "after the last look at it"
    return "which noise may explain"


def _size(claim: Claim) -> str:
    is_told = claim.reason != "one seed"
    return f"{points(claim.delta)} points of {SCORE}{interval(claim) if is_told else ''}{caveat(claim)}"


def _tell_many(report: Report, claims: Sequence[Claim]) -> list[str]:
    who = f"Of {counted(len(claims), 'variant')} against {report.reference} on {report.primary}"
    if all(claim.reason == "one seed" for claim in claims):
        return [f"{who} none is judged: one seed decides nothing.", what_next(claims[0])]
    sentences = [f"{who}, {'; '.join(_tally(claims))}."]
    named = [*decided(claims, "improved"), *decided(claims, "regressed")][:1]
    bands = _tell_bands(report, named[0].variant) if named else ""
    return sentences + ([f"With {named[0].variant}, {bands}."] if bands else [])


def _tally(claims: Sequence[Claim]) -> list[str]:
    """Return how many there are of each outcome, the largest change of each direction by name."""
    told, is_first = [], True
    for outcome in ("improved", "regressed"):
        found = decided(claims, outcome)
        if found:
            most = found[0].variant if len(found) == 1 else f"most of all {found[0].variant}"
            number = _number(len(found), len(claims))
            told.append(f"{number} {outcome}, {most}: {_size(found[0]) if is_first else _short(found[0])}")
            is_first = False
    for outcome in ("equivalent", "undecided"):
        if count := len(decided(claims, outcome)):
            told.append(f"{_number(count, len(claims))} {'is' if count == 1 else 'are'} {outcome}")
    return told


def _number(number: int, among: int) -> str:
    return str(number) if number < among or among == 1 else "both" if among == 2 else "all"


def _short(claim: Claim) -> str:
    return f"{points(claim.delta)}{bounds(claim)}{caveat(claim)}"


def _tell_bands(report: Report, variant: str) -> str:
    """Return what became of dominant and of rare classes in a variant; nothing where neither is known."""
    found = [item for item in report.bands if item.claim.variant == variant]
    if any(item.claim.reason == "few seeds" for item in found):
        return f"classes are judged from {CLASS_SEEDS} seeds on"
    return ", ".join(_tell_band(item, is_first=item is found[0]) for item in found)


def _tell_band(item: BandComparison, *, is_first: bool) -> str:
    claim = item.claim
    named = f" ({', '.join(item.classes)})" if len(item.classes) <= MOST_CLASSES else ""
    who = f"the {item.band} {'classes' if is_first else 'ones'}{named}"
    unit = " points" if is_first else ""
    if claim.low == claim.high == 0:
        return f"{who} did not change"
    if claim.called is not None and not claim.called.agrees:
        return f"{who} changed by {points(claim.delta)}{unit}{bounds(claim)}{caveat(claim)}"
    if claim.outcome in ("improved", "regressed"):
        did = {"improved": "gained", "regressed": "lost"}[claim.outcome]
        return f"{who} {did} {percent(abs(claim.delta))}{unit}{bounds(claim)}"
    return f"{who} changed by {points(claim.delta)}{unit}{bounds(claim)}, {_doubt(claim)}"


def _tell_absent(report: Report) -> list[str]:
    """Return how many runs there is no result of, where there are such."""
    states = [seed.status for variant in report.variants for seed in variant.seeds]
    absent = len(states) - states.count("finished")
    return [f"{absent} of {len(states)} runs {'has' if absent == 1 else 'have'} no result."] if absent else []


def _tell_rest(report: Report, claims: Sequence[Claim]) -> list[str]:
    """Return what may be said of the variants that the reference starts from."""
    if not claims or all(claim.reason == "one seed" for claim in claims):
        return []
    if len(claims) > 1:
        return [f"Of the {len(claims)} variants that {report.reference} starts from, {'; '.join(_tally(claims))}."]
    (claim,) = claims
    who = f"{claim.variant}, from which {report.reference} starts,"
    if claim.outcome in ("improved", "regressed"):
        return [f"{who} {claim.outcome} against it: {_size(claim)}."]
    return [f"{who} is {claim.outcome}: {_size(claim)}."]


def _say_why_none(report: Report) -> str:
    """Return why there is no claim about any variant."""
    reference = next((item for item in report.variants if item.name == report.reference), None)
    others = [item for item in report.variants if item is not reference]
    if not report.splits:
        states = [seed.status for variant in report.variants for seed in variant.seeds]
        failed = f", and {states.count('failed')} failed" if "failed" in states else ""
        return f"There is no answer yet: none of {counted(len(states), 'run')} has finished{failed}."
    if report.primary not in [split.name for split in report.splits]:
        return f"There is no answer: verdicts are asked for on {report.primary}, which no result has."
    if reference is None:
        return f"There is no answer: {report.reference}, with which variants are compared, is not in the study."
    if not others:
        return f"Nothing is compared: {_score(report, reference)}."
    if not has_scores(reference):
        return f"There is no answer yet: no run of {reference.name} counts, with which the others are compared."
    if all(item.evaluated_only for item in others):
        return f"There is no answer: every variant but {reference.name} is evaluated only, and no recipe."
    if not any(has_scores(item) for item in others if not item.evaluated_only):
        return f"There is no answer yet: only {reference.name} has finished runs."
    return "There is no answer: the results cannot be compared; the notes say why."


def _score(report: Report, variant: VariantSummary) -> str:
    estimate = variant.scores.get(report.primary, {}).get(SCORE)
    if estimate is None or estimate.mean is None:
        return f"{variant.name} is alone"
    seeds = counted(len(estimate.seeds), "seed")
    return f"{variant.name} is alone, with {percent(estimate.mean)} % of {SCORE} on {report.primary} ({seeds})"
