"""Simulated evaluations whose true scores are known: margins of confusion matrices of variants, seeds and groups.

A pixel of class c in frame f of group g is hit by variant v, seed s with probability sigmoid(logit), where

    logit = skill of v in c + training noise of (v, s, c) + difficulty of (g, c) + what v makes of (g, c)
            + what this training makes of (g, c) + difficulty of (f, c)

and a miss goes to another class in proportion to the classes' frequency. All terms but the first are normal around 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from harness.stats.margins import Margins

Array = npt.NDArray[np.float64]

SKILL = np.array([3.0, 2.2, 1.5, 1.0, 0.6, 0.2])
SIZE = np.array([20_000.0, 8_000.0, 4_000.0, 1_500.0, 800.0, 300.0])
COMMON = np.array([1.0, 1.0, 0.9, 0.9, 0.8, 0.7])
RARE = np.array([1.0, 1.0, 0.9, 0.9, 0.1, 0.1])
"""Share of groups that hold a class."""
GROUP_SD, FRAME_SD, TASTE_SD = 0.7, 0.4, 0.15
"""Of a group's and a frame's difficulty, and of what a variant makes of a group (logits)."""
APART, TOGETHER, LOCAL = (0.9, 0.45), (0.45, 0.9), 1.5
"""Training noise of a class, of all classes at once (in worlds where classes move apart or together), and of a class in
a group, as multiples of a world's noise."""


@dataclass(frozen=True)
class World:
    """What evaluations are drawn from. Arrays are over variants V."""

    seeds: int
    groups: int
    noise: float
    """Training noise (logits)."""
    loudness: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)
    """Training noise of each variant, as a multiple of `noise`; the first variant is the reference."""
    gains: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    """What each variant's skill has over the reference's (logits)."""
    frames: int = 1
    """Most frames of a group; groups have 1 to this many, evenly."""
    largest: int = 0
    """Frames of the first group; 0 where it is like the others."""
    rare: bool = False
    pairing: float = 0.0
    """Correlation of the training noise of two variants with one seed."""
    inherited: float = 0.0
    """Share of the noise and the taste of the variant before it that a variant starts with: 1 where each is trained on
    from the one before, and only its own training is new."""
    shares: tuple[float, float] = APART
    odd: tuple[int, float] | None = None
    """A variant, and how many times as noisy as in the others it is in the fourth class."""

    @property
    def noise_VC(self) -> Array:
        """Return the training noise of variants in classes (logits)."""
        noise_VC = self.noise * np.outer(self.loudness, np.ones(len(SKILL)))
        if self.odd is not None:
            noise_VC[self.odd[0], 3] *= self.odd[1]
        return noise_VC

    @property
    def held_C(self) -> Array:
        """Return the share of groups that hold each class."""
        return RARE if self.rare else COMMON

    @property
    def differs(self) -> bool:
        """Return whether variants differ at all; if not, they have no taste of their own either."""
        return any(self.gains)


def draw_training(world: World, generator: np.random.Generator, seeds: int) -> Array:
    """Return the training noise of variants, seeds and classes in logits, [V, S, C]."""
    variants, classes = len(world.loudness), len(SKILL)
    own = _noise(generator, (variants, seeds, classes), world.shares)
    shared = _noise(generator, (1, seeds, classes), world.shares)
    mixed = np.sqrt(world.pairing) * shared + np.sqrt(1 - world.pairing) * own
    return _inherit(world.noise_VC[:, None] * mixed, world.inherited)


def _inherit(own_V: Array, share: float) -> Array:
    """Return what each variant has of its own with `share` of all that the variant before it has; [V, ...]."""
    all_V = own_V.copy()
    for variant in range(1, len(own_V)):
        all_V[variant] += share * all_V[variant - 1]
    return all_V


def _noise(generator: np.random.Generator, shape: tuple[int, int, int], shares: tuple[float, float]) -> Array:
    return shares[0] * generator.normal(size=shape) + shares[1] * generator.normal(size=(*shape[:2], 1))


