"""Do verdicts hold over repeated looks, and are forecasts right? `python -m benchmarks.looks_calibration`.

Simulates studies that grow: at each look the seeds so far are judged by `harness.stats` at the level of the look, until
a comparison is called. Counts in how many studies of equal variants any was called at any look, what looking naively
at 5 % would have called, how often a variant that is truly better was called, and how many runs that took.
`--forecasts` counts of the undecided first looks how often what was forecast came true. `--first` says how many fewer
an undeclared first look calls than a single look at 5 %. `--until decided` simulates `harness run --until decided`, by
its own functions, and says with how many runs a fixed number of seeds, judged once, calls as many of the differences.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise, product

import numpy as np

from benchmarks.calibration import CALLED, FIVE_POINTS, SD_LITTLE, SD_TWO, TWO_POINTS
from benchmarks.simulated_counts import World, draw_margins
from harness.execute.until_decided import headlines, next_seeds
from harness.report.study.claims import Claim
from harness.report.study.judge import SplitComparisons, make_comparisons
from harness.stats.effects import Effect, compare, make_study
from harness.stats.looks import LookHistory, LookSchedule, TakenLook
from harness.stats.margins import HEADLINE, Margins, keep_runs
from harness.stats.power import Levels, forecast
from harness.stats.verdicts import FAMILY_ERROR, TOST_LEVEL, Verdict, judge

MARGIN = 0.005
DECLARED = (3, 5, 10)
STEPS = tuple(range(3, 11))
BINS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.01)
FORECAST_GAINS = (0.0, TWO_POINTS / 4, TWO_POINTS / 2, TWO_POINTS, FIVE_POINTS)


@dataclass
class Tally:
    """What was counted in one world; lists have an entry for each study."""

    called: list[bool] = field(default_factory=list)
    """Whether a comparison of a variant that is truly better was called at some look; of any, where none is."""
    naive: list[bool] = field(default_factory=list)
    """The same, each look judged as if it were the only one."""
    first: list[bool] = field(default_factory=list)
    """The same at the first look."""
    fixed: list[bool] = field(default_factory=list)
    """The same with the last look's seeds alone, judged once."""
    runs: list[int] = field(default_factory=list)
    """Runs that were trained, where a study ends as soon as every comparison is called."""


def keep_seeds(margins: Margins, seeds: int) -> Margins:
    """Return the study as it was with its first seeds."""
    return keep_runs(margins, [run for run in margins.runs if run[1] < seeds])


def compare_all(margins: Margins) -> dict[str, Effect]:
    """Return the headline of each variant against the first."""
    study = make_study(margins)
    return {name: compare(study, name, "v0", only=[HEADLINE])[HEADLINE] for name in study.variants[1:]}


def simulate(world: World, looks: tuple[int, ...], declared: tuple[int, ...], studies: int, seed: int) -> Tally:
    """Return what looks find in growing studies."""
    generator = np.random.default_rng(seed)
    tally = Tally()
    better = {f"v{place}" for place, gain in enumerate(world.gains) if gain}
    for _ in range(studies):
        margins = draw_margins(replace(world, seeds=looks[-1]), generator)
        at: dict[str, int] = {}  # seeds at which a comparison was called
        naive: set[str] = set()
        for place, seeds in enumerate(looks):
            effects = compare_all(keep_seeds(margins, seeds))
            look = LookHistory(looks[: place + 1], declared)
            at = dict.fromkeys(_names(judge(effects, 0.0, looks=dict.fromkeys(effects, look))), seeds) | at
            single = _names(judge(effects, 0.0))
            naive |= single
            if place == 0:
                tally.first.append(_counts(set(at), better))
        tally.called.append(_counts(set(at), better))
        tally.naive.append(_counts(naive, better))
        tally.fixed.append(_counts(single, better))
        trained = [at.get(name, looks[-1]) for name in effects]
        tally.runs.append(max(trained) + sum(trained))
    return tally


def _names(verdicts: dict[str, Verdict]) -> set[str]:
    return {name for name, verdict in verdicts.items() if verdict.outcome in CALLED}


def _counts(called: set[str], better: set[str]) -> bool:
    return bool(called & better) if better else bool(called)


