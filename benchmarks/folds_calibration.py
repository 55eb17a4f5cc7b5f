"""Whether verdicts over folds hold what they promise, against a t-test that takes folds for independent.

`python -m benchmarks.folds_calibration` takes half an hour; `--studies 50` shows the form, `--looks` looks repeatedly.

Each study draws its data anew: groups of images, each with its own shares of six classes (two rare) and its own shift
of the features, so that some are hard. A model is linear discriminant analysis, trained on the images outside its fold:
what it gets wrong depends on the images that it is trained on, and folds share most of these, so scores of folds are
correlated as those of networks are. A seed moves the trained weights at random. Variants see features of their own, of
one law, in part the same: without a gain they are truly equal, whatever is drawn. Letters: V variants, G groups,
P pixels, D features, C classes, F folds.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.stats.effects import LEVEL, Effect, compare, contrast
from harness.stats.folds import FoldStudy, make_fold_study
from harness.stats.looks import LookHistory
from harness.stats.margins import HEADLINE, Margins
from harness.stats.spread import p_value
from harness.stats.verdicts import CLASS_SEEDS, Verdict, judge

Array = npt.NDArray[np.float64]
Key = tuple[str, str]
"""Variant and measure."""
SCORE: Key = ("v0", HEADLINE)
"""Stands for the mean score of v0 itself."""
SHARES = np.array([0.4, 0.25, 0.2, 0.1, 0.035, 0.015])
"""Of the pixels, each class on average."""
FEATURES = 6
MEAN_CD = np.random.default_rng(7).normal(0, 1, (len(SHARES), FEATURES))
"""Where each class lies; the same in all studies."""
BETTER = (0.02, 0.05)
"""True differences that are looked for."""


@dataclass(frozen=True)
class World:
    """From what the studies of a row are drawn."""

    groups: int = 40
    images: int = 3
    """In each group."""
    pixels: int = 20
    """In each image."""
    shift: float = 0.5
    """Standard deviation of the groups' features, where that of a pixel within its group is 1."""
    alike: float = 0.99
    """Share of both variances that all variants see alike."""
    noise: float = 0.03
    """Standard deviation by which a seed moves each weight, relative to its size."""
    uneven: bool = False
    """Whether the first group holds as many images as a third of all."""
    gains: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    """How much farther apart the classes lie, as each variant sees them."""


WORLDS = {
    "four variants": World(),
    "two variants": World(gains=(0.0, 0.0)),
    "four variants, much training noise": World(noise=0.1),
    "four variants, 15 groups of one image": World(groups=15, images=1),
    "four variants, one group holds a third": World(uneven=True),
    "four variants that differ": World(gains=(0.0, 0.05, -0.05, 0.1)),
}
DIVISIONS = ((3, 3), (5, 5), (10, 10), (5, 10))
"""Folds and seeds: each fold once, and each twice."""
MORE = ((5, 3), (10, 3), (3, 9))
"""Some of the folds, and each three times; in the first world."""


