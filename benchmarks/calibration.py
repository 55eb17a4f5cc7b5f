"""Do the intervals keep their promise? `python -m benchmarks.calibration`.

Simulates studies of a reference and three variants whose true scores are known, judges them with `harness.stats`, and
counts: how often the 95 % interval holds the true difference of miou_dataset, and in how many studies of variants that
are truly equal, or differ by what is known, any is called falsely. Prints one row of a Markdown table for each world.
`--few` prints those of few seeds, few groups and loud references, with what they find.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from benchmarks.resample import bootstrap_scores
from benchmarks.simulated_counts import SKILL, TOGETHER, Array, World, draw_margins, true_delta, true_iou
from harness.stats.effects import Effect, Study, compare, make_study
from harness.stats.margins import HEADLINE, Margins
from harness.stats.spread import p_value, t_interval
from harness.stats.verdicts import CLASS_SEEDS, judge

GAINS = (0.0, 0.15, 0.3, -0.2)
TWO_POINTS, FIVE_POINTS = 0.102, 0.264
"""Gains of skill (logits) that make these differences of miou_dataset."""
SD_TWO, SD_LITTLE = 0.165, 0.066
"""Training noise (logits) of a standard deviation of 2 and of 0.8 points between seeds."""
RESAMPLES = 300
CALLED = ("improved", "regressed")


@dataclass
class Tally:
    """What was counted in one world. Lists have an entry for each study."""

    covered: list[list[bool]] = field(default_factory=list)
    """For each comparison with the reference, whether its interval held the truth."""
    plain: list[list[bool]] = field(default_factory=list)
    """The same without borrowing between variants: Satterthwaite's combination alone."""
    bootstrap: list[list[bool]] = field(default_factory=list)
    """The same for the percentile bootstrap over seeds and groups; first studies only."""
    classes: list[bool] = field(default_factory=list)
    """For each cell of each class table, whether its interval held the truth."""
    ratio: list[float] = field(default_factory=list)
    """Width of the interval as a multiple of the plain one's."""
    width: list[float] = field(default_factory=list)
    false_headline: list[bool] = field(default_factory=list)
    """Whether any comparison was called, judged against the truth."""
    false_class: list[bool] = field(default_factory=list)


def simulate(world: World, studies: int, seed: int, bootstrapped: int = 0) -> Tally:
    """Return what `harness.stats` says of simulated studies, against the truth."""
    generator = np.random.default_rng(seed)
    iou_VC = true_iou(world, generator)
    tally = Tally()
    for number in range(studies):
        margins = draw_margins(world, generator)
        study = make_study(margins)
        present = np.flatnonzero(margins.true_GC.any(axis=0)).tolist()
        variants = range(1, len(world.gains))
        truths = {f"v{variant}": true_delta(iou_VC, variant, present) for variant in variants}
        _count(tally, study, truths, iou_VC)
        if number < bootstrapped:
            tally.bootstrap.append(_bootstrap_covers(margins, world, truths, number))
    return tally


def _count(tally: Tally, study: Study, truths: dict[str, float], iou_VC: Array) -> None:
    compared = {name: compare(study, name, "v0") for name in truths}
    heads = {name: effects[HEADLINE] for name, effects in compared.items()}
    plain = {name: _plain_interval(effect) for name, effect in heads.items()}
    tally.covered.append([effect.low <= truths[name] <= effect.high for name, effect in heads.items()])
    tally.plain.append([low <= truths[name] <= high for name, (low, high) in plain.items()])
    tally.width += [effect.high - effect.low for effect in heads.values()]
    tally.ratio += [
        (e.high - e.low) / (high - low)
        for e, (low, high) in zip(heads.values(), plain.values(), strict=True)
        if high > low
    ]
    cells = {}
    for name, effects in compared.items():
        gained_C = iou_VC[int(name[1:])] - iou_VC[0]
        for c in range(len(SKILL)):
            if f"c{c}" in effects and effects[f"c{c}"].scope == "new seeds and images":
                cells[name, c] = shift(effects[f"c{c}"], gained_C[c])
    tally.classes += [cell.low <= 0 <= cell.high for cell in cells.values()]
    shifted = {name: shift(effect, truths[name]) for name, effect in heads.items()}
    tally.false_headline.append(any(verdict.outcome in CALLED for verdict in judge(shifted, 0.0).values()))
    verdicts = judge(cells, 0.0, fewest_seeds=CLASS_SEEDS)
    tally.false_class.append(any(verdict.outcome in CALLED for verdict in verdicts.values()))


