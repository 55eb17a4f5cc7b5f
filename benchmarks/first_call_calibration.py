"""Does the first call stand, and hold? `python -m benchmarks.first_call_calibration`.

Simulates studies that add seeds until they are decided, by the functions of `harness run --until decided`, where pairs
of variants are tied: they share the reference, and each starts from the one before, so that what one needs brings runs
of others. Counts the families in which any pair is called falsely, and how many of the calls would be taken back if
what is called were judged again with each look. `--tables` counts, over looks at all variants, class tables of equal
variants with any call, and comparisons called equivalent whose true difference is the margin.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from benchmarks.calibration import CALLED, FIVE_POINTS, SD_LITTLE, SD_TWO, TWO_POINTS
from benchmarks.looks_calibration import DECLARED, MARGIN, STEPS, take
from benchmarks.simulated_counts import World, draw_margins, true_delta, true_iou
from harness.execute.until_decided import headlines, next_seeds
from harness.report.study.claims import Claim, Comparison
from harness.report.study.judge import SplitComparisons, make_comparisons
from harness.stats.effects import compare, make_study
from harness.stats.looks import LookSchedule, TakenLook
from harness.stats.margins import HEADLINE, Margins

Pair = tuple[str, str]
CHAIN: tuple[Pair, ...] = (("v1", "v0"), ("v2", "v0"), ("v2", "v1"), ("v3", "v0"), ("v3", "v2"))
"""Each variant against the reference, and against the one that it starts from: four variants, v0 -> v1 -> v2 -> v3."""
RULES = (("3, 5, 10 declared", DECLARED, DECLARED), ("3 to 10, undeclared", STEPS, ()))
PRESENT_SEED = 99


@dataclass
class Ended:
    """What came of studies; lists have an entry for each."""

    false: list[bool] = field(default_factory=list)
    """Whether a pair that does not differ was called."""
    called: list[float] = field(default_factory=list)
    """Share of the pairs that differ that were called."""
    again: list[bool] = field(default_factory=list)
    """Whether a pair that does not differ was called at any look, each look judged by itself."""
    back: list[float] = field(default_factory=list)
    """Share of all calls that the last look by itself does not make."""
    runs: list[int] = field(default_factory=list)


def simulate(world: World, counts: tuple[int, ...], declared: tuple[int, ...], studies: int, seed: int) -> Ended:
    """Return what `--until decided` comes to in a chain of warm starts."""
    generator, ended = np.random.default_rng(seed), Ended()
    for _ in range(studies):
        margins = draw_margins(replace(world, seeds=STEPS[-1]), generator)
        seeds = dict.fromkeys(dict(margins.runs), counts[0])
        taken: tuple[TakenLook, ...] = ()
        ever: set[Pair] = set()
        while seeds:
            last, at = seeds, LookSchedule(declared, taken)
            claims = headlines(_report(margins, seeds, at, only=[HEADLINE]))
            ever |= _called(headlines(_report(margins, seeds, _forget(at), only=[HEADLINE])))
            taken = (*taken, take(seeds))
            seeds = _with_starts(next_seeds(claims, seeds, counts))
        alone = _called(headlines(_report(margins, last, _forget(LookSchedule(declared, taken[:-1])), only=[HEADLINE])))
        _count(ended, world, claims, (ever, alone))
        ended.runs.append(sum(last.values()))
    return ended


def _count(ended: Ended, world: World, claims: Sequence[Claim], judged_again: tuple[set[Pair], set[Pair]]) -> None:
    called, (ever, alone) = _called(claims), judged_again
    differ = {pair for pair in CHAIN if world.gains[int(pair[0][1])] != world.gains[int(pair[1][1])]}
    ended.false.append(bool(called - differ))
    ended.again.append(bool(ever - differ))
    ended.called += [len(called & differ) / len(differ)] if differ else []
    ended.back += [len(called - alone) / len(called)] if called else []


def _forget(looks: LookSchedule) -> LookSchedule:
    """Return the looks without what could be called at them again: their number and levels stay."""
    return replace(looks, taken=tuple(replace(look, is_whole=False) for look in looks.taken))


def _called(claims: Sequence[Claim]) -> set[Pair]:
    return {(claim.variant, claim.against) for claim in claims if claim.outcome in CALLED}


def _with_starts(seeds: Mapping[str, int]) -> dict[str, int]:
    """Return the seeds of a chain: each variant has those of all that start from it."""
    names = sorted(seeds)
    return {name: max(seeds[later] for later in names[place:]) for place, name in enumerate(names)}


def _report(
    margins: Margins, seeds: Mapping[str, int], looks: LookSchedule, only: list[str] | None
) -> tuple[Comparison, ...]:
    study = make_study(margins).keep({(name, seed) for name, seed in margins.runs if seed < seeds[name]})
    pairs = [pair for pair in CHAIN if pair[0] in study.variants]
    judged = SplitComparisons("val", study, {pair: compare(study, *pair, only=only) for pair in pairs})
    return make_comparisons([judged], MARGIN, looks, "val")


def simulate_tables(
    world: World, declared: tuple[int, ...], counts: tuple[int, ...], studies: int, margin: float
) -> list[tuple[bool, float]]:
    """Return of each study whether its class table holds a call, and the share of equivalent headlines."""
    generator, found = np.random.default_rng(PRESENT_SEED), []
    for _ in range(studies):
        study = make_study(draw_margins(replace(world, seeds=counts[-1]), generator))
        taken = tuple(take(dict.fromkeys(study.variants, number)) for number in counts[:-1])
        judged = SplitComparisons(
            "val", study, {(name, "v0"): compare(study, name, "v0") for name in study.variants[1:]}
        )
        claims = make_comparisons([judged], margin, LookSchedule(declared, taken), "val")
        table = any(cell.outcome in CALLED for item in claims for cell in item.classes)
        found.append((table, float(np.mean([item.headline.outcome == "equivalent" for item in claims]))))
    return found


CHAINS = (
    ("a chain of four, 48 images, sd 0.8 points", World(3, 48, SD_LITTLE)),
    ("a chain of four, 48 images, sd 2 points", World(3, 48, SD_TWO)),
)
GAINS = (
    ("0", (0.0, 0.0, 0.0, 0.0)),
    ("2 in the last", (0.0, 0.0, 0.0, TWO_POINTS)),
    ("5 in the first step, then 0", (0.0, FIVE_POINTS, FIVE_POINTS, FIVE_POINTS)),
)
TABLES = (
    ("four variants, 48 images, sd 0.8 points", World(3, 48, SD_LITTLE)),
    ("four variants, 48 images, sd 2 points", World(3, 48, SD_TWO)),
    ("two variants, 150 images, sd 2 points", World(3, 150, SD_TWO, loudness=(1.0, 1.0), gains=(0.0, 0.0))),
)


def print_chains(studies: int) -> None:
    """Print what chains come to, row by row."""
    print(
        "| world | looks | differs by | false | false, judged again | called | taken back | runs |\n" + "|---" * 8 + "|"
    )
    for place, (name, world) in enumerate(CHAINS):
        for word, counts, declared in RULES:
            for points, gains in GAINS:
                ended = simulate(replace(world, gains=gains), counts, declared, studies, place)
                shares = [np.array(share, np.float64) for share in (ended.false, ended.again, ended.called, ended.back)]
                told = " | ".join(f"{share.mean():.3f}" if len(share) else "-" for share in shares)
                print(f"| {name} | {word} | {points} | {told} | {np.mean(ended.runs):.1f} of 40 |", flush=True)


def print_tables(studies: int) -> None:
    """Print how often class tables are called falsely, and what differs by the margin is called equivalent."""
    print("| world | looks | class table with a call | equivalent at the margin | at 0 |\n" + "|---" * 5 + "|")
    for name, world in TABLES:
        moved = replace(world, gains=(0.0, *[TWO_POINTS] * (len(world.gains) - 1)))
        truth = true_delta(true_iou(moved, np.random.default_rng(0)), 1, range(6))
        for word, counts, declared in RULES:
            equal = simulate_tables(world, declared, counts, studies, truth)
            limit = simulate_tables(moved, declared, counts, studies, truth)
            tables, same = np.mean(equal, axis=0)
            print(f"| {name} | {word} | {tables:.3f} | {np.mean(limit, axis=0)[1]:.3f} | {same:.3f} |", flush=True)


def main() -> None:
    """Print a table, row by row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=400, help="simulated studies for each row")
    parser.add_argument("--tables", action="store_true", help="class tables and equivalence instead of chains")
    arguments = parser.parse_args()
    if arguments.tables:
        print_tables(arguments.studies)
    else:
        print_chains(arguments.studies)


if __name__ == "__main__":
    main()