def main() -> None:
    """Print a row for each world, number of folds and number of seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=500, help="studies in each row")
    parser.add_argument("--looks", action="store_true", help="look at equal variants repeatedly")
    parser.add_argument("--only", default="", help="worlds whose name holds this text")
    options = parser.parse_args()
    worlds = {name: world for name, world in WORLDS.items() if options.only in name}
    equal = {name: world for name, world in worlds.items() if not any(world.gains)}
    rows = look_rows(equal, options.studies) if options.looks else rows_of(worlds, options.studies)
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


def rows_of(worlds: dict[str, World], studies: int) -> Iterator[list[str]]:
    """Yield the cells of each row, the heading first."""
    yield [
        *("world", "folds", "seeds", "sd, points", "covers", "independent folds cover", "the score covers"),
        *("false headline", "class table", "independent folds: false headline", "finds 2, 5 points"),
    ]
    yield ["---"] * 11
    for number, (name, world) in enumerate(worlds.items()):
        for folds, seeds in (*DIVISIONS, *(() if number else MORE)):
            generator = np.random.default_rng([number, folds, seeds])
            drawn = [all_effects(draw_study(world, (folds, seeds), generator)) for _ in range(studies)]
            truth = find_truth(drawn, are_equal=not any(world.gains))
            found = [judge_one(effects, truth) for effects in drawn]
            rates = [f"{np.mean([getattr(item, cell) for item in found]):.3f}" for cell in CELLS]
            power = ", ".join(f"{share:.2f}" for share in np.mean([item.finds for item in found], axis=0))
            yield [name, str(folds), str(seeds), f"{100 * np.mean([item.sd for item in found]):.1f}", *rates, power]


@dataclass(frozen=True)
class Judged:
    """What one study says, held against the truth."""

    sd: float
    """Between seeds, of the last variant's difference."""
    covers: list[bool]
    naive_covers: list[bool]
    score_covers: bool
    false_headline: bool
    false_class: bool
    naive_false: bool
    finds: list[bool]
    """Whether the last variant is called better, were it better by each of BETTER."""


CELLS = ("covers", "naive_covers", "score_covers", "false_headline", "false_class", "naive_false")


def find_truth(drawn: Sequence[Mapping[Key, Effect]], *, are_equal: bool) -> dict[Key, float]:
    """Return true differences to v0 by variant and measure, and v0's true score: means; 0 where variants are equal."""
    keys = dict.fromkeys(key for effects in drawn for key in effects)
    means = {key: float(np.mean([effects[key].delta for effects in drawn if key in effects])) for key in keys}
    return {key: 0.0 if are_equal and key != SCORE else mean for key, mean in means.items()}


def all_effects(study: FoldStudy) -> dict[Key, Effect]:
    """Return each variant's difference to v0 on each measure, and the mean score of v0 itself."""
    found = {(name, m): e for name in study.variants[1:] for m, e in compare(study, name, "v0").items()}
    return found | {SCORE: contrast(study, {"v0": 1.0}, only=[HEADLINE])[HEADLINE]}


def judge_one(effects: Mapping[Key, Effect], truth: Mapping[Key, float]) -> Judged:
    """Return what a study says of each difference less its truth, so that any call is false."""
    score = effects[SCORE]
    shifted = {
        key: effect if effect.is_nothing else shift(effect, -truth[key])
        for key, effect in effects.items()
        if key != SCORE
    }
    headlines = {key: effect for key, effect in shifted.items() if key[1] == HEADLINE}
    cells = {key: effect for key, effect in shifted.items() if key[1] != HEADLINE}
    naive = {key: replace(effect, p=naive_p(effect)) for key, effect in headlines.items()}
    last = list(headlines)[-1]
    better = [headlines | {last: shift(headlines[last], gain)} for gain in BETTER]
    return Judged(
        sd=float(np.std(list(effects[last].by_seed.values()), ddof=1)),
        covers=[effect.p >= 1 - LEVEL for effect in headlines.values()],
        naive_covers=[effect.p >= 1 - LEVEL for effect in naive.values()],
        score_covers=bool(score.low <= truth[SCORE] <= score.high),
        false_headline=any_called(judge(headlines, 0.0)),
        false_class=any_called(judge(cells, 0.0, fewest_seeds=CLASS_SEEDS)),
        naive_false=any_called(judge(naive, 0.0)),
        finds=[judge(each, 0.0)[last].outcome == "improved" for each in better],
    )


