"""Differences between variants, paired by seed and image group; intervals speak for new seeds and new images.

How sure a difference is depends on the images that its seeds share: those of a `CrossedStudy` are judged on the same
ones, those of `harness.stats.folds` on folds of their own.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, TypeVar

import numpy as np

from harness.errors import InputError, did_you_mean
from harness.scores import divide_where
from harness.stats.influence import Influence, measure_influence
from harness.stats.margins import HEADLINE, Margins, RunKey, Values, keep_runs, score_runs
from harness.stats.noise import Noise, moderate, pool_noise
from harness.stats.spread import Chosen, Spread, make_spread, p_value, t_interval

LEVEL = 0.95

Scope = Literal[
    "new seeds and images",
    "new seeds and data",
    "these weights",
    "these images",
    "these weights on these images",
    "these folds",
]
"""What an interval speaks for. One seed says nothing about training again, one group nothing about other images. Data:
the images that are trained on and those that are judged, both drawn anew, which folds alone can speak for; fewer than
three folds cannot."""
JUDGED: Collection[Scope] = ("new seeds and images", "new seeds and data")
"""Scopes that a verdict may rest on."""

SCOPES: Mapping[tuple[bool, bool], Scope] = {
    (True, True): "new seeds and images",
    (False, True): "these weights",
    (True, False): "these images",
    (False, False): "these weights on these images",
}
"""(Several seeds, several groups) -> scope."""


@dataclass(frozen=True)
class EvaluatedImages:
    """The images behind a measure."""

    groups: int
    """Groups that hold at least one of the measure's classes."""
    images: int
    """All images of the split."""
    alone: tuple[str, ...]
    """Classes that one group alone holds: what other images would do to them is guessed from the other classes."""
    folds: int | None = None
    """Folds that hold any of the classes, each judged with seeds of its own; None where seeds share their images."""
    all_folds: int | None = None
    """Folds that the data are divided into."""


@dataclass(frozen=True)
class Effect:
    """A linear contrast of variants on one measure, with its 95 % interval and two-sided p-value (fractions)."""

    measure: str
    """`miou_dataset` or the name of a class, whose IoU it is."""
    weights: Mapping[str, float]
    """Weight of each variant; they sum to 0. A variant of weight 0 has its seeds required, no more."""
    delta: float
    se: float
    degrees: float
    low: float
    high: float
    p: float
    scope: Scope
    by_seed: Mapping[int, float]
    """The effect within each seed."""
    evaluated: EvaluatedImages
    spread: Spread

    @property
    def is_nothing(self) -> bool:
        """Whether no run and no group shows any difference."""
        return self.se == 0 and not any(self.by_seed.values())

    def interval(self, level: float) -> tuple[float, float]:
        """Return the two-sided interval of a level (fraction); NaN where nothing can be said."""
        return t_interval(self.delta, self.se, self.degrees, level)


AnyStudy = TypeVar("AnyStudy", bound="Study")
Estimate = Callable[[int, Chosen], tuple[Spread, EvaluatedImages, Scope]]
"""Index of a measure, and the classes behind it -> how sure a contrast of it is, and what that speaks for."""


@dataclass(frozen=True)
class Study(ABC):
    """What all effects of a study are computed from; made once."""

    runs: tuple[RunKey, ...]
    classes: tuple[str, ...]
    variants: tuple[str, ...]
    seeds: tuple[int, ...]
    scores_VSM: Values
    """NaN where a variant lacks a seed, and for a class without true pixels."""
    averaged_C: Chosen
    """The classes whose mean is measure 0."""

    @abstractmethod
    def estimate(self, weights: Mapping[str, float], seeds: tuple[int, ...], scores_SM: Values) -> Estimate:
        """Return what tells how sure a contrast is, made from its weights, its seeds and its value within each seed."""

    @abstractmethod
    def keep(self, runs: Collection[RunKey]) -> Study:
        """Return the study as it would be if only some of its runs had been made."""

    @property
    def measures(self) -> tuple[str, ...]:
        """Return the names of the measures, in the order of the letter M."""
        return (HEADLINE, *self.classes)

    @cached_property
    def row_of(self) -> Mapping[RunKey, int]:
        """Return variant and seed -> place among the runs."""
        return {run: row for row, run in enumerate(self.runs)}

    @cached_property
    def occurring_C(self) -> Chosen:
        """Return the classes with true pixels."""
        return np.flatnonzero(~np.isnan(self.scores_VSM[:, :, 1:]).all(axis=(0, 1)))


