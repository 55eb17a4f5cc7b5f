"""Which conclusions the seeds, the groups of images, the margin and the looks of a plan are too few or small for."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

from scipy import special

from harness.judged import primary_split
from harness.records import Concern, Plan
from harness.stats.looks import LookSchedule, Taken
from harness.stats.verdicts import FAMILY_ERROR

FEWEST_GROUPS = 20
"""Independent groups of the split that is judged, of even size, below which intervals are wide and little is called."""
UNEVEN = 0.75
"""Share of the number of groups that they are worth, below which their sizes are spoken of."""
FEWEST_SEEDS = 3
"""Below it no class is called, and of two variants hardly anything (docs/statistics.md)."""
QUIET_SEEDS = 0.001
"""Standard deviation of miou_dataset between seeds that trained models hardly ever stay below (fraction)."""


def few_seeds(plan: Plan, seconds: Mapping[str, float]) -> Iterator[Concern]:
    """Return what fewer than three seeds do not show; those that validate on folds are spoken of there."""
    seeds = sorted({run.seed for run in plan.runs})
    if len(seeds) >= FEWEST_SEEDS or find_folds(plan) is not None:
        return
    missing = FEWEST_SEEDS - len(seeds)
    remedy = f"write seeds: {list(add_seeds(seeds, FEWEST_SEEDS))}: {_more_runs(plan, missing)}"
    if all(name in seconds for name in plan.variants):
        hours = missing * sum(seconds[name] for name in plan.variants) / 3600
        remedy += f", about {hours:.1f} hours one after the other"
    code, text = (
        "one_seed",
        "each variant runs with one seed: a difference then speaks of these weights, not of the settings, because"
        " another seed may turn it round",
    )
    if len(seeds) == 2:
        code, text = (
            "few_seeds",
            "each variant runs with two seeds: they show only differences several times as large as the noise of"
            " training, and no class is judged",
        )
    yield Concern(code, plan.variants, text, remedy)


def _more_runs(plan: Plan, seeds: int) -> str:
    more = seeds * len(plan.variants)
    return f"{more} more {'run' if more == 1 else 'runs'}"


def find_folds(plan: Plan) -> tuple[int, int] | None:
    """Return how many folds the plan's seeds validate on, and of how many; None without folds."""
    folds = plan.runs[0].config.data.folds
    return None if folds is None else (len({run.seed % folds for run in plan.runs}), folds)


def few_folds(plan: Plan) -> Iterator[Concern]:
    """Return what seeds on too few folds do not show."""
    found = find_folds(plan)
    if found is None or found[0] == found[1] >= FEWEST_SEEDS:
        return
    judged, folds = found
    seeds = sorted({run.seed for run in plan.runs})
    wanted = max(folds, FEWEST_SEEDS)
    missing = wanted - len({seed % wanted for seed in seeds})
    advised = add_seeds(seeds, len(seeds) + missing, wanted)
    text = f"the seeds validate on {judged} of {folds} folds: images of the others judge nothing"
    if judged < FEWEST_SEEDS:
        text = (
            f"the seeds validate on {judged} of {folds} folds: fewer than {FEWEST_SEEDS} say nothing of other data, so"
            " there is no verdict over folds"
        )
    fewer = f"data.folds: {wanted} and " if wanted > folds else ""
    yield Concern("few_folds", plan.variants, text, f"write {fewer}seeds: {list(advised)}: {_more_runs(plan, missing)}")


def add_seeds(seeds: Sequence[int], number: int, folds: int | None = None) -> tuple[int, ...]:
    """Return `number` seeds: those given, and the smallest whole numbers that are not among them.

    With folds, those on which no seed validates get theirs first.
    """
    judged = {seed % folds for seed in seeds} if folds else set()
    empty = [fold for fold in range(folds or 0) if fold not in judged]
    others = (seed for seed in range(number + len(seeds)) if seed not in seeds and seed not in empty)
    return (*seeds, *itertools.islice(itertools.chain(empty, others), max(number - len(seeds), 0)))


def small_margin(plan: Plan) -> Iterator[Concern]:
    """Return whether the margin is too small for anything to be called equivalent, even where training is quiet.

    Of two variants, by two one-sided t-tests at 5 %, images aside; more variants lend each other a little. Over folds,
    with the variance of a mean over folds, which share training images.
    """
    seeds = len({run.seed for run in plan.runs})
    judged, folds = find_folds(plan) or (seeds, math.inf)
    if plan.margin == 0 or judged < FEWEST_SEEDS or len(plan.variants) < 2:
        return
    least = float(special.stdtrit(judged - 1, 0.95)) * math.sqrt(2 * (1 / judged + 1 / (folds - 1))) * QUIET_SEEDS
    if plan.margin < least:
        yield Concern(
            "margin",
            plan.variants,
            f"with {seeds} seeds nothing will be called equivalent within a margin of {100 * plan.margin:g} points:"
            f" even seeds that differ by a standard deviation of {100 * QUIET_SEEDS:g} points, which is little, leave"
            f" {100 * least:.2f} points of doubt",
            f"write compare.margin: {math.ceil(1000 * least) / 1000:g} or more, or more seeds",
        )


def weak_splits(plan: Plan, groups: Mapping[str, Sequence[int]]) -> Iterator[Concern]:
    """Return what is weak in the images that a plan is judged on, from the sizes of the groups of each split."""
    split = primary_split(plan, groups)
    sizes = groups.get(split, ())
    worth = even_number(sizes) if sizes else FEWEST_GROUPS
    if split == "test" and find_folds(plan) is not None:
        yield Concern(
            "judged_on_test",
            plan.variants,
            "verdicts are given on test, whose images all seeds share: they do not speak for new training images,"
            " though the seeds validate on folds",
            "write compare.split: val, which judges over the folds",
        )
    if worth < FEWEST_GROUPS:
        number, largest = len(sizes), max(sizes) / sum(sizes)
        in_folds = find_folds(plan) is not None and split == "val"
        where = "the folds that are judged hold" if in_folds else f"{split} holds"
        uneven = f", the largest with {largest:.0%} of the images: as much as {worth:.1f} even ones"
        those = f"{number} independent group{'s' if number > 1 else ''} of images"
        divide = ", or divide train and val anew with data.folds" if split == "val" and not in_folds else ""
        yield Concern(
            "few_groups",
            plan.variants,
            f"{where} {those}{uneven if worth < UNEVEN * number else ''} (at least {FEWEST_GROUPS} are wanted):"
            " what other images would do is hardly known, and only large differences are called",
            f"judge on more recordings{divide}",
        )
    if "test" not in groups and any(run.config.evaluate.select_split == "val" for run in plan.runs):
        yield Concern(
            "same_images",
            plan.variants,
            "the best epoch is chosen on val and reported on val: its score is too high, the more so the more it jumps"
            " from epoch to epoch",
            "write evaluate.select_split: held_out, use data with a labelled test split, or read the scores of the last"
            " epoch beside those of the best",
        )


def even_number(sizes: Sequence[int]) -> float:
    """Return how many groups of even size are worth as much as these: 1 / sum of squared shares (Kish 1965)."""
    return sum(sizes) ** 2 / sum(size**2 for size in sizes)


def past_last_look(plan: Plan, taken: Taken) -> Iterator[str]:
    """Yield a line where a plan has more seeds than the last look, or than the looks that it declares."""
    looks = LookSchedule(plan.looks, taken)
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
