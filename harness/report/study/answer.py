"""The answer to a study's question in at most three plain sentences, from the report record alone.

The first says who improved, regressed, is equivalent or undecided against the reference, by how much, and what that did
to dominant and to rare classes. The steps that lead to the reference come last: what each of them gained on its start.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.report.page.sentences import bounds, caveat, decided, interval, left_out, starts_of, what_next
from harness.report.page.text import counted, percent, points
from harness.report.study.chances import tell_odds, tell_prior
from harness.report.study.claims import BandComparison, Claim
from harness.report.study.file_names import has_scores
from harness.report.study.record import OwnTraining, Report, VariantSummary
from harness.stats.margins import HEADLINE
from harness.stats.verdicts import CLASS_SEEDS

MOST_SENTENCES = 3
MOST_CLASSES = 3
"""Classes of a band that are named."""
MOST_NAMED = 3
"""Variants of one outcome that are all named."""
MOST_STEPS = 3
"""Steps on the way to the reference that are told, the last ones."""


def make_answer(report: Report) -> tuple[str, ...]:
    """Return the sentences; names stand in them as they were written."""
    headlines = [item.headline for item in report.comparisons if item.against == report.reference]
    claims = [claim for claim in headlines if claim.split == report.primary]
    if not claims:
        return (_say_why_none(report),)
    before = starts_of(report, report.reference)
    asked = [claim for claim in claims if claim.variant not in before] or claims
    sentences = _tell_one(report, asked[0]) if len(asked) == 1 else _tell_many(report, asked)
    steps = _tell_steps(report, [*before, report.reference]) if len(asked) < len(claims) else []
    return tuple([*sentences, *_tell_absent(report), *steps][:MOST_SENTENCES])


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
        is_within = claim.called is None or claim.called.agrees
        margin = f", within the margin of ±{100 * report.margin:g}" if is_within else ""
        return [f"{who} is equivalent to {other} {place}: {size}{margin}{bands}."]
    odds = f" ({tell_odds(claim.chances)}; {tell_prior(claim.chances)})" if claim.chances else ""
    doubt = f"{_doubt(claim)}{odds}"
    told = f"It is undecided whether {who} is better or worse than {other} {place}: {size}, {doubt}{bands}."
    return [told, *filter(None, [what_next(claim)])]


def _doubt(claim: Claim) -> str:
    """Return why a difference is undecided, in few words."""
    if claim.reason == "only before correction":
        among = f"among {claim.family} comparisons" if claim.family > 1 and claim.look == 1 else "at this look"
        return f"which is not enough {among}"
    if claim.reason in ("one group", "few groups"):
        return "on too few groups of images"
    if claim.reason == "few folds":
        return "on too few folds"
    if claim.reason == "no look left":
        return "after the last look at it"
    if claim.left_out:
        return left_out(claim)
    return "which noise may explain"


def _size(claim: Claim) -> str:
    bounds_told = "" if claim.reason == "one seed" else interval(claim)
    return f"{points(claim.delta)} points of {HEADLINE}{bounds_told}{caveat(claim)}"


def _tell_many(report: Report, claims: Sequence[Claim]) -> list[str]:
    who = f"Of {counted(len(claims), 'variant')} against {report.reference} on {report.primary}"
    if all(claim.reason == "one seed" for claim in claims):
        return [f"{who} none is judged: one seed decides nothing.", what_next(claims[0])]
    sentences = [f"{who}, {'; '.join(_tally(claims))}."]
    named = [*decided(claims, "improved"), *decided(claims, "regressed")][:1]
    bands = _tell_bands(report, named[0].variant) if named else ""
    return sentences + ([f"With {named[0].variant}, {bands}."] if bands else [])


def _tally(claims: Sequence[Claim]) -> list[str]:
    """Return how many there are of each outcome: all by name while they are few, else the largest change."""
    told: list[str] = []
    for outcome in ("improved", "regressed"):
        found = decided(claims, outcome)
        if found:
            # The first size is told with the score's name; those after it are numbers alone.
            few = len(found) <= MOST_NAMED
            sizes = [_short(found[0]) if told else _size(found[0]), *map(_short, found[1:])]
            named = [f"{claim.variant} {size}" for claim, size in zip(found, sizes, strict=True)]
            which = f": {', '.join(named)}" if few else f", most of all {named[0]}"
            told.append(f"{_number(len(found), len(claims))} {outcome}{which}")
    for outcome in ("equivalent", "undecided"):
        found = decided(claims, outcome)
        if found:
            which = f": {', '.join(claim.variant for claim in found)}" if len(found) <= MOST_NAMED else ""
            told.append(f"{_number(len(found), len(claims))} {'is' if len(found) == 1 else 'are'} {outcome}{which}")
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
    told = ", ".join(_tell_band(item, is_first=item is found[0]) for item in found)
    return told and f"taken together, {told}"


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
    """Return how many runs have no result, and how many have one that is not judged, where there are such."""
    states = [seed.status for variant in report.variants for seed in variant.seeds]
    unjudged = states.count("unjudged")
    absent = len(states) - states.count("finished") - unjudged
    lacks = f"{absent} of {len(states)} runs {'has' if absent == 1 else 'have'} no result"
    if not unjudged:
        return [f"{lacks}."] if absent else []
    stays = f"{'is' if unjudged == 1 else 'are'} finished but not judged; the notes say why."
    return [f"{lacks}, and {unjudged} {stays}" if absent else f"{unjudged} of {len(states)} runs {stays}"]


def _tell_steps(report: Report, way: Sequence[str]) -> list[str]:
    """Return what each variant on the way to the reference, and the reference itself, gained on its own start."""
    steps = [item for item in report.own_training if item.split == report.primary and item.variant in way]
    steps = sorted(steps, key=lambda item: way.index(item.variant))
    if not steps or all(item.claim.reason == "one seed" for item in steps):
        return []
    told = [_tell_step(item, is_first=item is steps[0]) for item in steps[-MOST_STEPS:]]
    return [f"On the way to {report.reference}, {'; '.join(told)}."]


def _tell_step(item: OwnTraining, *, is_first: bool) -> str:
    claim, start = item.claim, item.start.removesuffix("@best")
    unit = " points" if is_first else ""
    if claim.low == claim.high == 0:
        return f"{item.variant} scores exactly like {start}"
    if claim.called is not None and not claim.called.agrees:
        return f"{item.variant} differs from {start} by {points(claim.delta)}{unit}{bounds(claim)}{caveat(claim)}"
    if claim.outcome in ("improved", "regressed"):
        lost = claim.outcome == "regressed"
        size = f"{percent(abs(claim.delta))}{unit}"
        return f"{item.variant} {'lost' if lost else 'gained'} {size} {'to' if lost else 'over'} {start}{bounds(claim)}"
    size = f"{points(claim.delta)}{unit}{bounds(claim)}"
    if claim.outcome == "equivalent":
        return f"{item.variant} is equivalent to {start}: {size}"
    left = f", {left_out(claim)}" if claim.left_out else ""
    return f"whether {item.variant} gained over {start} is undecided: {size}{left}"


def _say_why_none(report: Report) -> str:
    """Return why there is no claim about any variant."""
    reference = next((item for item in report.variants if item.name == report.reference), None)
    others = [item for item in report.variants if item is not reference]
    if not report.splits:
        return _say_why_no_scores(report)
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


def _say_why_no_scores(report: Report) -> str:
    states = [seed.status for variant in report.variants for seed in variant.seeds]
    if "unjudged" in states:
        return "There is no answer: no run has a result that is judged; the notes say why."
    failed = f", and {states.count('failed')} failed" if "failed" in states else ""
    return f"There is no answer yet: none of {counted(len(states), 'run')} has finished{failed}."


def _score(report: Report, variant: VariantSummary) -> str:
    estimate = variant.scores.get(report.primary, {}).get(HEADLINE)
    if estimate is None or estimate.mean is None:
        return f"{variant.name} is alone"
    seeds = counted(len(estimate.seeds), "seed")
    return f"{variant.name} is alone, with {percent(estimate.mean)} % of {HEADLINE} on {report.primary} ({seeds})"