def draw_margins(world: World, generator: np.random.Generator) -> Margins:
    """Return one evaluated study: every seed of every variant on the same groups."""
    variants, seeds, groups, classes = len(world.loudness), world.seeds, world.groups, len(SKILL)
    frames_G = generator.integers(1, world.frames, size=groups, endpoint=True)
    if world.largest:
        frames_G[0] = world.largest
    group_F = np.repeat(np.arange(groups), frames_G)
    held_GC = generator.random((groups, classes)) < world.held_C
    true_FC = np.rint(SIZE * generator.lognormal(0.0, 0.6, (len(group_F), classes)) * held_GC[group_F])
    training_VSC = draw_training(world, generator, seeds)
    difficulty_GC = GROUP_SD * generator.normal(size=(groups, classes))
    taste_V1GC = world.differs * TASTE_SD * generator.normal(size=(variants, 1, groups, classes))
    local_VSGC = LOCAL * world.noise_VC[:, None, None] * generator.normal(size=(variants, seeds, groups, classes))
    logit_VSGC = (
        SKILL
        + np.array(world.gains)[:, None, None, None]
        + training_VSC[:, :, None, :]
        + difficulty_GC
        + _inherit(taste_V1GC, world.inherited)
        + _inherit(local_VSGC, world.inherited)
    )
    difficulty_FC = FRAME_SD * generator.normal(size=(len(group_F), classes))
    rate_VSFC = special.expit(logit_VSGC[:, :, group_F] + difficulty_FC)
    starts = np.concatenate([[0], np.cumsum(frames_G)[:-1]])
    true_GC = np.add.reduceat(true_FC, starts, axis=0).astype(np.int64)
    hit_VSGC = np.rint(np.add.reduceat(rate_VSFC * true_FC, starts, axis=2))
    gained_VSGC = np.rint((true_GC - hit_VSGC) @ _misses(world))
    return Margins(
        runs=tuple((f"v{variant}", seed) for variant in range(variants) for seed in range(seeds)),
        groups=tuple(f"g{group}" for group in range(groups)),
        classes=tuple(f"c{index}" for index in range(classes)),
        images=len(group_F),
        hit_KGC=hit_VSGC.reshape(-1, groups, classes).astype(np.int64),
        predicted_KGC=(hit_VSGC + gained_VSGC).reshape(-1, groups, classes).astype(np.int64),
        true_GC=true_GC,
    )


def true_iou(world: World, generator: np.random.Generator, trainings: int = 20_000) -> Array:
    """Return the IoU of classes on endless images, averaged over `trainings` seeds, [V, C]."""
    iou_VSC = iou_by_training(world, draw_training(world, generator, trainings if world.noise else 1))
    iou_VC: Array = iou_VSC.mean(axis=1)
    return iou_VC


def iou_by_training(world: World, noise_VSC: Array) -> Array:
    """Return the IoU of classes on endless images of trainings that were drawn, [V, S, C]."""
    points, weights = np.polynomial.hermite_e.hermegauss(41)
    own_VC = world.differs * TASTE_SD**2 + (LOCAL * world.noise_VC) ** 2
    variance_VC = GROUP_SD**2 + FRAME_SD**2 + _inherit(own_VC, world.inherited**2)
    true_C, result = SIZE * world.held_C, []
    for gain, variance_C, noise_SC in zip(world.gains, variance_VC, noise_VSC, strict=True):
        rate_SC = np.zeros_like(noise_SC)
        for point, weight in zip(points, weights / weights.sum(), strict=True):  # one by one: the arrays stay small
            rate_SC += weight * special.expit(SKILL + gain + np.sqrt(variance_C) * point + noise_SC)
        gained_SC = (true_C * (1 - rate_SC)) @ _misses(world)
        result.append(true_C * rate_SC / (true_C + gained_SC))
    return np.stack(result)


def true_delta(iou_VC: Array, variant: int, present: Sequence[int]) -> float:
    """Return a variant's true miou_dataset less the reference's, over the classes that the split holds."""
    return float((iou_VC[variant] - iou_VC[0])[list(present)].mean())


def _misses(world: World) -> Array:
    """Return the share of the missed pixels of the class of a row that goes to the class of a column, [C, C]."""
    frequency_C = SIZE * world.held_C
    share_CC = np.tile(frequency_C, (len(SKILL), 1))
    np.fill_diagonal(share_CC, 0.0)
    missed_CC: Array = share_CC / share_CC.sum(axis=1, keepdims=True)
    return missed_CC
