"""Augmentation of a whole batch at once, where the batch is. Letters: B batch, C channel, H, W; K transforms.

Mirrors, turns, resizes and windows that follow each other are one affine map for each image, and the batch is sampled
once: bilinear in the image, nearest neighbour in label and depth. What is drawn is what the augmentations draw one by
one. The results differ where those interpolate twice, and where they shrink an image, which they do without aliasing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

from harness.data.prepared import PreparedSplit
from harness.data.source import IGNORE
from harness.parts.augment import Augment
from harness.parts.geometric_transforms import GREY, Affine, Geometric, Shape, Transform
from harness.parts.sample import UNKNOWN_DEPTH, Sample
from harness.randomness import make_rng
from harness.records import RunConfig
from harness.train.batches import Batch, make_batch, send, stack

PIXELS_AT_ONCE = 2**22
"""Pixels sampled together: their positions take about half a GiB."""


class AffineChain(NamedTuple):
    """The geometric transforms of one image, composed: where in it the pixels of the result come from."""

    origins: tuple[Affine, ...]
    """Position in the result -> position before each transform, the first transform's first."""
    shapes: tuple[Shape, ...]
    """Size before each transform, and of the result."""


def read_batch(
    config: RunConfig, split: PreparedSplit, augment: Sequence[Augment], places: Sequence[int], epoch: int
) -> Batch:
    """Return some images in the main memory, with the augmentations that a run makes one by one there."""
    steps = augment if config.train.augment_as == "steps" else ()
    return make_batch(split, places, steps, seed=config.seed, epoch=epoch)


def finish_batch(
    config: RunConfig, split: PreparedSplit, augment: Sequence[Augment], batch: Batch, epoch: int
) -> Batch:
    """Return a batch with the augmentations that a run makes where the batch is by now."""
    if config.train.augment_as == "steps":
        return batch
    names = [split.names[place] for place in batch.places]
    return augment_batch(batch, names, augment, seed=config.seed, epoch=epoch)


def augment_batch(batch: Batch, names: Sequence[str], augment: Sequence[Augment], *, seed: int, epoch: int) -> Batch:
    """Return a batch as training sees it in an epoch; `names` are its images', which decide what is drawn.

    A step that is not geometric goes over the images one by one.

    Raises:
        RunFailed: the images are not of one size after the last step.
    """
    if not augment:
        return batch
    rngs = [make_rng(seed, "augment", epoch, name) for name in names]
    samples = _unstack(batch)
    # Geometric steps in a row are one sampling; any other step needs the pixels, so it ends the row.
    for is_geometric, steps in groupby(augment, lambda step: isinstance(step, Geometric)):
        if is_geometric:
            samples = _transform(samples, [step for step in steps if isinstance(step, Geometric)], rngs)
            continue
        for step in steps:
            samples = [step(sample, rng) for sample, rng in zip(samples, rngs, strict=True)]
    return stack(samples, names)


def _unstack(batch: Batch) -> list[Sample]:
    depths = [None] * len(batch.labels_BHW) if batch.depths_BHW is None else list(batch.depths_BHW)
    return [Sample(*maps) for maps in zip(batch.images_BCHW, batch.labels_BHW, depths, strict=True)]


