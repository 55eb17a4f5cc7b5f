"""Claims in words. Each sentence says a number with its interval, test, seeds and groups; cautious exactly where the
verdict is undecided. Nothing is said here that `report.json` does not hold.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.report.claims import Claim, Comparison, Floor, Ranking
from harness.report.record import Report
from harness.report.text import counted, escape, percent, points

P_SHOWN = 0.001
MOST_IN_FULL = 5
"""Undecided differences of a split that are told in full; more of them are told in short."""


def conclusions(report: Report, split: str) -> list[str]:
    """Return one sentence for each comparison on a split, those that were decided first."""
    order = ("improved", "regressed", "equivalent", "undecided")
    found = [item.headline for item in report.comparisons if item.split == split]
    found = sorted(found, key=lambda claim: order.index(claim.outcome))
    is_long = sum(claim.outcome == "undecided" for claim in found) > MOST_IN_FULL
    return [
        conclude_briefly(claim) if is_long and claim.outcome == "undecided" else conclude(claim, report.margin)
        for claim in found
    ]


def conclude_briefly(claim: Claim) -> str:
    """Return an undecided difference on one line, for lists of many."""
    needed = "" if claim.seeds_needed is None else f"; about {counted(claim.seeds_needed, 'seed')} would decide it"
    if claim.groups_needed is not None and claim.groups_needed > claim.groups:
        needed += f", with {counted(claim.groups_needed, 'image group')}"
    size = f"{points(claim.delta)}{bounds(claim)}, p {_p(claim.p_holm)}{needed}"
    return f"Undecided: {escape(claim.variant)} against {escape(claim.against)} {size}."


def conclude(claim: Claim, margin: float) -> str:
    """Return what may be said of one headline difference."""
    who, other = escape(claim.variant), escape(claim.against)
    if claim.low == claim.high == 0:
        return f"**{who} scores exactly like** {other} with every seed; {held(claim)}."
    size = f"{points(claim.delta)} points of miou_dataset{interval(claim)}"
    if claim.outcome in ("improved", "regressed"):
        return f"**{who} {claim.outcome}** against {other}: {size}; {_test(claim)}; {held(claim)}."
    if claim.outcome == "equivalent":
        bounds = f"its 90 % interval, {points(claim.low_margin)} to {points(claim.high_margin)}"
        return (
            f"**{who} is equivalent** to {other}: {size}; {bounds}, lies within the margin of ±{_plain(margin)} points;"
            f" {held(claim)}."
        )
    return f"**Undecided:** {who} against {other}, {size}; {_why(claim)}; {held(claim)}. {_what_next(claim)}"


def interval(claim: Claim) -> str:
    """Return the 95 % interval in brackets, or nothing where there is none."""
    if claim.low is None or claim.high is None:
        return ""
    return f" (95 % interval {points(claim.low)} to {points(claim.high)})"


def bounds(claim: Claim) -> str:
    """Return the 95 % interval in brackets, without its name, or nothing where there is none."""
    return "" if claim.low is None or claim.high is None else f" ({points(claim.low)} to {points(claim.high)})"


def held(claim: Claim) -> str:
    """Return what stands behind a claim: seeds, groups, images."""
    images = f"{counted(claim.groups, 'image group')} ({counted(claim.images, 'image')})"
    return f"{counted(len(claim.seeds), 'seed')}, {images}"


def _test(claim: Claim) -> str:
    family = "" if claim.family == 1 else f" after Holm over {claim.family} comparisons"
    return f"p {_p(claim.p_holm)}{family}"


def _p(value: float | None) -> str:
    if value is None:
        return "unknown"
    return f"< {P_SHOWN}" if value < P_SHOWN else f"= {value:.3f}"


def _why(claim: Claim) -> str:
    if claim.reason == "one seed" and claim.low is None:
        return "one seed and images of one group: nothing is known about training again or about other images"
    if claim.reason == "one seed":
        return "one seed: the interval speaks for these weights only, not for training again"
    if claim.reason == "one group":
        return "all images are of one group: nothing is known about other images"
    if claim.reason == "only before correction":
        return f"alone it would count, but {_test(claim)}: among so many comparisons one such is to be expected"
    return f"the noise is as large as the difference, {_test(claim)}"


def _what_next(claim: Claim) -> str:
    if claim.reason == "one seed":
        return "More seeds are needed before anything is said."
    if claim.reason == "one group":
        return "Images of other recordings are needed before anything is said."
    if claim.seeds_needed is None:
        return "Neither 100 seeds nor 100 times as many images would decide a difference of this size."
    seeds = f"About {counted(claim.seeds_needed, 'seed')}"
    if claim.groups_needed is not None and claim.groups_needed > claim.groups:
        images = counted(claim.groups_needed, "image group")
        return f"{seeds} and {images} would decide a difference of this size; seeds alone would not."
    return f"{seeds} would decide a difference of this size."


def _plain(fraction: float) -> str:
    return f"{100 * fraction:g}"


def floor_sentence(floor: Floor) -> str:
    """Return how loud the noise is: what the seed alone does, and the smallest difference that would be seen."""
    name = escape(floor.variant)
    if floor.sd is None:
        return f"Noise floor on {floor.split}: unknown, {name} has one seed only."
    low, high = (_plain(round(value or 0.0, 4)) for value in (floor.sd_low, floor.sd_high))
    told = (
        f"Noise floor on {floor.split}: {name}'s seeds differ by a standard deviation of {_plain(round(floor.sd, 4))} "
        f"points (95 % interval {low} to {high}; {counted(floor.seeds, 'seed')})."
    )
    if floor.detectable is None:
        return told
    smallest = _plain(round(floor.detectable, 4))
    return f"{told} The smallest true difference that this study would call with 80 % probability: {smallest} points."


def class_sentences(comparison: Comparison) -> list[str]:
    """Return which classes improved and which regressed, the class table judged as one family; nothing if none did."""
    found = []
    pair = f"{escape(comparison.variant)} against {escape(comparison.against)}"
    for outcome in ("improved", "regressed"):
        chosen = decided(comparison.classes, outcome)
        names = [f"{escape(claim.measure)} {points(claim.delta)}" for claim in chosen]
        if names:
            found.append(f"{pair}: {outcome} {', '.join(names)}")
    return found


def decided(claims: Sequence[Claim], outcome: str) -> list[Claim]:
    """Return the claims of one outcome, the largest difference first."""
    return sorted((claim for claim in claims if claim.outcome == outcome), key=lambda claim: -abs(claim.delta))


def ranking_sentence(ranking: Ranking) -> str:
    """Return the order of the variants, with those that the first is not shown to be ahead of as tied with it."""
    first, *others = ranking.ranks
    shown = {rank.variant: f"{escape(rank.variant)} {percent(rank.mean)}" for rank in ranking.ranks}
    tied = [shown[rank.variant] for rank in others if not rank.behind]
    behind = [shown[rank.variant] for rank in others if rank.behind]
    family = f" (all {ranking.family} pairs one family)" if ranking.family > 1 else ""
    told = f"Ranking on {escape(ranking.split)} by mean miou_dataset{family}: "
    told += f"{shown[first.variant]} is first"
    told += f"; not told apart from it: {', '.join(tied)}" if tied else ""
    return f"{told}; shown to be behind it: {', '.join(behind) if behind else 'none'}."