def find_power(world: World, studies: int, seed: int) -> float:
    """Return the share of simulated studies in which the first variant is called."""
    generator, called = np.random.default_rng(seed), 0
    for _ in range(studies):
        study = make_study(draw_margins(world, generator))
        heads = {name: compare(study, name, "v0", only=[HEADLINE])[HEADLINE] for name in study.variants[1:]}
        called += judge(heads, 0.0)["v1"].outcome in CALLED
    return called / studies


def shift(effect: Effect, truth: float) -> Effect:
    """Return the effect as it were if the true difference were 0."""
    delta = effect.delta - truth
    p = p_value(delta, effect.se, effect.degrees)
    return replace(effect, delta=delta, low=effect.low - truth, high=effect.high - truth, p=p)


def _plain_interval(effect: Effect) -> tuple[float, float]:
    spread = effect.spread
    own = replace(spread, seed_variance=spread.own_seed_variance, seed_degrees=spread.seeds - 1)
    return t_interval(effect.delta, own.se, own.degrees, 0.95)


def _bootstrap_covers(margins: Margins, world: World, truths: dict[str, float], number: int) -> list[bool]:
    """Return whether the percentile interval holds the truth, resampling seeds and groups."""
    scores_VSR = bootstrap_scores(margins, RESAMPLES, number)[:, :, 0].reshape(len(world.gains), world.seeds, RESAMPLES)
    drawn_RS = np.random.default_rng(number).multinomial(world.seeds, np.full(world.seeds, 1 / world.seeds), RESAMPLES)
    mean_VR = np.einsum("vsr,rs->vr", scores_VSR, drawn_RS / world.seeds)
    ends = np.quantile(mean_VR[1:] - mean_VR[0], (0.025, 0.975), axis=1)
    return [bool(low <= truth <= high) for truth, low, high in zip(truths.values(), *ends, strict=True)]


def make_worlds() -> Iterator[tuple[str, World]]:
    """Return the worlds of the table by name; every one is simulated with differing and with equal variants."""
    for seeds in (2, 3, 5, 10):
        for groups in (20, 100, 500):
            for noise, word in ((0.02, "small"), (0.1, "medium"), (0.3, "large")):
                yield f"training noise {word}", World(seeds, groups, noise)
        yield "no training noise", World(seeds, 100, 0.0)
        for groups in (20, 100, 500):
            yield "rare classes, correlated frames", World(seeds, groups, 0.1, frames=12, rare=True)
        yield "paired seeds", World(seeds, 100, 0.3, pairing=0.6)
        yield "a variant twice as noisy", World(seeds, 100, 0.3, loudness=(1.0, 1.0, 1.0, 2.0))
        yield "the reference twice as noisy", World(seeds, 100, 0.3, loudness=(2.0, 1.0, 1.0, 1.0))
        yield "noise 1, 1/2, 1, 2", World(seeds, 100, 0.3, loudness=(1.0, 0.5, 1.0, 2.0))
        yield "the reference three times as noisy", World(seeds, 100, 0.3, loudness=(3.0, 1.0, 1.0, 1.0))
        yield "a variant three times as noisy in a class", World(seeds, 100, 0.2, odd=(3, 3.0))
        yield "the reference three times as noisy in a class", World(seeds, 100, 0.2, odd=(0, 3.0))
    for seeds in (3, 5):
        yield "classes move together", World(seeds, 100, 0.3, shares=TOGETHER)
        loudness = (2.0, 1.0, 1.0, 1.0)
        yield "classes move together, the reference twice as noisy", World(seeds, 100, 0.3, loudness, shares=TOGETHER)


