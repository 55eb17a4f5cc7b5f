"""Does the mean over a band of classes keep its promise? Coverage and false families over simulated studies.

    python -m benchmarks.band_calibration [--studies 300] [--seeds 3 5]

Two bands of the simulated classes: the three largest, which hold nine tenths of the pixels, and the two smallest. All
comparisons with the reference in both bands are one family, judged at a single look. Prints one row for each world.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchmarks.calibration import CALLED, shift
from benchmarks.simulated_counts import Array, World, draw_margins, true_iou
from harness.stats.effects import Effect, compare, make_study, over_classes
from harness.stats.margins import HEADLINE
from harness.stats.verdicts import CLASS_SEEDS, judge

BANDS = {"dominant": (0, 1, 2), "rare": (4, 5)}
GAINS = (0.0, 0.1, 0.3, -0.2)
LOUD = (3.0, 1.0, 1.0, 1.0)
WORLDS = {
    "training noise small, 20": World(3, 20, 0.02),
    "training noise large, 20": World(3, 20, 0.3),
    "training noise medium, 100": World(3, 100, 0.1),
    "training noise large, 100": World(3, 100, 0.3),
    "rare classes, correlated frames, 100": World(3, 100, 0.1, frames=12, rare=True),
    "the reference three times as noisy, 100": World(3, 100, 0.3, loudness=LOUD),
    "a variant three times as noisy in a class, 100": World(3, 100, 0.2, odd=(3, 3.0)),
    "two variants, 100": World(3, 100, 0.1, loudness=(1.0, 1.0), gains=(0.0, 0.0)),
}
Key = tuple[int, str]


def main(argv: Sequence[str] | None = None) -> None:
    """Print a table of all worlds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=300)
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 5])
    options = parser.parse_args(argv)
    print("| world, groups | seeds | covers: dominant | rare | false families |\n|---|---|---|---|---|")
    for number, (name, world) in enumerate(WORLDS.items()):
        for seeds in options.seeds:
            generator = np.random.default_rng([number, seeds])
            print(f"| {name} | {seeds} | {row(replace(world, seeds=seeds), generator, options.studies)} |", flush=True)


def row(world: World, generator: np.random.Generator, studies: int) -> str:
    """Return coverage in each band, where variants differ, and the share of studies with a false call of equal skill.

    More noise of training is another true score, so calls are judged against the truth there too.
    """
    apart = replace(world, gains=GAINS[: len(world.loudness)])
    truth_VC, equal_VC = true_iou(apart, generator), true_iou(world, generator)
    held: dict[str, list[bool]] = {band: [] for band in BANDS}
    false = 0
    for _ in range(studies):
        for (variant, band), effect in draw_effects(apart, generator).items():
            held[band].append(effect.low <= true_mean(truth_VC, variant, BANDS[band]) <= effect.high)
        shifted = {
            key: shift(effect, true_mean(equal_VC, key[0], BANDS[key[1]]))
            for key, effect in draw_effects(world, generator).items()
        }
        verdicts = judge(shifted, 0.0, fewest_seeds=CLASS_SEEDS).values()
        false += any(verdict.outcome in CALLED for verdict in verdicts)
    return " | ".join([*(f"{np.mean(covered):.3f}" for covered in held.values()), f"{false / studies:.3f}"])


def true_mean(truth_VC: Array, variant: int, classes: Sequence[int]) -> float:
    """Return a variant's true mean IoU over some classes less the reference's."""
    return float((truth_VC[variant] - truth_VC[0])[list(classes)].mean())


def draw_effects(world: World, generator: np.random.Generator) -> dict[Key, Effect]:
    """Return (variant, band) -> its difference to the reference, in one simulated study that holds all classes."""
    margins = draw_margins(world, generator)
    while not margins.true_GC.any(axis=0).all():  # the truth is that of all classes of a band
        margins = draw_margins(world, generator)
    study = make_study(margins)
    found = {}
    for band, classes in BANDS.items():
        narrowed = over_classes(study, [f"c{index}" for index in classes])
        for variant in range(1, len(world.loudness)):
            found[variant, band] = compare(narrowed, f"v{variant}", "v0", only=[HEADLINE])[HEADLINE]
    return found


if __name__ == "__main__":
    main()
