"""Which variants are ahead, with ties shown as ties; and what would be worth running next."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from harness.records import Plan
from harness.report.study.claims import Comparison, Rank, Ranking
from harness.report.study.judge import Pair, SplitComparisons, share_a_seed
from harness.report.study.over_looks import judge_over_looks
from harness.spec.lint_power import add_seeds, find_folds
from harness.stats.effects import Effect, Study, compare
from harness.stats.looks import FEWEST_SEEDS, LookSchedule
from harness.stats.margins import HEADLINE
from harness.stats.power import POWER


def make_rankings(judged: Sequence[SplitComparisons], looks: LookSchedule) -> tuple[Ranking, ...]:
    """Return the variants of each of these splits by mean headline score, and which the first is shown to be ahead of.

    All pairs of variants are one family (Holm), so that it does not matter that the first was chosen by its score.
    """
    return tuple(_rank(item, looks) for item in judged if len(item.study.variants) > 1)


def _rank(judged: SplitComparisons, looks: LookSchedule) -> Ranking:
    study = judged.study
    means = dict(zip(study.variants, np.nanmean(study.scores_VSM[:, :, 0], axis=1).tolist(), strict=True))
    order = sorted(means, key=lambda name: -means[name])
    verdicts = judge_over_looks([study], _all_pairs([study]), _all_pairs, looks, (0.0, FEWEST_SEEDS))
    # Each pair stands there once, in the order of the study: the first may be either of the two.
    first, called = order[0], [(*pair, verdict.outcome) for pair, verdict in verdicts.items()]
    behind = {other for one, other, outcome in called if (one, outcome) == (first, "improved")}
    behind |= {one for one, other, outcome in called if (other, outcome) == (first, "regressed")}
    ranks = tuple(Rank(variant=name, mean=means[name], behind=name in behind) for name in order)
    family = next((verdict.family for verdict in verdicts.values()), 0)
    return Ranking(split=judged.split, family=family, ranks=ranks)


def _all_pairs(studies: Sequence[Study]) -> dict[Pair, Effect]:
    (study,) = studies
    pairs = [pair for pair in combinations(study.variants, 2) if share_a_seed(study, pair)]
    return {pair: compare(study, *pair, only=[HEADLINE])[HEADLINE] for pair in pairs}


def propose_next(plan: Plan, comparisons: Sequence[Comparison]) -> tuple[str, ...]:
    """Return what would decide what is open, as sentences with a command where one would do."""
    claims = [item.headline for item in comparisons if item.against == plan.reference]
    needed = {
        claim.variant: claim.outlook.seeds
        for claim in claims
        if claim.outcome == "undecided" and claim.outlook and claim.outlook.chance >= POWER
    }
    if not needed:
        return ()
    # One command for all that is open: the most seeds that any of them needs. Finished seeds are kept, whatever their
    # numbers are.
    most = max(needed.values())
    names = ", ".join(f"{variant} ({seeds})" for variant, seeds in needed.items())
    present = list(dict.fromkeys(run.seed for run in plan.runs))
    _, folds = find_folds(plan) or (0, None)
    command = shlex.join(["--seeds", ",".join(map(str, add_seeds(present, max(most, len(present)), folds)))])
    # The command that made the plan may carry `--seeds` or `--until` of its own; the proposal replaces them.
    run = plan.command.split(" --until")[0].split(" --seeds")[0]
    told = f"{most} seeds would decide these against {plan.reference}, with about 80 % probability each: {names}."
    if run.startswith("harness tune "):
        return (f"{told} Trials train with the seed after those of the study, so this searches anew: {run} {command}",)
    by_itself = "" if not run or " && " in run else f", or look by look: {run} --until decided"
    return (f"{told} What is finished is kept: {run} {command}{by_itself}",)
