"""Seeds that a plan adds after the last look, at which nothing is called any more."""

from __future__ import annotations

from collections.abc import Iterator

from harness.records import Plan
from harness.stats.looks import Looks, Taken
from harness.stats.verdicts import FAMILY_ERROR


def past_last_look(plan: Plan, taken: Taken) -> Iterator[str]:
    """Yield a line where a plan has more seeds than the last look, or than the looks that it declares."""
    looks = Looks(plan.looks, taken)
    seeds: dict[str, set[int]] = {}
    for run in plan.runs:
        seeds.setdefault(run.variant, set()).add(run.seed)
    most = max(len(found) for found in seeds.values())
    others = [name for name in seeds if name != plan.reference and plan.reference in seeds]
    now = {name: looks.at((name, plan.reference), seeds[name] & seeds[plan.reference]) for name in others}
    past = [name for name, look in now.items() if not look.level(FAMILY_ERROR)]
    if past:
        last = max(now[name].counts[-2] for name in past)
        yield (
            f"seeds: {most} are planned, and no look is left at {', '.join(past)} against {plan.reference} after that"
            f" at {last} seeds: what is not called yet stays undecided"
        )
    elif plan.looks and most > plan.looks[-1]:
        yield (
            f"seeds: {most} are planned, and compare.looks ends at {plan.looks[-1]}: after a look there nothing more is"
            f" called; write {most} as its last, or fewer seeds"
        )
