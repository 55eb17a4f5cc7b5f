"""Are the probabilities beside verdicts right? `python -m benchmarks.chance_calibration`.

Simulates studies whose true differences from the reference are drawn from a normal of standard deviation 0.5, 1, 2 and
4 points, and counts, of the statements that were said with 50 to 60 %, 60 to 70 %, ... how many are true: of "better by
more than the margin", "within" and "worse by more", and of "a new seed of the variant beats one of the reference",
for which one more seed of each is trained and judged on endlessly many images. `--zero`: variants that are equal, and
how often a direction is said with 95 % or more.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from benchmarks.simulated_counts import Array, World, draw_margins, draw_training, iou_by_training
from harness.records import DEFAULT_EXPECTED
from harness.spec.compare import DEFAULT_MARGIN
from harness.stats.chances import chances_by_prior
from harness.stats.effects import Effect, compare, make_study
from harness.stats.margins import HEADLINE

SPREADS = (0.005, 0.01, 0.02, 0.04)
"""Standard deviations of the true differences."""
NOISES = {"medium": 0.1, "large": 0.3}
GAINS = np.linspace(-1.6, 1.6, 65)
"""Gains of skill (logits) whose differences of miou_dataset are tabulated."""
LEAST = np.array([0.5, 0.6, 0.7, 0.8, 0.9])
SURE = 0.95
Statements = list[tuple[float, bool]]
"""Probabilities that were said, and whether it was so."""


def draw_studies(world: World, spread: float, studies: int, seed: int) -> Iterator[tuple[Effect, float, float]]:
    """Yield each comparison with the reference, its true difference, and that of one more seed on endless images."""
    generator = np.random.default_rng(seed)
    table = difference_by_gain(world, generator)
    for _ in range(studies):
        wanted_V = spread * generator.normal(size=len(world.gains) - 1)
        drawn = replace(world, gains=(0.0, *np.interp(wanted_V, table, GAINS * bool(spread))))
        study = make_study(draw_margins(drawn, generator))
        new_V = iou_by_training(drawn, draw_training(drawn, generator, 1)).mean(axis=(1, 2))
        for place, truth in enumerate(wanted_V.tolist(), start=1):
            effect = compare(study, f"v{place}", "v0", only=[HEADLINE])[HEADLINE]
            yield effect, truth, float(new_V[place] - new_V[0])


def difference_by_gain(world: World, generator: np.random.Generator) -> Array:
    """Return the true difference of miou_dataset from the reference that each of GAINS makes."""
    alike = replace(world, gains=tuple(GAINS), loudness=(1.0,) * len(GAINS), pairing=1.0)
    miou_V = iou_by_training(alike, draw_training(alike, generator, 4000)).mean(axis=(1, 2))
    return np.asarray(miou_V - np.interp(0.0, GAINS, miou_V))


def state(effect: Effect, truth: float, new_seed: float, expected: float) -> tuple[Statements, Statements]:
    """Return what is said of the difference and of a new seed with 50 % or more."""
    chances = chances_by_prior(effect, DEFAULT_MARGIN, expected)
    assert chances.new_seed is not None
    differences = [
        (chances.better, truth > DEFAULT_MARGIN),
        (chances.within, abs(truth) <= DEFAULT_MARGIN),
        (chances.worse, truth < -DEFAULT_MARGIN),
    ]
    seeds = [(chances.new_seed, new_seed > 0), (1 - chances.new_seed, new_seed < 0)]
    return [item for item in differences if item[0] >= LEAST[0]], [item for item in seeds if item[0] >= LEAST[0]]


def worlds(seeds: Sequence[int]) -> Iterator[tuple[int, str, World]]:
    """Return the number of variants, the noise in a word, and the world, of every row."""
    for number in seeds:
        for variants in (2, 4):
            for word, noise in NOISES.items():
                alike = (1.0,) * variants
                yield variants, word, World(number, 100, noise, loudness=alike, gains=(0.0,) * variants)


def make_rows(variants: int, word: str, world: World, studies: int) -> Iterator[str]:
    """Yield a row for each standard deviation of the true differences, under its own and under the default prior."""
    for place, spread in enumerate(SPREADS):
        drawn = list(draw_studies(world, spread, studies, place))
        for expected in dict.fromkeys((spread, DEFAULT_EXPECTED)):
            stated = [state(*item, expected) for item in drawn]
            told = [tally([said for pair in stated for said in pair[kind]]) for kind in (0, 1)]
            cells = [str(world.seeds), str(variants), word, f"{100 * spread:g}", f"{100 * expected:g}"]
            yield f"| {' | '.join([*cells, *told[0], *told[1]])} |"


def tally(statements: Statements) -> list[str]:
    """Return, for each tenth of probability from 50 % on, which share was true, of how many."""
    said_N, true_N = (np.array(column) for column in zip(*statements, strict=True))
    bin_N = np.searchsorted(LEAST, said_N, side="right") - 1
    return [
        f"{true_N[bin_N == b].mean():.2f} of {(bin_N == b).sum()}" if (bin_N == b).any() else "-"
        for b in range(len(LEAST))
    ]


def make_zero_rows(variants: int, word: str, world: World, studies: int) -> Iterator[str]:
    """Yield a row for each prior: how often a direction is said with 95 % or more of variants that are equal."""
    effects = [effect for effect, *_ in draw_studies(world, 0.0, studies, len(SPREADS))]
    for expected in SPREADS:
        told = []
        for margin in (DEFAULT_MARGIN, 0.0):
            found = [chances_by_prior(effect, margin, expected) for effect in effects]
            told.append(np.mean([max(item.better, item.worse) >= SURE for item in found]))
        told.append(np.mean([max(item.new_seed or 0, 1 - (item.new_seed or 0)) >= SURE for item in found]))
        cells = [str(world.seeds), str(variants), word, f"{100 * expected:g}", *(f"{share:.3f}" for share in told)]
        yield f"| {' | '.join([*cells, str(len(effects))])} |"


def main() -> None:
    """Print the table, row by row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=400, help="simulated studies of a row of two variants")
    parser.add_argument("--seeds", type=int, nargs="*", default=[3, 5, 10])
    parser.add_argument("--zero", action="store_true", help="of variants that are equal")
    arguments = parser.parse_args()
    tenths = [f"{least:.0%} to {least + 0.1:.0%}" for least in LEAST]
    head = ["seeds", "variants", "noise", "true sd", "prior", *tenths, *(f"new seed: {tenth}" for tenth in tenths)]
    if arguments.zero:
        head = ["seeds", "variants", "noise", "prior", "margin 0.5", "no margin", "new seed", "comparisons"]
    print(f"| {' | '.join(head)} |\n{'|---' * len(head)}|")
    for variants, word, world in worlds(arguments.seeds):
        rows = make_zero_rows if arguments.zero else make_rows
        for row in rows(variants, word, world, 2 * arguments.studies // variants):
            print(row, flush=True)


if __name__ == "__main__":
    main()
