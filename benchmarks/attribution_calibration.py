"""Does attribution keep its promise? Simulated factorial studies with known truth.

Run: `python -m benchmarks.attribution_calibration`. Two or three components, all combinations, several seeds and groups
(`benchmarks.simulated_counts`). A row gives, for each kind of effect, how often its nominal 95 % interval held the
truth, and in how many studies any main effect, any interaction was called falsely, judged against the truth: each alone
and after Holm.
"""

from __future__ import annotations

import argparse
import itertools
from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from benchmarks.calibration import CALLED, shift
from benchmarks.simulated_counts import World, draw_margins, true_iou
from harness.stats.attribution import Attribution, On, attribute
from harness.stats.effects import Effect, make_study
from harness.stats.margins import HEADLINE
from harness.stats.verdicts import judge

GAIN = {"a": 0.3, "b": -0.2, "c": 0.0}
TOGETHER_GAIN = 0.25
"""What a and b add when both are on (logits)."""
LOUD = (("all alike", 1.0), ("all on: twice as noisy", 2.0))
KINDS = ("total", "main", "interaction", "shapley", "bracket")
FAMILIES = ("main", "interaction")
COLUMNS = (*KINDS, *(f"{kind}, {how}" for kind in FAMILIES for how in ("alone", "Holm")))


def make_combinations(components: str) -> dict[On, str]:
    """Return combination -> name of its variant, in the order of `benchmarks.simulated_counts`."""
    sets = [frozenset(on) for size in range(len(components) + 1) for on in itertools.combinations(components, size)]
    return {on: f"v{index}" for index, on in enumerate(sets)}


def make_world(components: str, seeds: int, groups: int, noise: float, loud: float) -> World:
    """Return the world of a factorial study; the variant with all components on is `loud` times as noisy."""
    combinations = make_combinations(components)
    gains = tuple(sum(GAIN[name] for name in on) + TOGETHER_GAIN * ({"a", "b"} <= on) for on in combinations)
    loudness = (1.0,) * (len(gains) - 1) + (loud,)
    return World(seeds, groups, noise, loudness=loudness, gains=gains)


def simulate(components: str, world: World, studies: int, seed: int) -> dict[str, list[bool]]:
    """Return kind of effect -> whether each interval held the truth; kind of family -> whether a study called any."""
    generator = np.random.default_rng(seed)
    truth_VC = true_iou(world, generator)
    combinations = make_combinations(components)
    found: dict[str, list[bool]] = defaultdict(list)
    for _ in range(studies):
        margins = draw_margins(world, generator)
        present = np.flatnonzero(margins.true_GC.any(axis=0))
        shifted: dict[str, dict[str, Effect]] = defaultdict(dict)
        for kind, effect in _effects(attribute(make_study(margins), combinations, HEADLINE)):
            truth = sum(weight * truth_VC[int(name[1:]), present].mean() for name, weight in effect.weights.items())
            found[kind].append(bool(effect.low <= truth <= effect.high))
            shifted[kind][str(len(shifted[kind]))] = shift(effect, truth)
        for kind in FAMILIES:
            effects = shifted[kind]
            found[f"{kind}, alone"].append(any(effect.p <= 0.05 for effect in effects.values()))
            verdicts = judge(effects, 0.0).values()
            found[f"{kind}, Holm"].append(any(verdict.outcome in CALLED for verdict in verdicts))
    return found


def _effects(found: Attribution) -> Iterator[tuple[str, Effect]]:
    if found.total is not None:
        yield "total", found.total
    yield from (("main", effect) for effect in found.main.values())
    yield from (("interaction", effect) for effect in found.interactions.values())
    yield from (("shapley", effect) for effect in found.shapley.values())
    yield from (("bracket", side) for bracket in found.brackets.values() for side in (bracket.few, bracket.many))


def main() -> None:
    """Print the table, row by row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=500, help="simulated studies for each row")
    parser.add_argument("--components", default="ab,abc", help="of each study, a letter each")
    arguments = parser.parse_args()
    print(f"| components | seeds | groups | training noise | variants | {' | '.join(COLUMNS)} |\n{'|---' * 14}|")
    rows = itertools.product(arguments.components.split(","), (3, 5), (20, 100), (0.02, 0.3), LOUD)
    for index, (components, seeds, groups, noise, (word, loud)) in enumerate(rows):
        covered = simulate(components, make_world(components, seeds, groups, noise, loud), arguments.studies, index)
        cells = [str(len(components)), str(seeds), str(groups), str(noise), word]
        print(f"| {' | '.join([*cells, *(f'{np.mean(covered[kind]):.3f}' for kind in COLUMNS)])} |", flush=True)


if __name__ == "__main__":
    main()