@dataclass(frozen=True)
class CrossedStudy(Study):
    """A study whose runs were all judged on the same images."""

    margins: Margins
    influence: Influence

    @cached_property
    def noise(self) -> Noise:
        """Return the training noise, pooled over pairs of variants."""
        return pool_noise(self.scores_VSM)

    def estimate(self, weights: Mapping[str, float], seeds: tuple[int, ...], scores_SM: Values) -> Estimate:
        """Return the crossed analysis of seeds and image groups, with the training noise of all variants."""
        # The noise is moderated once for all measures: how loud a contrast is, all its classes tell together.
        moves_SGC = _weighted_moves(self, weights, seeds)
        noise = moderate(self.noise, scores_SM, sum(weight**2 for weight in weights.values()))

        def of(index: int, chosen_C: Chosen) -> tuple[Spread, EvaluatedImages, Scope]:
            moves = moves_SGC[:, :, chosen_C] / len(chosen_C)
            between = (float(noise.variance_M[index]), noise.degrees, float(noise.own_M[index]))
            true_GC = self.margins.true_GC[:, chosen_C] > 0
            alone = tuple(self.classes[c] for c in chosen_C[true_GC.sum(axis=0) == 1])
            evaluated = EvaluatedImages(int(true_GC.any(axis=1).sum()), self.margins.images, alone)
            scope = SCOPES[len(seeds) > 1, len(alone) < len(chosen_C)]
            return make_spread(moves, between, self.influence, chosen_C), evaluated, scope

        return of

    def keep(self, runs: Collection[RunKey]) -> CrossedStudy:
        """Return the study of some of the runs."""
        return make_study(keep_runs(self.margins, runs))


def score_table(scores: Mapping[RunKey, Values]) -> tuple[tuple[str, ...], tuple[int, ...], Values]:
    """Return variants, seeds and the scores of each run, [M], as one table [V, S, M]; NaN where a seed is lacking."""
    variants = tuple(dict.fromkeys(variant for variant, _ in scores))
    seeds = tuple(sorted({seed for _, seed in scores}))
    scores_VSM = np.full((len(variants), len(seeds), len(next(iter(scores.values())))), np.nan)
    for (variant, seed), scores_M in scores.items():
        scores_VSM[variants.index(variant), seeds.index(seed)] = scores_M
    return variants, seeds, scores_VSM


def make_study(margins: Margins) -> CrossedStudy:
    """Return the scores and influences of a study's runs, which were judged on the same images."""
    variants, seeds, scores_VSM = score_table(dict(zip(margins.runs, score_runs(margins), strict=True)))
    return CrossedStudy(
        runs=margins.runs,
        classes=margins.classes,
        variants=variants,
        seeds=seeds,
        scores_VSM=scores_VSM,
        averaged_C=np.flatnonzero(margins.true_GC.any(axis=0)),
        margins=margins,
        influence=measure_influence(margins),
    )