def simulate_forecasts(world: World, studies: int, seed: int) -> list[tuple[float, bool]]:
    """Return, for each comparison that is undecided at a first look at 3 seeds, the chance told and what came of it."""
    generator = np.random.default_rng(seed)
    first, told = LookHistory((3,)), []
    for _ in range(studies):
        margins = draw_margins(replace(world, seeds=10), generator)
        effects = compare_all(keep_seeds(margins, 3))
        verdicts = judge(effects, MARGIN, looks=dict.fromkeys(effects, first))

        def levels(seeds: int) -> Levels:
            after = first.after(seeds)
            return Levels(after.level(FAMILY_ERROR / 3), 1 - after.level(1 - TOST_LEVEL))

        for name, effect in effects.items():
            if verdicts[name].outcome == "undecided" and (found := forecast(effect, first.later, levels, MARGIN)):
                later = compare_all(keep_seeds(margins, found.seeds))
                looks = dict.fromkeys(later, first.after(found.seeds))
                told.append((found.chance, judge(later, MARGIN, looks=looks)[name].outcome != "undecided"))
    return told


@dataclass
class Ended:
    """What came of studies that add seeds until they are decided; lists have an entry for each study."""

    called: list[float] = field(default_factory=list)
    """Share of the comparisons that were called."""
    runs: list[int] = field(default_factory=list)
    at_once: list[list[float]] = field(default_factory=list)
    """Share that a fixed number of seeds calls, judged once; for each number in STEPS."""


def simulate_until(world: World, counts: tuple[int, ...], declared: tuple[int, ...], studies: int, seed: int) -> Ended:
    """Return what `--until decided` comes to with looks at `counts` seeds."""
    generator, ended = np.random.default_rng(seed), Ended()
    for _ in range(studies):
        margins = draw_margins(replace(world, seeds=STEPS[-1]), generator)
        fixed = [judge(compare_all(keep_seeds(margins, number)), MARGIN) for number in STEPS]
        ended.at_once.append([len(_names(verdicts)) / len(verdicts) for verdicts in fixed])
        seeds = dict.fromkeys(dict(margins.runs), counts[0])
        taken: tuple[TakenLook, ...] = ()
        while seeds:
            runs, claims = sum(seeds.values()), look(margins, seeds, LookSchedule(declared, taken))
            taken = (*taken, take(seeds))
            seeds = next_seeds(claims, seeds, counts)
        outcomes = [claim.outcome for claim in claims]
        ended.called.append(sum(outcome in CALLED for outcome in outcomes) / len(outcomes))
        ended.runs.append(runs)
    return ended


def take(seeds: Mapping[str, int]) -> TakenLook:
    """Return the look at which each variant has its first seeds."""
    return TakenLook({name: dict.fromkeys(range(number), "") for name, number in seeds.items()})


def look(margins: Margins, seeds: Mapping[str, int], looks: LookSchedule) -> tuple[Claim, ...]:
    """Return what a report says of each variant against the first, where each has its first seeds."""
    study = make_study(keep_runs(margins, [(name, seed) for name, seed in margins.runs if seed < seeds[name]]))
    effects = {(name, "v0"): compare(study, name, "v0", only=[HEADLINE]) for name in study.variants[1:]}
    return headlines(make_comparisons([SplitComparisons("val", study, effects)], MARGIN, looks, "val"))


WORLDS = (
    ("four variants, 48 images, sd 0.8 points", World(3, 48, SD_LITTLE)),
    ("four variants, 48 images, sd 2 points", World(3, 48, SD_TWO)),
    ("four variants, 100 images, sd 2 points", World(3, 100, SD_TWO)),
    ("two variants, 48 images, sd 2 points", World(3, 48, SD_TWO, loudness=(1.0, 1.0), gains=(0.0, 0.0))),
    ("two variants, 150 images, sd 2 points", World(3, 150, SD_TWO, loudness=(1.0, 1.0), gains=(0.0, 0.0))),
)
Rule = tuple[str, tuple[int, ...], tuple[int, ...]]
"""Name, seeds at each look, and those that the study declares."""
RULES: tuple[Rule, ...] = (
    ("3, 5, 10 declared", DECLARED, DECLARED),
    ("3 to 10, undeclared", STEPS, ()),
    ("3, 10, undeclared", (3, 10), ()),
)
FIRST_LOOKS: tuple[Rule, ...] = tuple((f"at {seeds} seeds", (seeds,), ()) for seeds in (3, 5, 10))
DIFFERENCES = {"0": 0.0, "2": TWO_POINTS, "5": FIVE_POINTS}
SMALL_DIFFERENCES = {"1": TWO_POINTS / 2, "2": TWO_POINTS, "5": FIVE_POINTS}
"""In points -> gain of skill."""


@dataclass(frozen=True)
class Case:
    """A row of a table: a world, how it is looked at, and by how much all variants but the first are better."""

    name: str
    world: World
    counts: tuple[int, ...]
    declared: tuple[int, ...]
    seed: int

    @property
    def runs(self) -> int:
        """Return the runs of a study in which every variant has the last look's seeds."""
        return len(self.world.gains) * self.counts[-1]