def _transform(
    samples: Sequence[Sample], steps: Sequence[Geometric], rngs: Sequence[np.random.Generator]
) -> list[Sample]:
    """Transform each sample; those that have one size before and after go together, as many as memory is meant for."""
    chains = [_draw(sample.label_HW.shape, steps, rng) for sample, rng in zip(samples, rngs, strict=True)]
    sizes = {(sample.label_HW.shape, chain.shapes[-1]) for sample, chain in zip(samples, chains, strict=True)}
    at_once = max(1, PIXELS_AT_ONCE // math.prod(chains[0].shapes[-1])) if len(sizes) == 1 else 1
    transformed: list[Sample] = []
    for first in range(0, len(samples), at_once):
        part = slice(first, first + at_once)
        transformed += _unstack(warp_batch(stack(samples[part], [""] * len(samples[part])), chains[part]))
    return transformed


def _draw(have: Sequence[int], steps: Sequence[Geometric], rng: np.random.Generator) -> AffineChain:
    """Draw the transforms of one image of a size, and compose them."""
    shape = (have[0], have[1])
    drawn: list[tuple[Transform, Shape]] = []
    for step in steps:
        if (transform := step.draw(shape, rng)) is not None:
            drawn.append((transform, shape))
            shape = transform.shape(shape)
    # From the result back to the image: before the last transform a pixel was where that took it from, and so on.
    origin, origins = np.eye(2, 3), [np.eye(2, 3)]
    for transform, before in reversed(drawn):
        matrix = transform.origin(before)
        origin = matrix[:, :2] @ origin
        origin[:, 2] += matrix[:, 2]
        origins.append(origin)
    return AffineChain(tuple(reversed(origins)), (*(before for _, before in drawn), shape))


def warp_batch(batch: Batch, chains: Sequence[AffineChain]) -> Batch:
    """Return a batch after a chain of transforms for each image; all results have one size. It stays on its device.

    Positions are float64, so that a device rounds as another: mirrors and windows are exact.
    """
    device, (height, width) = batch.labels_BHW.device, chains[0].shapes[-1]
    most = max(len(chain.origins) for chain in chains)
    # The last one is repeated, for an image that is transformed less often than others has nothing more to say.
    origins_BK23, sides_BK2 = (
        send(torch.tensor(np.array([[*parts, *[parts[-1]] * (most - len(parts))] for parts in of_chains])), device)
        for of_chains in ([chain.origins for chain in chains], [chain.shapes for chain in chains])
    )
    y_H1, x_W = (torch.arange(side, dtype=torch.float64, device=device) + 0.5 for side in (height, width))
    y_H1 = y_H1[:, None]
    # A pixel is the image's only if it lay inside at every step: a window that was cut off and then enlarged must not
    # show what is beyond the cut.
    inside_BHW = torch.ones((len(chains), height, width), dtype=torch.bool, device=device)
    for place in reversed(range(most)):  # the last is where the pixels come from in the batch itself
        m = origins_BK23[:, place, :, :, None, None]
        x_BHW, y_BHW = (m[:, row, 0] * x_W + m[:, row, 1] * y_H1 + m[:, row, 2] for row in (0, 1))
        rows_B11, columns_B11 = sides_BK2[:, place, :, None, None].unbind(1)
        inside_BHW &= (x_BHW >= 0) & (x_BHW < columns_B11) & (y_BHW >= 0) & (y_BHW < rows_B11)
    return _take(batch, x_BHW, y_BHW, inside_BHW)


def _take(batch: Batch, x_BHW: torch.Tensor, y_BHW: torch.Tensor, inside_BHW: torch.Tensor) -> Batch:
    have_h, have_w = batch.labels_BHW.shape[1:]
    grid_BHW2 = torch.stack([2 * x_BHW / have_w - 1, 2 * y_BHW / have_h - 1], dim=-1).float()
    images_BCHW = functional.grid_sample(
        batch.images_BCHW.float(), grid_BHW2, mode="bilinear", padding_mode="border", align_corners=False
    )
    rows_BHW, columns_BHW = y_BHW.long().clamp_(0, have_h - 1), x_BHW.long().clamp_(0, have_w - 1)
    index_BN = (rows_BHW * have_w + columns_BHW).flatten(1)

    # Labels and depths are never mixed: between two classes lies no third, and at an edge no depth in between.
    def nearest(maps_BHW: torch.Tensor, fill: float) -> torch.Tensor:
        return maps_BHW.flatten(1).gather(1, index_BN).view_as(inside_BHW).masked_fill(~inside_BHW, fill)

    depths_BHW = batch.depths_BHW
    return Batch(
        images_BCHW.round_().to(torch.uint8).masked_fill(~inside_BHW[:, None], GREY),
        nearest(batch.labels_BHW, IGNORE),
        None if depths_BHW is None else nearest(depths_BHW, UNKNOWN_DEPTH),
    )
