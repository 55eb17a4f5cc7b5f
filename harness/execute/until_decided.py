"""Seeds that a study adds by itself, look by look, until its comparisons are decided: `harness run --until decided`.

Plan -> execute -> report -> next plan, as often as there is one. All is worked out from the looks taken, so a call that
was cut short is walked again from its first look, in which every run is finished already, to where it was.

Variants get the seeds of the whole study in one order, so pairs of variants always share those of the shorter one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from harness.errors import InputError
from harness.records import Plan
from harness.report.study.claims import Claim, Comparison
from harness.spec.plan import keep_runs
from harness.stats.looks import FEWEST_FOLDS, LookHistory

FEWEST_FIRST = 3
"""Seeds at the first look of a study that declares none: two find hardly anything, and the first look spends most."""
FUTILE = 0.05
"""Chance that a comparison is decided at a look to come, below which no further seeds are spent on it."""


def look_counts(declared: Sequence[int], planned: int, most: int | None) -> tuple[int, ...]:
    """Return the numbers of seeds at the looks: those declared, else the planned seeds and each number up to the last.

    `most` is the largest number of seeds of a variant; None for that of the last look.

    Raises:
        InputError: `most` is before the first look, or after the last.
    """
    first = declared[0] if declared else max(planned, FEWEST_FIRST)
    counts = tuple(declared) or (first, *LookHistory((first,)).later)
    if most is not None and most > counts[-1]:
        remedy = "give that or less" if declared else "give that or less, or declare compare.looks"
        raise InputError(f"--max-seeds {most}: nothing is called after the last look, at {counts[-1]} seeds; {remedy}")
    if most is not None and most < first:
        raise InputError(f"--max-seeds {most}: the first look is at {first} seeds; give that or more")
    return tuple(count for count in counts if most is None or count <= most)


def headlines(comparisons: Sequence[Comparison]) -> tuple[Claim, ...]:
    """Return what has to be decided: every pair's headline on the study's primary split, which alone has verdicts."""
    return tuple(item.headline for item in comparisons if item.headline.outcome != "not judged")


def is_open(claim: Claim, planned: Collection[int] = ()) -> bool:
    """Tell whether a comparison is not decided, and may be by more seeds; what is decided has no outlook.

    `planned` are the seeds up to the last look: they alone bring back seeds that were looked at and are left out.
    """
    if claim.outlook is None:  # nothing could be called yet; later seeds validate on other folds, or are brought back
        is_too_few = claim.reason == "few folds" and (claim.all_folds or 0) >= FEWEST_FOLDS
        comes_back = claim.reason == "seeds left out" and set(claim.left_out) <= set(planned)
        return is_too_few or comes_back or claim.reason == "one seed"
    return claim.outlook.chance >= FUTILE


def next_seeds(
    claims: Sequence[Claim], seeds: Mapping[str, int], counts: Sequence[int], planned: Collection[int] = ()
) -> dict[str, int]:
    """Return the number of seeds of each variant at the next look; nothing where no comparison is open or no look left.

    Both sides of an open comparison get those of the next look, all others keep what they have.
    """
    later = [count for count in counts if count > max(seeds.values())]
    growing = {name for claim in claims if is_open(claim, planned) for name in (claim.variant, claim.against)}
    if not later or not growing:
        return {}
    return {name: later[0] if name in growing else number for name, number in seeds.items()}


def restrict(whole: Plan, seeds: Mapping[str, int]) -> Plan:
    """Return the plan with each variant's first seeds only, and the runs that these start from."""
    # One order of seeds for all variants: pairs then always share those of the shorter one.
    order = tuple(dict.fromkeys(run.seed for run in whole.runs))
    kept = keep_runs(whole, [run for run in whole.runs if run.seed in order[: seeds[run.variant]]])
    return replace(kept, concerns=None)


def count_seeds(plan: Plan) -> dict[str, int]:
    """Return variant -> number of its seeds."""
    return dict(Counter(run.variant for run in plan.runs))


def first_plan(whole: Plan, counts: Sequence[int]) -> Plan:
    """Return the plan of the first look: every variant with as many seeds."""
    return restrict(whole, dict.fromkeys(whole.variants, counts[0]))


def next_plan(whole: Plan, plan: Plan, comparisons: Sequence[Comparison], counts: Sequence[int]) -> Plan | None:
    """Return the plan of the look that follows the one at `plan`, of which `comparisons` tell; None where all is done.

    `whole` holds every variant with the seeds of the last look.
    """
    seeds = next_seeds(headlines(comparisons), count_seeds(plan), counts, {run.seed for run in whole.runs})
    return restrict(whole, seeds) if seeds else None