def make_few_worlds() -> Iterator[tuple[str, World]]:
    """Return the worlds of few seeds, few groups and loud references."""
    for seeds in (2, 3, 5, 10):
        for groups, noise, word in ((150, SD_TWO, "2"), (48, SD_TWO, "2"), (48, SD_LITTLE, "0.8")):
            yield f"two variants, sd {word} points", World(seeds, groups, noise, loudness=(1.0, 1.0), gains=(0.0, 0.0))
        yield "three variants, sd 2 points", World(seeds, 150, SD_TWO, loudness=(1.0,) * 3, gains=(0.0,) * 3)
        yield "four variants, sd 0.8 points", World(seeds, 48, SD_LITTLE)
        yield "the reference three times as noisy", World(seeds, 100, 0.1, loudness=(3.0, 1.0, 1.0, 1.0))
    for seeds in (3, 5, 10):
        yield "two groups", World(seeds, 2, 0.1)
        yield "three groups", World(seeds, 3, 0.1)
        yield "three groups, quiet", World(seeds, 3, 0.02)
        yield "six groups, quiet", World(seeds, 6, 0.02)
        yield "one group of 20 holds three quarters", World(seeds, 20, 0.02, largest=60)
        yield "one group of 6 holds four fifths", World(seeds, 6, 0.02, largest=20)


HEAD = (
    "| seeds | groups | world | covers: variants differ (worst of 3) | variants equal (worst) | classes | "
    "false calls: headline | class table | width / plain | plain covers | percentile bootstrap covers |\n"
    + "|---" * 11
    + "|"
)


def make_row(name: str, world: World, studies: int, seed: int, bootstrapped: int) -> str:
    """Return a row of the table: the world simulated with differing variants, and with equal ones."""
    differ = simulate(replace(world, gains=GAINS), studies, seed, bootstrapped)
    equal = simulate(world, studies, seed + 1)
    cells = [
        str(world.seeds),
        str(world.groups),
        name,
        *(f"{np.mean(t.covered):.3f} ({np.mean(t.covered, axis=0).min():.3f})" for t in (differ, equal)),
        f"{np.mean(differ.classes):.3f}",
        f"{np.mean(equal.false_headline):.3f}",
        f"{np.mean(equal.false_class):.3f}",
        f"{np.median(differ.ratio):.2f}",
        f"{np.mean(differ.plain):.3f}",
        f"{np.mean(differ.bootstrap):.3f}" if bootstrapped else "-",
    ]
    return f"| {' | '.join(cells)} |"


FEW_HEAD = (
    "| seeds | groups | world | covers (worst comparison) | classes | false headline: equal, against the truth | "
    "false class table: equal, against the truth | finds 2 points, 5 points |\n" + "|---" * 8 + "|"
)


def make_few_row(name: str, world: World, studies: int, seed: int) -> str:
    """Return a row of the second table: equal variants, variants that differ, and one better by 2 and by 5 points."""
    variants = len(world.gains)
    differ = simulate(replace(world, gains=GAINS[:variants]), studies, seed)
    equal = simulate(world, studies, seed + 1)
    found = [
        find_power(replace(world, gains=(0.0, gain, *world.gains[2:])), studies, seed + 2)
        for gain in (TWO_POINTS, FIVE_POINTS)
    ]
    cells = [
        str(world.seeds),
        str(world.groups),
        name,
        f"{np.mean(differ.covered):.3f} ({np.mean(differ.covered, axis=0).min():.3f})",
        f"{np.mean(differ.classes):.3f}",
        f"{np.mean(equal.false_headline):.3f}, {np.mean(differ.false_headline):.3f}",
        f"{np.mean(equal.false_class):.3f}, {np.mean(differ.false_class):.3f}",
        f"{found[0]:.2f}, {found[1]:.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the table, row by row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=1000, help="simulated studies for each half of a row")
    parser.add_argument("--only", default="", help="rows whose name holds this word")
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 3, 5, 10], help="rows of these numbers of seeds")
    parser.add_argument("--groups", type=int, default=0, help="rows of this number of groups")
    parser.add_argument("--bootstrapped", type=int, default=200, help="studies judged by a bootstrap too; 0 for none")
    parser.add_argument("--few", action="store_true", help="the rows of few seeds, few groups and loud references")
    arguments = parser.parse_args()
    row = make_few_row if arguments.few else partial(make_row, bootstrapped=arguments.bootstrapped)
    print(FEW_HEAD if arguments.few else HEAD)
    for index, (name, world) in enumerate(make_few_worlds() if arguments.few else make_worlds()):
        if arguments.only in name and world.seeds in arguments.seeds and arguments.groups in (0, world.groups):
            print(row(name, world, arguments.studies, 1000 * index), flush=True)


if __name__ == "__main__":
    main()
