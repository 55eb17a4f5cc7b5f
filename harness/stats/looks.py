"""Verdicts that hold however often one looks: the error of a comparison is spent over the looks at it.

A look is a set of complete seeds of a comparison that was judged. With each look the chance of a false call grows, so
each spends a stated part of the error alpha (Lan and DeMets 1983), and the level of a look is what makes the chance of
a first false call there equal to its part. Estimates at successive looks are correlated as sums of independent seeds
are (Armitage, McPherson and Rowe 1969): images do not become more, which makes the levels careful. The test at each
look is Student's; its level is the normal's (Jennison and Turnbull 2000, ch. 4.4).

Declared looks spend alpha t^1.5 by the share t of the last look's seeds. Without a declaration the first look spends
0.8 alpha, and later ones share the rest, evenly by their seeds, up to ten.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import interpolate, optimize, special

Spending = Callable[[float], float]
"""Share of the last look's seeds -> share of alpha that is spent by then."""
DECLARED_POWER = 1.5
FIRST_SHARE = 0.8
"""Of alpha, at the first look of a study that declares none."""
LAST_SEEDS = 10
"""Seeds at which an undeclared study has spent all; twice those of its first look where that had as many."""
POINTS = 201
"""Of the grid on which the distribution of what is not called yet is carried from look to look; odd, for Simpson."""
FEWEST_SEEDS = 2
"""Of a pair of variants, below which nothing can be called: with fewer they were not looked at."""
FEWEST_FOLDS = 3
"""Of data that are divided into folds, below which nothing is called: two have one degree of freedom."""
NOTHING = 1e-9
"""Share of alpha below which nothing is left to spend, but the rounding of sums."""
ALPHAS: tuple[float, ...] = tuple(np.geomspace(1e-8, 0.98, 60).tolist())
"""Errors at which levels are worked out; between them they are interpolated, in the logarithm."""


@dataclass(frozen=True)
class TakenLook:
    """A recorded look at a study, as far as its runs are in the plan that is reported."""

    complete: Mapping[str, Mapping[int, str]]
    """Variant -> seed of a run that was complete -> digest of its counts; empty where that was not recorded."""
    is_whole: bool = True
    """Whether it can be judged again as it was: all its runs are in the plan, with the results that they had then."""

    def common(self, variants: Collection[str]) -> frozenset[int]:
        """Return the seeds that all of some variants had."""
        found = [self.complete.get(name, {}).keys() for name in variants]
        return frozenset(found[0]).intersection(*found[1:])


Taken = tuple[TakenLook, ...]
"""The recorded looks at a study, the earliest first."""


@dataclass(frozen=True)
class LookHistory:
    """A look at a comparison, and all before it."""

    counts: tuple[int, ...]
    """Seeds that had been looked at by the end of every look so far, this one last; ascending."""
    declared: tuple[int, ...] = ()
    """Seeds of the looks that the study declares; empty where it declares none."""
    missing: tuple[int, ...] = ()
    """Seeds that were seen before and are left out now, ascending: with any, nothing is called at this look."""

    @property
    def last(self) -> int:
        """Return the number of seeds at which all error is spent."""
        if self.declared:
            return self.declared[-1]
        return LAST_SEEDS if self.counts[0] < LAST_SEEDS else 2 * self.counts[0]

    def level(self, alpha: float) -> float:
        """Return the level of this look: two-sided, where `alpha` is spent on all looks; 0 where none of it is left."""
        return _levels(self.counts, self.declared, self.last, alpha)[-1]

    def adjusted(self, p: float) -> float:
        """Return the smallest alpha at which a p-value is called at this look; 1 where hardly any would do."""
        if not 0 < p < 1:
            return p
        curve = _curve(self)
        if curve is None or p >= self.level(ALPHAS[-1]):
            return 1.0
        return max(math.exp(float(curve(math.log(p)))), p)

    @property
    def later(self) -> tuple[int, ...]:
        """Return the seeds at which looks may follow; none where the last is past."""
        chosen = self.declared or range(self.last + 1)
        return tuple(count for count in chosen if count > self.counts[-1])

    def after(self, seeds: int) -> LookHistory:
        """Return the look at more seeds that follows this one."""
        return LookHistory((*self.counts, seeds), self.declared)


