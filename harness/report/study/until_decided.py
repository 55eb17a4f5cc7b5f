"""What `harness run --until decided` tells: a line for each comparison at a look, and what the whole came to."""

from __future__ import annotations

from collections.abc import Sequence

from harness.records import Plan
from harness.report.page.sentences import SAID, doubt, left_out
from harness.report.page.text import counted, percent, points
from harness.report.study.claims import Claim


def look_line(claim: Claim, *, goes_on: bool, limit: int | None = None) -> str:
    """Return what a look says of one comparison, and whether it gets more seeds; `limit` is that of --max-seeds."""
    size = points(claim.delta)
    if claim.low is not None and claim.high is not None:
        size += f" ({points(claim.low)} to {points(claim.high)})"
    if claim.outcome != "undecided":
        return f"{claim.variant} {SAID[claim.outcome]} {claim.against}: {size}"
    told = f"{claim.variant} against {claim.against}: undecided, {size}"
    if claim.reason == "only before correction":
        told += f", not enough at this look{f' among {claim.family} comparisons' if claim.family > 1 else ''}"
    return told if goes_on else f"{told}; no more seeds: {_why_not(claim, limit)}"


def next_line(claims: Sequence[Claim], goes_on: Sequence[bool], seeds: int) -> str:
    """Return which variants get seeds up to the number of the next look; nothing where none does."""
    open_pairs = [(claim.against, claim.variant) for claim, on in zip(claims, goes_on, strict=True) if on]
    names = dict.fromkeys(name for pair in open_pairs for name in pair)
    return f"next look at {seeds} seeds, for {', '.join(names)}" if names else ""


def until_sentences(claims: Sequence[Claim], goes_on: Sequence[bool], limit: int | None = None) -> tuple[str, ...]:
    """Return in words which comparisons are decided, and at which look, and which are not.

    `limit` is that of --max-seeds.
    """
    called = [item for item in claims if item.outcome != "undecided"]
    left = [(item, on) for item, on in zip(claims, goes_on, strict=True) if item.outcome == "undecided"]
    decided = "; ".join(f"{item.variant} {SAID[item.outcome]} {item.against} ({_call(item)})" for item in called)
    undecided = "; ".join(
        f"{item.variant} against {item.against} ({_place(item)}{'' if on else f': {_why_not(item, limit)}'})"
        for item, on in left
    )
    found = (f"Decided: {decided}." if called else "Nothing is decided.", f"Undecided: {undecided}." if left else "")
    return tuple(text for text in found if text)


def savings_sentence(plan: Plan, whole: Plan, most: int) -> str:
    """Return how many runs it took, and how many it would have been with all seeds everywhere."""
    taken, all_of_them = ({run.id for run in item.runs} for item in (plan, whole))
    saved = len(all_of_them) - len(taken)
    told = f"This took {counted(len(taken), 'run')}; {most} seeds everywhere are {len(all_of_them)}:"
    return f"{told} {saved or 'nothing'} saved."


def _place(claim: Claim) -> str:
    seeds = claim.called.seeds if claim.called else claim.seeds
    return f"look {claim.look}, {counted(len(seeds), 'seed')}"


def _call(claim: Claim) -> str:
    """Return where a verdict was given, and that all present seeds no longer say so where that is the case."""
    return _place(claim) if claim.called is None or claim.called.agrees else f"{_place(claim)}; {doubt(claim)}"


def _why_not(claim: Claim, limit: int | None) -> str:
    if claim.outlook is not None:
        chance = percent(claim.outlook.chance, 0)
        told = f"{counted(claim.outlook.seeds, 'seed')} would decide it with a probability of about {chance} %"
        is_at_limit = limit is not None and len(claim.seeds) >= limit
        return f"--max-seeds {limit} is reached, {told}" if is_at_limit else f"even {told}"
    if claim.left_out:
        return left_out(claim)
    if claim.reason == "few folds":
        return "its seeds are of fewer than three folds"
    if claim.folds is not None and claim.folds == claim.all_folds:
        return "every fold has its seed"
    if claim.reason in ("one group", "few groups"):
        return "its images are of too few groups"
    return "no look left" if claim.reason == "no look left" else "this was the last look"
