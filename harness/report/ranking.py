"""Which variants are ahead, with ties shown as ties; and what would be worth running next."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from harness.records import Plan
from harness.report.claims import Claim, Comparison, Rank, Ranking
from harness.report.judge import HEADLINE, Judged, Pair, look_at
from harness.spec.lint_power import add_seeds
from harness.stats.effects import Effect, compare
from harness.stats.looks import Looks
from harness.stats.power import POWER
from harness.stats.verdicts import judge


def make_rankings(judged: Sequence[Judged], looks: Looks) -> tuple[Ranking, ...]:
    """Return the variants of each of these splits by mean headline score, and which the first is shown to be ahead of.

    All pairs of variants are one family (Holm), so that it does not matter that the first was chosen by its score.
    """
    return tuple(_rank(item, looks) for item in judged if len(item.study.variants) > 1)


def _rank(judged: Judged, looks: Looks) -> Ranking:
    study = judged.study
    means = dict(zip(study.variants, np.nanmean(study.scores_VSM[:, :, 0], axis=1).tolist(), strict=True))
    order = sorted(means, key=lambda name: -means[name])
    pairs = _all_pairs(judged)
    verdicts = judge(pairs, 0.0, looks=look_at(pairs, looks))
    behind = {
        name
        for name in order[1:]
        for pair, verdict in verdicts.items()
        if set(pair) == {order[0], name} and verdict.outcome in ("improved", "regressed")
    }
    ranks = tuple(Rank(variant=name, mean=means[name], behind=name in behind) for name in order)
    family = max((verdict.family for verdict in verdicts.values()), default=0)
    return Ranking(split=judged.split, family=family, ranks=ranks)


def _all_pairs(judged: Judged) -> dict[Pair, Effect]:
    runs = judged.study.margins.runs
    seeds = {name: {seed for variant, seed in runs if variant == name} for name in judged.study.variants}
    pairs = [pair for pair in combinations(judged.study.variants, 2) if seeds[pair[0]] & seeds[pair[1]]]
    return {pair: compare(judged.study, *pair, only=[HEADLINE])[HEADLINE] for pair in pairs}


def propose_next(plan: Plan, comparisons: Sequence[Comparison]) -> tuple[str, ...]:
    """Return what would decide what is open, as sentences with a command where one would do."""
    open_claims = [item.headline for item in comparisons if _is_open(item.headline, plan)]
    needed = {
        claim.variant: claim.outlook.seeds for claim in open_claims if claim.outlook and claim.outlook.chance >= POWER
    }
    if not needed:
        return ()
    most = max(needed.values())
    names = ", ".join(f"{variant} ({seeds})" for variant, seeds in needed.items())
    kept = list(dict.fromkeys(run.seed for run in plan.runs))
    command = shlex.join(["--seeds", ",".join(map(str, add_seeds(kept, max(most, len(kept)))))])
    run = plan.command.split(" --until")[0].split(" --seeds")[0]
    return (
        f"{most} seeds would decide these against {plan.reference}, with about 80 % probability each: {names}. What is"
        f" finished is kept: {run} {command}",
    )


def _is_open(claim: Claim, plan: Plan) -> bool:
    return claim.outcome == "undecided" and claim.against == plan.reference