@dataclass(frozen=True)
class LookSchedule:
    """The looks at a study: those that it declares, and those that were taken and recorded."""

    declared: tuple[int, ...] = ()
    """Seeds at each, ascending; empty where the study declares none."""
    taken: Taken = ()
    folds: int | None = None
    """Into which the judged data are divided; None where seeds share their images."""

    def can_call(self, seeds: Collection[int]) -> bool:
        """Tell whether anything can be called from some common seeds of variants: if not, they were not looked at."""
        if self.folds is not None:
            return len({seed % self.folds for seed in seeds}) >= FEWEST_FOLDS
        return len(seeds) >= FEWEST_SEEDS

    def seen(self, variants: Collection[str], before: int | None = None) -> tuple[frozenset[int], ...]:
        """Return the seeds of some variants seen by each recorded look that saw new ones, of the first `before`."""
        found: tuple[frozenset[int], ...] = ()
        for look in self.taken[:before]:
            seeds, earlier = look.common(variants), found[-1] if found else frozenset()
            if self.can_call(seeds) and not seeds <= earlier:
                found = (*found, earlier | seeds)
        return found

    def at(self, variants: Collection[str], seeds: Collection[int], before: int | None = None) -> LookHistory:
        """Return the look at some complete seeds of some variants, after recorded looks (the first `before`) at them.

        Only new seeds make another look, and what counts is how many different ones were seen by then. Seeds that were
        all seen before are no other look than the one that saw the last of them.
        """
        seen = self.seen(variants, before)
        now = frozenset(seeds).union(*seen[-1:])
        return LookHistory(tuple(dict.fromkeys((*map(len, seen), len(now)))), self.declared)


def look_levels(shares: tuple[float, ...], alpha: float, spend: Spending) -> tuple[float, ...]:
    """Return the two-sided level of each look, where looks lie at ascending shares of the last look's seeds.

    A look at which nothing is left to spend has level 0. Numerical integration of the density of what was not called
    before (Armitage, McPherson and Rowe 1969), by Simpson's rule.
    """
    # The running sum of the data is a Brownian motion observed at the looks. `place` and `weight` hold the density of
    # where it is, for the paths that no look has called so far; before the first look it stands at 0.
    simpson = np.r_[1.0, np.tile([4.0, 2.0], (POINTS - 3) // 2), 4.0, 1.0] / 3
    place, weight, before, spent = np.zeros(1), np.ones(1), 0.0, 0.0
    levels = []
    for share in shares:
        # The error that this look may spend: what the spending function allows by now, less what is spent.
        part = alpha * spend(min(share, 1.0)) - spent
        if part <= NOTHING * alpha:
            levels.append(0.0)
            continue
        step, root = math.sqrt(share - before), math.sqrt(share)
        # The bound is where that much of the density crosses; paths within it go on to the next look.
        bound = _find_bound(place, weight, (step, root), part)
        levels.append(2 * float(special.ndtr(-bound)))
        # Move the density on by one step (convolution with the normal step), on Simpson's nodes within the bound.
        new = np.linspace(-bound * root, bound * root, POINTS)
        density = np.exp(-(((new[:, None] - place) / step) ** 2) / 2) / (step * math.sqrt(2 * math.pi))
        weight = (density @ weight) * simpson * (new[1] - new[0])
        place, before, spent = new, share, spent + part
    return tuple(levels)


def _find_bound(
    place: npt.NDArray[np.float64], weight: npt.NDArray[np.float64], scale: tuple[float, float], part: float
) -> float:
    """Return the standard score that a path not called so far crosses at this look with probability `part`.

    `place` and `weight` are the density of such paths at the look before, `scale` the standard deviations of the step
    from there to here, and of the whole path.
    """
    step, root = scale

    def lacking(bound: float) -> float:
        crossed = special.ndtr((place - bound * root) / step) + special.ndtr((-bound * root - place) / step)
        return float(weight @ crossed) - part

    bound: float = optimize.brentq(lacking, 1e-6, 12.0)
    return bound


@cache
def _levels(counts: tuple[int, ...], declared: tuple[int, ...], last: int, alpha: float) -> tuple[float, ...]:
    first = counts[0] / last

    def spend(share: float) -> float:
        if declared:
            return math.pow(share, DECLARED_POWER)
        return FIRST_SHARE + (1 - FIRST_SHARE) * (share - first) / (1 - first)

    return look_levels(tuple(count / last for count in counts), alpha, spend)


@cache
def _curve(look: LookHistory) -> Callable[[float], npt.NDArray[np.float64]] | None:
    """Return log level -> log alpha at a look; None where it has no level."""
    levels = np.array([look.level(alpha) for alpha in ALPHAS])
    if not levels.all():
        return None
    curve: Callable[[float], npt.NDArray[np.float64]] = interpolate.PchipInterpolator(np.log(levels), np.log(ALPHAS))
    return curve
