"""Do verdicts hold in chains of warm starts? `python -m benchmarks.chain_calibration`.

Simulates studies in which each variant trains on from the one before it with the same seed: a child's counts are its
parent's and what its own training adds, so its noise between seeds is its parent's and its own. The true step is 0 or
-2 points. Counts how often intervals hold the truth of a step (child less parent) and of what lies two and more links
away (variant less reference); how often a family of headlines, and that of start -> own training, holds a false call,
judged against the truth; and how many of the steps of -2 points are said to have regressed.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field, replace

import numpy as np

from benchmarks.calibration import CALLED, SD_LITTLE, SD_TWO, TWO_POINTS, shift
from benchmarks.simulated_counts import World, draw_margins, true_iou
from harness.stats.effects import compare, make_study
from harness.stats.margins import HEADLINE
from harness.stats.verdicts import judge

QUIET = (1.0, 1 / 3, 1 / 3, 1 / 3)
WORLDS = {
    "one child, sd 2 points, 48": World(3, 48, SD_TWO, loudness=(1.0, 1.0), inherited=1.0),
    "one child, a step of a third of the noise, 48": World(3, 48, SD_TWO, loudness=QUIET[:2], inherited=1.0),
    "chain of four, sd 0.8 points, 48": World(3, 48, SD_LITTLE, inherited=1.0),
    "chain of four, sd 2 points, 150": World(3, 150, SD_TWO, inherited=1.0),
    "chain of four, steps of a third of the noise, 48": World(3, 48, SD_TWO, loudness=QUIET, inherited=1.0),
    "chain of four, half inherited, sd 2 points, 48": World(3, 48, SD_TWO, inherited=0.5),
    "three from one file, sd 2 points, 48": World(3, 48, SD_TWO, loudness=(0.0, 1.0, 1.0, 1.0)),
}
"""In the last, variants are no chain: all start from weights that are the same for all seeds, the reference here."""
STEPS = {"0": 0.0, "-2": -TWO_POINTS}
Pair = tuple[int, int]
"""A variant, and the one it is compared with."""


@dataclass
class Tally:
    """What was counted in one world. Lists have an entry for each study."""

    steps: list[list[bool]] = field(default_factory=list)
    """For each child, whether the interval of its difference to its start held the truth."""
    links: list[list[bool]] = field(default_factory=list)
    """For each variant two links or more from the reference, the same of its difference to the reference."""
    false_headline: list[bool] = field(default_factory=list)
    """Whether any of all comparisons was called, judged against the truth."""
    false_own: list[bool] = field(default_factory=list)
    """The same of the family of start -> own training."""
    regressed: list[list[bool]] = field(default_factory=list)
    """For each child, whether its own training was said to have regressed."""


def make_pairs(world: World) -> tuple[list[Pair], list[Pair]]:
    """Return children with their starts, and other variants with the reference."""
    children = range(1, len(world.loudness))
    steps = [(child, child - 1 if world.inherited else 0) for child in children]
    return steps, [(child, 0) for child in children if (child, 0) not in steps]


def simulate(world: World, studies: int, seed: int) -> Tally:
    """Return what `harness.stats` says of simulated chains, against the truth."""
    generator = np.random.default_rng(seed)
    iou_VC, tally = true_iou(world, generator), Tally()
    steps, links = make_pairs(world)
    for _ in range(studies):
        margins = draw_margins(world, generator)
        study, present_C = make_study(margins), margins.true_GC.any(axis=0)
        names = {pair: (f"v{pair[0]}", f"v{pair[1]}") for pair in (*steps, *links)}
        effects = {pair: compare(study, *named, only=[HEADLINE])[HEADLINE] for pair, named in names.items()}
        truth = {pair: float((iou_VC[pair[0]] - iou_VC[pair[1]])[present_C].mean()) for pair in effects}
        held = {pair: effect.low <= truth[pair] <= effect.high for pair, effect in effects.items()}
        shifted = {pair: shift(effect, truth[pair]) for pair, effect in effects.items()}
        tally.steps.append([held[pair] for pair in steps])
        tally.links.append([held[pair] for pair in links])
        families = (tally.false_headline, shifted), (tally.false_own, {pair: shifted[pair] for pair in steps})
        for counted, family in families:
            counted.append(any(verdict.outcome in CALLED for verdict in judge(family, 0.0).values()))
        own = judge({pair: effects[pair] for pair in steps}, 0.0)
        tally.regressed.append([verdict.outcome == "regressed" for verdict in own.values()])
    return tally


def make_row(world: World, step: float, studies: int, seed: int) -> str:
    """Return the cells of one world in which the true step of each child is `step` (logits)."""
    places = np.arange(len(world.loudness))
    gains = tuple((step * (places if world.inherited else places > 0)).tolist())
    tally = simulate(replace(world, gains=gains), studies, seed)
    cells = [
        f"{np.mean(tally.steps):.3f} ({np.mean(tally.steps, axis=0).min():.3f})",
        f"{np.mean(tally.links):.3f} ({np.mean(tally.links, axis=0).min():.3f})" if any(tally.links) else "-",
        f"{np.mean(tally.false_headline):.3f}",
        f"{np.mean(tally.false_own):.3f}",
        f"{np.mean(tally.regressed):.2f}",
    ]
    return " | ".join(cells)


def main() -> None:
    """Print the table, row by row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=500, help="simulated studies for each row")
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 3, 5, 10])
    options = parser.parse_args()
    print(
        "| world, groups | seeds | true step | covers: child less start (worst) | two links and more (worst) | "
        "false headline | false start -> own training | step said to have regressed |\n" + "|---" * 8 + "|"
    )
    for number, (name, world) in enumerate(WORLDS.items()):
        for seeds in options.seeds:
            for points, step in STEPS.items():
                row = make_row(replace(world, seeds=seeds), step, options.studies, 100 * number + seeds)
                print(f"| {name} | {seeds} | {points} | {row} |", flush=True)


if __name__ == "__main__":
    main()