def over_classes(study: AnyStudy, names: Collection[str]) -> AnyStudy:
    """Return the study with the mean IoU of some classes, which must occur in the truth, in place of miou_dataset.

    Its noise between seeds is pooled over pairs of variants like that of miou_dataset. The loudness of a contrast is
    measured on all classes as before: the mean of few classes says little of it. With folds, the mean is over the
    classes that the fold's truth holds.
    """
    averaged_C = np.array([study.classes.index(name) for name in names])
    scores_VSM = study.scores_VSM.copy()
    chosen_VSC = scores_VSM[:, :, 1 + averaged_C]
    known_VS = (~np.isnan(chosen_VSC)).sum(axis=2)
    scores_VSM[:, :, 0] = divide_where(known_VS, np.nansum(chosen_VSC, axis=2), known_VS)
    return replace(study, scores_VSM=scores_VSM, averaged_C=averaged_C)


def compare(study: Study, variant: str, reference: str, *, only: Collection[str] | None = None) -> dict[str, Effect]:
    """Return, for each measure (or `only` some), `variant - reference`, paired by the seeds that both have.

    Raises:
        InputError: a variant is not in the study, the two are one, or they have no seed in common.
    """
    if variant == reference:
        raise InputError(f"'{variant}' cannot be compared with itself; name two variants")
    return contrast(study, {variant: 1.0, reference: -1.0}, only=only)


def contrast(study: Study, weights: Mapping[str, float], *, only: Collection[str] | None = None) -> dict[str, Effect]:
    """Return, for each measure (or `only` some), the weighted sum of the variants' scores over their common seeds.

    `weights` sum to 0. A measure that nothing defines (a class without true pixels) is left out.

    Raises:
        InputError: a variant is not in the study, or no seed is common to all.
    """
    # Paired: only seeds that all variants have, so that what a seed does to all of them alike cancels.
    seeds = _common_seeds(study, tuple(weights))
    columns = [study.seeds.index(seed) for seed in seeds]
    rows = [study.variants.index(name) for name in weights]
    weight_V = np.array(list(weights.values()), np.float64)
    scores_SM = np.einsum("v,vsm->sm", weight_V, study.scores_VSM[np.ix_(rows, columns)])
    estimate = study.estimate(weights, seeds, scores_SM)
    effects = {}
    for index, measure in enumerate(study.measures):
        # Measure 0 is the mean over several classes; each other measure is one class.
        chosen_C = study.averaged_C if index == 0 else study.occurring_C[study.occurring_C == index - 1]
        values = zip(seeds, scores_SM[:, index].tolist(), strict=True)
        by_seed = {seed: value for seed, value in values if not math.isnan(value)}
        if not by_seed or (only is not None and measure not in only):
            continue
        spread, evaluated, scope = estimate(index, chosen_C)
        # One seed on one group says nothing of anything new, and too few folds nothing of new data.
        se = math.nan if scope in ("these weights on these images", "these folds") else spread.se
        delta, degrees = float(np.mean(list(by_seed.values()))), spread.degrees
        low, high = t_interval(delta, se, degrees, LEVEL)
        effects[measure] = Effect(
            measure=measure,
            weights=dict(weights),
            delta=delta,
            se=se,
            degrees=degrees,
            low=low,
            high=high,
            p=p_value(delta, se, degrees),
            scope=scope,
            by_seed=by_seed,
            evaluated=evaluated,
            spread=spread,
        )
    return effects


def _common_seeds(study: Study, names: tuple[str, ...]) -> tuple[int, ...]:
    for name in names:
        if name not in study.variants:
            raise InputError(f"no variant '{name}' with counts; {did_you_mean(name, study.variants)}")
    seeds = tuple(seed for seed in study.seeds if all((name, seed) in study.row_of for name in names))
    if not seeds:
        raise InputError(f"{', '.join(names)} have no finished seed in common, so they cannot be compared")
    return seeds


def _weighted_moves(study: CrossedStudy, weights: Mapping[str, float], seeds: tuple[int, ...]) -> Values:
    """Return how much each group moves the contrast of class IoUs within each seed, [S, G, C]."""
    moves_KGC = study.influence.moves_KGC
    return np.stack(
        [
            np.sum([weight * moves_KGC[study.row_of[name, seed]] for name, weight in weights.items()], axis=0)
            for seed in seeds
        ]
    )
