"""From decoded images to batches: order, augmentation, stacking. Letters: B batch, C channel, H, W."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from harness.data.prepared import PreparedSplit
from harness.errors import RunFailed
from harness.parts.augment import Augment
from harness.randomness import make_rng

Pair = tuple[torch.Tensor, torch.Tensor]
"""A picture and its label, or a batch of them."""

NORMALIZATIONS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "centered": ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
    "unit": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
"""Mean and deviation of each channel, for values in [0, 1]."""


@dataclass(frozen=True)
class Normalizer:
    """Turns uint8 pictures into the numbers that a model sees."""

    mean_C11: torch.Tensor
    std_C11: torch.Tensor
    memory_format: torch.memory_format

    def __call__(self, images_BCHW: torch.Tensor) -> torch.Tensor:
        """Return float32 images, (x / 255 - mean) / std, in the memory format of the run."""
        scaled_BCHW = (images_BCHW.float() / 255 - self.mean_C11) / self.std_C11
        return scaled_BCHW.contiguous(memory_format=self.memory_format)


def make_normalizer(name: str, memory_format: str, device: torch.device) -> Normalizer:
    """Return the named normalization on a device."""
    mean, std = (torch.tensor(values, device=device).view(-1, 1, 1) for values in NORMALIZATIONS[name])
    return Normalizer(mean, std, torch.channels_last if memory_format == "channels_last" else torch.contiguous_format)


def cut(order: Sequence[int], batch_size: int) -> list[list[int]]:
    """Cut an order of images into batches. One image left over joins the batch before it: BatchNorm needs two."""
    batches = [list(order[start : start + batch_size]) for start in range(0, len(order), batch_size)]
    if len(batches) > 1 and len(batches[-1]) == 1 and batch_size > 1:
        left_over = batches.pop()
        batches[-1] += left_over
    return batches


def training_batches(
    split: PreparedSplit, augment: Sequence[Augment], batch_size: int, *, seed: int, epoch: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield one epoch of (images_BCHW uint8, labels_BHW uint8), shuffled and augmented.

    What a picture becomes depends on (seed, epoch, its name) alone, not on its place in the order.
    """
    order = make_rng(seed, "order", epoch).permutation(len(split))
    for batch in cut(order.tolist(), batch_size):
        pairs = [augmented(split, index, augment, seed=seed, epoch=epoch) for index in batch]
        yield stack(pairs, [split.names[index] for index in batch])


def augmented(
    split: PreparedSplit, index: int, augment: Sequence[Augment], *, seed: int, epoch: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return one (image_CHW, label_HW), both uint8, as training sees it in an epoch."""
    image_CHW, label_HW = as_tensors(*split.pair(index))
    rng = make_rng(seed, "augment", epoch, split.names[index])
    for step in augment:
        image_CHW, label_HW = step(image_CHW, label_HW, rng)
    return image_CHW, label_HW


def as_tensors(image_HWC: np.ndarray, label_HW: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a picture as [C, H, W] and its label as [H, W], copied, so that what is kept stays as it is."""
    return torch.from_numpy(np.ascontiguousarray(image_HWC.transpose(2, 0, 1))), torch.from_numpy(label_HW.copy())


def stack(
    pairs: Sequence[tuple[torch.Tensor, torch.Tensor]], names: Sequence[str]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Stack images and labels of one size.

    Raises:
        RunFailed: sizes differ; two images are named.
    """
    first = pairs[0][1].shape
    for (_, label_HW), name in zip(pairs, names, strict=True):
        if label_HW.shape != first:
            raise RunFailed(
                f"images of one batch differ in size: '{names[0]}' is {tuple(first)}, '{name}' is "
                f"{tuple(label_HW.shape)} (height, width); set data.size, or crop to one size with augment.crop"
            )
    return torch.stack([image for image, _ in pairs]), torch.stack([label for _, label in pairs])
