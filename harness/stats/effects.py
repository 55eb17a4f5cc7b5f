"""Differences between variants, paired by seed and image group; intervals speak for new seeds and new images."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from harness.errors import InputError, did_you_mean
from harness.stats.influence import Influence, measure_influence
from harness.stats.margins import Margins, Values, keep_rows, score_runs
from harness.stats.noise import Noise, moderate, pool_noise
from harness.stats.spread import Chosen, Spread, make_spread, p_value, t_interval

LEVEL = 0.95

Scope = Literal["new seeds and images", "these weights", "these images", "these weights on these images"]
"""What an interval speaks for. One seed says nothing about training again, one group nothing about other images."""

SCOPES: Mapping[tuple[bool, bool], Scope] = {
    (True, True): "new seeds and images",
    (False, True): "these weights",
    (True, False): "these images",
    (False, False): "these weights on these images",
}
"""(Several seeds, several groups) -> scope."""


@dataclass(frozen=True)
class Held:
    """The images behind a measure."""

    groups: int
    """Groups that hold at least one of the measure's classes."""
    images: int
    """All images of the split."""
    alone: tuple[str, ...]
    """Classes that one group alone holds: what other images would do to them is guessed from the other classes."""
    sampled: bool
    """Whether any class is held by several groups."""


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
    held: Held
    spread: Spread

    @property
    def is_nothing(self) -> bool:
        """Whether no run and no group shows any difference."""
        return self.se == 0 and not any(self.by_seed.values())

    def interval(self, level: float) -> tuple[float, float]:
        """Return the two-sided interval of a level (fraction); NaN where nothing can be said."""
        return t_interval(self.delta, self.se, self.degrees, level)


@dataclass(frozen=True)
class Study:
    """What all effects of a study are computed from; made once."""

    margins: Margins
    variants: tuple[str, ...]
    seeds: tuple[int, ...]
    scores_VSM: Values
    """NaN where a variant lacks a seed, and for a class without true pixels."""
    influence: Influence
    noise: Noise
    averaged_C: Chosen
    """The classes whose mean is measure 0."""

    @cached_property
    def row_of(self) -> Mapping[tuple[str, int], int]:
        """Return variant and seed -> place among the runs."""
        return {run: row for row, run in enumerate(self.margins.runs)}


def make_study(margins: Margins) -> Study:
    """Return the scores, influences and pooled training noise of a study's runs."""
    variants = tuple(dict.fromkeys(variant for variant, _ in margins.runs))
    seeds = tuple(sorted({seed for _, seed in margins.runs}))
    scores_VSM = np.full((len(variants), len(seeds), len(margins.measures)), np.nan)
    for (variant, seed), scores_M in zip(margins.runs, score_runs(margins), strict=True):
        scores_VSM[variants.index(variant), seeds.index(seed)] = scores_M
    defined_C = np.flatnonzero(margins.true_GC.any(axis=0))
    return Study(margins, variants, seeds, scores_VSM, measure_influence(margins), pool_noise(scores_VSM), defined_C)


def keep_runs(study: Study, rows: Sequence[int]) -> Study:
    """Return the study as it would be if only some of its runs, by their place, had been made."""
    return make_study(keep_rows(study.margins, rows))


def over_classes(study: Study, names: Collection[str]) -> Study:
    """Return the study with the mean IoU of some classes, which must occur in the truth, in place of miou_dataset.

    Its noise between seeds is pooled over pairs of variants like that of miou_dataset. The loudness of a contrast is
    measured on all classes as before: the mean of few classes says little of it.
    """
    averaged_C = np.array([study.margins.classes.index(name) for name in names])
    scores_VSM = study.scores_VSM.copy()
    scores_VSM[:, :, 0] = scores_VSM[:, :, 1 + averaged_C].mean(axis=2)
    return replace(study, scores_VSM=scores_VSM, noise=pool_noise(scores_VSM), averaged_C=averaged_C)


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
    seeds = _common_seeds(study, tuple(weights))
    columns = [study.seeds.index(seed) for seed in seeds]
    rows = [study.variants.index(name) for name in weights]
    weight_V = np.array(list(weights.values()), np.float64)
    scores_SM = np.einsum("v,vsm->sm", weight_V, study.scores_VSM[np.ix_(rows, columns)])
    moves_SGC = _weighted_moves(study, weights, seeds)
    noise = moderate(study.noise, scores_SM, float(weight_V @ weight_V))
    defined_C = np.flatnonzero(study.margins.true_GC.any(axis=0))
    effects = {}
    for index, measure in enumerate(study.margins.measures):
        chosen_C = study.averaged_C if index == 0 else defined_C[defined_C == index - 1]
        if len(chosen_C) and (only is None or measure in only):
            values_S, moves = scores_SM[:, index], moves_SGC[:, :, chosen_C] / len(chosen_C)
            between = (float(noise.variance_M[index]), noise.degrees, float(noise.own_M[index]))
            spread = make_spread(moves, between, study.influence, chosen_C)
            by_seed = dict(zip(seeds, values_S.tolist(), strict=True))
            effects[measure] = _make_effect(measure, weights, by_seed, spread, _held(study, chosen_C))
    return effects


def _common_seeds(study: Study, names: tuple[str, ...]) -> tuple[int, ...]:
    for name in names:
        if name not in study.variants:
            raise InputError(f"no variant '{name}' with counts; {did_you_mean(name, study.variants)}")
    seeds = tuple(seed for seed in study.seeds if all((name, seed) in study.row_of for name in names))
    if not seeds:
        raise InputError(f"{', '.join(names)} have no finished seed in common, so they cannot be compared")
    return seeds


def _weighted_moves(study: Study, weights: Mapping[str, float], seeds: tuple[int, ...]) -> Values:
    """Return how much each group moves the contrast of class IoUs within each seed, [S, G, C]."""
    moves_KGC = study.influence.moves_KGC
    return np.stack(
        [
            np.sum([weight * moves_KGC[study.row_of[name, seed]] for name, weight in weights.items()], axis=0)
            for seed in seeds
        ]
    )


def _held(study: Study, chosen_C: Chosen) -> Held:
    held_GC = study.margins.true_GC[:, chosen_C] > 0
    alone = chosen_C[held_GC.sum(axis=0) == 1]
    return Held(
        groups=int(held_GC.any(axis=1).sum()),
        images=study.margins.images,
        alone=tuple(study.margins.classes[c] for c in alone),
        sampled=len(alone) < len(chosen_C),
    )


def _make_effect(
    measure: str, weights: Mapping[str, float], by_seed: Mapping[int, float], spread: Spread, held: Held
) -> Effect:
    scope = SCOPES[len(by_seed) > 1, held.sampled]
    se = math.nan if scope == "these weights on these images" else spread.se
    delta, degrees = float(np.mean(list(by_seed.values()))), spread.degrees
    low, high = t_interval(delta, se, degrees, LEVEL)
    return Effect(
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
        held=held,
        spread=spread,
    )