def look_rows(worlds: dict[str, World], studies: int) -> Iterator[list[str]]:
    """Yield the rows of studies of equal variants that add a seed until something is called, the heading first."""
    yield ["world", "folds", "looks", "false, at the levels of looks", "false, each at 5 %"]
    yield ["---"] * 5
    for number, (name, world) in enumerate(worlds.items()):
        for folds, last in ((5, 5), (5, 10), (10, 10)):
            generator = np.random.default_rng([number, folds, last, 1])
            counts = tuple(range(3, last + 1))
            false = [look_repeatedly(draw_study(world, (folds, last), generator), counts) for _ in range(studies)]
            level, naive = np.mean(false, axis=0)
            yield [name, str(folds), f"3 to {last}, undeclared", f"{level:.3f}", f"{naive:.3f}"]


def look_repeatedly(study: FoldStudy, counts: tuple[int, ...]) -> tuple[bool, bool]:
    """Return whether anything is called at any look of these many seeds: at the looks' levels, and at 5 % each."""
    level, naive, others = False, False, study.variants[1:]
    for place, count in enumerate(counts):
        effects = {name: compare(first_seeds(study, count), name, "v0", only=[HEADLINE])[HEADLINE] for name in others}
        look = LookHistory(counts[: place + 1])
        level |= any_called(judge(effects, 0.0, looks=dict.fromkeys(effects, look)))
        naive |= any_called(judge(effects, 0.0))
    return level, naive


def first_seeds(study: FoldStudy, count: int) -> FoldStudy:
    """Return the study as it was with its first seeds."""
    runs = tuple(run for run in study.runs if run[1] < count)
    return replace(study, runs=runs, seeds=study.seeds[:count], scores_VSM=study.scores_VSM[:, :count])


def any_called(verdicts: Mapping[Any, Verdict]) -> bool:
    """Return whether a study says that anything differs."""
    return any(verdict.outcome in ("improved", "regressed") for verdict in verdicts.values())


def shift(effect: Effect, better: float) -> Effect:
    """Return the effect as if the variant were better by so much."""
    delta = effect.delta + better
    return replace(effect, delta=delta, p=p_value(delta, effect.se, effect.degrees))


def naive_se(effect: Effect) -> float:
    """Return the standard error of the mean over seeds, taken for independent."""
    return float(np.std(list(effect.by_seed.values()), ddof=1) / np.sqrt(len(effect.by_seed)))


def naive_p(effect: Effect) -> float:
    """Return the p-value of Student's paired test."""
    return p_value(effect.delta, naive_se(effect), len(effect.by_seed) - 1)


@dataclass(frozen=True)
class Data:
    """Labelled pixels as each variant sees them."""

    group_P: npt.NDArray[np.int64]
    label_P: npt.NDArray[np.int64]
    seen_VPD: Array


def draw_study(world: World, division: tuple[int, int], generator: np.random.Generator) -> FoldStudy:
    """Return a simulated study of all variants; `division` is the number of folds and of seeds."""
    folds, seeds = division
    data = draw_data(world, generator)
    fold_G = deal(np.bincount(data.group_P, minlength=world.groups), folds, generator)
    found: dict[int, dict[tuple[str, int], npt.NDArray[np.int64]]] = {}
    for fold in range(min(folds, seeds)):
        is_judged_P = fold_G[data.group_P] == fold
        group_P, label_P = data.group_P[is_judged_P], data.label_P[is_judged_P]
        for variant, seen_PD in enumerate(data.seen_VPD):
            weights_CD, bias_C = train(seen_PD[~is_judged_P], data.label_P[~is_judged_P])
            for seed in range(fold, seeds, folds):
                moved_CD = weights_CD * (1 + world.noise * generator.normal(size=weights_CD.shape))
                predicted_P = (seen_PD[is_judged_P] @ moved_CD.T + bias_C).argmax(axis=1)
                counted = count(group_P, label_P, predicted_P, world.groups)[:, fold_G == fold]
                found.setdefault(fold, {})[f"v{variant}", seed] = counted
    by_fold = {fold: make_margins(runs, np.flatnonzero(fold_G == fold)) for fold, runs in found.items()}
    order = tuple((f"v{variant}", seed) for variant in range(len(data.seen_VPD)) for seed in range(seeds))
    return make_fold_study(by_fold, order, folds)