def make_cases(only: str, rules: Sequence[Rule], gains: Mapping[str, float]) -> Iterator[Case]:
    """Return the rows of a table: worlds whose name holds `only`, rules of looking, true differences."""
    for place, (name, world) in enumerate(WORLDS):
        for (word, counts, declared), (points, gain) in product(rules, gains.items()):
            moved = replace(world, gains=(0.0, *[gain] * (len(world.gains) - 1)))
            if only in name:
                yield Case(f"{name} | {word} | {points}", moved, counts, declared, place)


def print_rows(head: str, cases: Iterable[Case], make_row: Callable[[Case], str]) -> None:
    """Print a table of cases, row by row; `head` names what `make_row` returns."""
    columns = f"world | looks | true difference | {head}"
    print(f"| {columns} |\n{'|---' * len(columns.split(' | '))}|")
    for case in cases:
        print(f"| {case.name} | {make_row(case)} |", flush=True)


def looks_row(case: Case, studies: int) -> str:
    """Return what looks find."""
    tally = simulate(case.world, case.counts, case.declared, studies, case.seed)
    found = (tally.called, tally.first, tally.naive, tally.fixed)
    shares = " | ".join(f"{np.mean(item):.3f}" for item in found)
    return f"{shares} | {np.mean(tally.runs):.1f} of {case.runs}"


def until_row(case: Case, studies: int) -> str:
    """Return what `--until decided` comes to."""
    ended = simulate_until(case.world, case.counts, case.declared, studies, case.seed)
    variants, called, at_once = len(case.world.gains), np.mean(ended.called), np.mean(ended.at_once, axis=0)
    enough = [number for number, share in zip(STEPS, at_once, strict=True) if share >= called]
    needed = f"{variants * enough[0]}" if enough else f"over {case.runs}"
    shares = f"{np.mean(np.array(ended.called) > 0):.3f} | {called:.3f} | {at_once[-1]:.3f}"
    return f"{shares} | {np.mean(ended.runs):.1f} of {case.runs} | {needed if any(case.world.gains) else '-'}"


def first_row(case: Case, studies: int) -> str:
    """Return the share of comparisons that an undeclared first look calls, and that a single look at 5 % does."""
    generator, look = np.random.default_rng(case.seed), LookHistory(case.counts)
    single, first = [], []
    for _ in range(studies):
        effects = compare_all(draw_margins(replace(case.world, seeds=case.counts[0]), generator))
        single.append(len(_names(judge(effects, 0.0))) / len(effects))
        first.append(len(_names(judge(effects, 0.0, looks=dict.fromkeys(effects, look)))) / len(effects))
    lost = np.mean(single) - np.mean(first)
    return f"{np.mean(single):.3f} | {np.mean(first):.3f} | {lost:.3f}"


def print_forecasts(studies: int) -> None:
    """Print how often forecasts of a chance came true, over true differences from 0 to 5 points alike."""
    told: list[tuple[float, bool]] = []
    for place, gain in enumerate(FORECAST_GAINS):
        for noise in (SD_LITTLE, SD_TWO):
            world = World(3, 48, noise, gains=(0.0, gain, gain, gain))
            told += simulate_forecasts(world, studies, place)
    table = np.array(told, np.float64)
    print("| told | forecasts | mean told | came true |\n|---|---|---|---|")
    for low, high in pairwise(BINS):
        chosen = table[(table[:, 0] >= low) & (table[:, 0] < high)]
        if len(chosen):
            told_mean, true = chosen.mean(axis=0)
            print(f"| {low:.1f} to {min(high, 1.0):.1f} | {len(chosen)} | {told_mean:.2f} | {true:.2f} |")


def main() -> None:
    """Print the table, row by row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=600, help="simulated studies for each row")
    parser.add_argument("--only", default="", help="worlds whose name holds this word")
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--forecasts", action="store_true", help="count forecasts that came true instead")
    other.add_argument("--until", choices=["decided"], help="simulate studies that add seeds by themselves instead")
    other.add_argument("--first", action="store_true", help="compare a first look with a single one instead")
    arguments = parser.parse_args()
    studies, only = arguments.studies, arguments.only
    if arguments.forecasts:
        print_forecasts(studies)
    elif arguments.until:
        head = "any called | called | 10 seeds at once | runs | as many at once by"
        print_rows(head, make_cases(only, RULES[:2], DIFFERENCES), partial(until_row, studies=studies))
    elif arguments.first:
        head = "single look | first look | lost"
        print_rows(head, make_cases(only, FIRST_LOOKS, SMALL_DIFFERENCES), partial(first_row, studies=studies))
    else:
        head = "called | at the first | looking naively | 10 seeds at once | runs"
        print_rows(head, make_cases(only, RULES, DIFFERENCES), partial(looks_row, studies=studies))


if __name__ == "__main__":
    main()
