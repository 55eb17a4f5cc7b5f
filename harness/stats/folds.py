"""Studies whose seeds validate on folds of the data: what a mean over folds is worth.

Each seed is judged on a fold of its own and trained on the others, so two seeds share most of their training images,
and each is judged on what the other is trained on: their scores are correlated, and no estimate of that correlation
from the same folds is unbiased (Bengio and Grandvalet 2004). Nadeau and Bengio (2003, Machine Learning 52) set it to
n_test / (n_test + n_train), which gives the mean of J differences the variance

    (1 / J + n_test / n_train) s^2

with s^2 between the differences and J - 1 degrees of freedom. Of K folds, n_test / n_train is 1 / (K - 1): of images,
because that is what folds are made even in. Seeds beyond the folds repeat folds with other training noise and the same
data, so a fold, not a seed, is the unit: seeds are averaged within their fold, s^2 is between the folds' means, and the
degrees of freedom are the folds' less one (Bouckaert and Frank 2004 count repetitions, which draw folds anew; here the
division is fixed). With folds that have r_f of J seeds, 1 / J becomes the sum of (r_f / J)^2, the squared weights that
the folds have in the mean over seeds.

What varies from fold to fold holds training noise, the images that are judged and those that are trained on
(Bouthillier et al. 2021), so nothing else is added. Letters: those of `harness.stats.margins`, F folds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.records import Counts
from harness.stats.effects import Estimate, EvaluatedImages, Scope, Study, make_study, score_table
from harness.stats.looks import FEWEST_FOLDS
from harness.stats.margins import Margins, RunKey, Values, keep_runs, score_runs, sum_margins
from harness.stats.noise import ROUNDING
from harness.stats.spread import Chosen, Spread


@dataclass(frozen=True)
class FoldSpread(Spread):
    """The variance of a mean over seeds that validate on folds; all of it is `training_variance`."""

    fold_variance: float
    """Between the means of the folds."""
    seeds_by_fold: tuple[int, ...]
    """Of the folds that have a seed, how many each has."""
    all_folds: int

    @property
    def folds(self) -> int:
        """Return the number of folds that have a seed."""
        return len(self.seeds_by_fold)

    @property
    def most_seeds(self) -> float:
        """Return the seeds with which every fold has one: what repeating folds adds is not foretold."""
        return self.seeds + self.all_folds - self.folds

    def planned(self, seeds: int, images: float) -> FoldSpread:
        """Return what to expect of this many seeds, `most_seeds` at most; `images` changes nothing.

        The new ones are on folds that have none, as `harness.spec.lint_power.add_seeds` chooses them.
        """
        new = (1,) * (seeds - self.seeds)
        return _make_spread(self.fold_variance, (*self.seeds_by_fold, *new), self.all_folds)


def make_fold_spread(values_S: Values, fold_S: npt.NDArray[np.int64], all_folds: int) -> FoldSpread:
    """Return the spread of the mean over seeds of their values, each of which is of one of `all_folds` folds."""
    # A fold is the unit: seeds on the same fold share its data, and only their training noise averages out.
    numbers, place_S, seeds_F = np.unique(fold_S, return_inverse=True, return_counts=True)
    mean_F = np.bincount(place_S, weights=values_S) / seeds_F
    variance = float(mean_F.var(ddof=1)) if len(numbers) > 1 else 0.0
    variance = 0.0 if variance < ROUNDING else variance
    return _make_spread(variance, tuple(seeds_F.tolist()), all_folds)


def _make_spread(variance: float, seeds_by_fold: tuple[int, ...], all_folds: int) -> FoldSpread:
    # Nadeau and Bengio's correction, n_test / n_train = 1 / (K - 1), added to the squared weights of the folds' means.
    seeds = sum(seeds_by_fold)
    of_mean = (sum((number / seeds) ** 2 for number in seeds_by_fold) + 1 / (all_folds - 1)) * variance
    return FoldSpread(
        seeds=seeds,
        seed_variance=of_mean * seeds,
        seed_degrees=len(seeds_by_fold) - 1,
        own_seed_variance=of_mean * seeds,
        group_variance=0.0,
        group_degrees=0.0,
        shared_variance=0.0,
        fold_variance=variance,
        seeds_by_fold=seeds_by_fold,
        all_folds=all_folds,
    )


@dataclass(frozen=True)
class FoldStudy(Study):
    """A study whose seeds validate on folds: seed s on fold s modulo the number of folds."""

    by_fold: Mapping[int, Margins]
    """The runs of the seeds that validate on each fold."""
    all_folds: int

    def estimate(self, weights: Mapping[str, float], seeds: tuple[int, ...], scores_SM: Values) -> Estimate:
        """Return the corrected variance over folds, of each measure over the folds whose truth holds it."""
        fold_S = np.array(seeds) % self.all_folds

        def of(index: int, chosen_C: Chosen) -> tuple[Spread, EvaluatedImages, Scope]:
            known_S = ~np.isnan(scores_SM[:, index])
            spread = make_fold_spread(scores_SM[known_S, index], fold_S[known_S], self.all_folds)
            folds = [self.by_fold[number] for number in np.unique(fold_S[known_S]).tolist()]
            groups = {fold.groups[g] for fold in folds for g in np.flatnonzero(fold.true_GC[:, chosen_C].any(axis=1))}
            images = sum(fold.images for fold in folds)
            evaluated = EvaluatedImages(len(groups), images, (), spread.folds, self.all_folds)
            scope: Scope = "new seeds and data" if spread.folds >= FEWEST_FOLDS else "these folds"
            return spread, evaluated, scope

        return of

    def keep(self, runs: Collection[RunKey]) -> FoldStudy:
        """Return the study of some of the runs."""
        by_fold = {fold: keep_runs(margins, runs) for fold, margins in self.by_fold.items()}
        by_fold = {fold: margins for fold, margins in by_fold.items() if margins.runs}
        return make_fold_study(by_fold, tuple(run for run in self.runs if run in runs), self.all_folds)


def study_of(counts: Mapping[RunKey, Counts], split: str, folds: int | None) -> Study:
    """Return the study of one split of runs whose data are divided into `folds`; None where they are not.

    Folds divide train and val: on a test split all seeds share their images, and are crossed with them.

    Raises:
        InputError: no run, or runs that should have been judged on the same pixels were not.
    """
    if folds is None or split != "val":
        return make_study(sum_margins(counts))
    # Each fold has images of its own, so counts can be compared within a fold alone.
    numbers = sorted({seed % folds for _, seed in counts})
    by_fold = {
        number: sum_margins({run: item for run, item in counts.items() if run[1] % folds == number})
        for number in numbers
    }
    return make_fold_study(by_fold, tuple(counts), folds)


def make_fold_study(by_fold: Mapping[int, Margins], runs: tuple[RunKey, ...], all_folds: int) -> FoldStudy:
    """Return the scores of a study's runs, in the order given; each fold has those of the seeds that validate on it."""
    found: dict[RunKey, Values] = {}
    for margins in by_fold.values():
        found |= dict(zip(margins.runs, score_runs(margins), strict=True))
    variants, seeds, scores_VSM = score_table({run: found[run] for run in runs})
    return FoldStudy(
        runs=runs,
        classes=next(iter(by_fold.values())).classes,
        variants=variants,
        seeds=seeds,
        scores_VSM=scores_VSM,
        averaged_C=np.flatnonzero(~np.isnan(scores_VSM[:, :, 1:]).all(axis=(0, 1))),
        by_fold=by_fold,
        all_folds=all_folds,
    )