def draw_data(world: World, generator: np.random.Generator) -> Data:
    """Return a data set: labels, and features that are in part the same for all variants."""
    images_G = np.full(world.groups, world.images)
    images_G[0] = world.groups * world.images // 2 if world.uneven else world.images
    group_P = np.repeat(np.arange(world.groups), images_G * world.pixels)
    edges_GC = generator.dirichlet(20 * SHARES, world.groups).cumsum(axis=1)
    label_P = (generator.random((len(group_P), 1)) > edges_GC[group_P, :-1]).sum(axis=1)
    seen = [MEAN_CD[label_P] * (1 + gain) for gain in world.gains]
    for scale, place_P, size in ((world.shift, group_P, world.groups), (1.0, slice(None), len(group_P))):
        common = generator.normal(0, scale * np.sqrt(world.alike), (size, FEATURES))
        own = [generator.normal(0, scale * np.sqrt(1 - world.alike), (size, FEATURES)) for _ in seen]
        seen = [seen_PD + (common + mine)[place_P] for seen_PD, mine in zip(seen, own, strict=True)]
    return Data(group_P, label_P, np.stack(seen))


def deal(pixels_G: npt.NDArray[np.int64], folds: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return each group's fold, as harness.data.subsets.fold deals them: the largest first, to the smallest fold."""
    fold_G, size_F = np.zeros(len(pixels_G), np.int64), np.zeros(folds, np.int64)
    order = generator.permutation(len(pixels_G))
    for group in order[np.argsort(-pixels_G[order], kind="stable")]:
        fold_G[group] = size_F.argmin()
        size_F[fold_G[group]] += pixels_G[group]
    return fold_G


def train(seen_PD: Array, label_P: npt.NDArray[np.int64]) -> tuple[Array, Array]:
    """Return weights and biases of linear discriminant analysis; classes count as if each had one pixel more at 0."""
    one_PC = np.eye(len(SHARES))[label_P]
    pixels_C = one_PC.sum(axis=0) + 1
    mean_CD = one_PC.T @ seen_PD / pixels_C[:, None]
    apart_PD = seen_PD - mean_CD[label_P]
    weights_CD = np.linalg.solve(apart_PD.T @ apart_PD / len(seen_PD), mean_CD.T).T
    return weights_CD, np.log(pixels_C / pixels_C.sum()) - (weights_CD * mean_CD).sum(axis=1) / 2


def count(
    group_P: npt.NDArray[np.int64], label_P: npt.NDArray[np.int64], predicted_P: npt.NDArray[np.int64], groups: int
) -> npt.NDArray[np.int64]:
    """Return hit, predicted and true pixels of each group and class, [3, G, C]."""
    classes = len(SHARES)

    def tally(chosen_P: npt.NDArray[np.int64], kept_P: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        key_P = (group_P * classes + chosen_P)[kept_P]
        return np.bincount(key_P, minlength=groups * classes).reshape(groups, classes).astype(np.int64)

    every_P = np.ones(len(label_P), np.bool_)
    return np.stack([tally(label_P, predicted_P == label_P), tally(predicted_P, every_P), tally(label_P, every_P)])


def make_margins(runs: dict[tuple[str, int], npt.NDArray[np.int64]], groups: npt.NDArray[np.int64]) -> Margins:
    """Return the margins of the runs of one fold, from what `count` returned of its groups."""
    counted_K3GC = np.stack(list(runs.values()))
    return Margins(
        runs=tuple(runs),
        groups=tuple(f"g{group}" for group in groups),
        classes=tuple(f"c{index}" for index in range(len(SHARES))),
        images=len(groups),
        hit_KGC=counted_K3GC[:, 0],
        predicted_KGC=counted_K3GC[:, 1],
        true_GC=counted_K3GC[0, 2],
    )


if __name__ == "__main__":
    main()
