"""From decoded images to batches: order, augmentation, stacking. Letters: B batch, C channel, H, W."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import torch

from harness.data.prepared import PreparedSplit, require_one_size
from harness.errors import InputError
from harness.parts.augment import Augment
from harness.parts.sample import Sample
from harness.randomness import make_rng
from harness.records import RunConfig

NORMALIZATIONS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "centered": ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
    "unit": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
"""Mean and deviation of red, green and blue, for values in [0, 1]."""


class Batch(NamedTuple):
    """Samples of one size."""

    images_BCHW: torch.Tensor
    """uint8, red green blue."""
    labels_BHW: torch.Tensor
    """uint8, 255 = ignored."""
    depths_BHW: torch.Tensor | None
    """float32, inverse distance, NaN where unknown; None where the model does not see it."""
    places: tuple[int, ...] = ()
    """Which of the split's images they are, if they are whole batches of one."""

    def map(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Batch:
        """Return the batch with a change made to images, labels and, where there are any, depths."""
        depths = None if self.depths_BHW is None else change(self.depths_BHW)
        return Batch(change(self.images_BCHW), change(self.labels_BHW), depths, self.places)

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        return self.map(lambda one: send(one, device))

    def micro_batches(self, most: int | None, least: int) -> list[Batch]:
        """Return the batch cut evenly (to one image) into parts of at most `most` images, or of more where a part would
        have fewer than `least`.
        """
        count = count_micro_batches(len(self.labels_BHW), most, least)
        if count == 1:
            return [self]
        lengths = [len(part) for part in self.labels_BHW.tensor_split(count)]
        return [part._replace(places=()) for part in self.parts(lengths)]

    def parts(self, lengths: list[int]) -> list[Batch]:
        """Return the batch as batches of these lengths, one after another; they share its memory."""
        images, labels = torch.split(self.images_BCHW, lengths), torch.split(self.labels_BHW, lengths)
        depths = [None] * len(lengths) if self.depths_BHW is None else torch.split(self.depths_BHW, lengths)
        starts = accumulate(lengths, initial=0)
        places = [self.places[start : start + length] for start, length in zip(starts, lengths, strict=False)]
        return [Batch(*maps) for maps in zip(images, labels, depths, places, strict=True)]


def send(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return a tensor on a device; a GPU is not waited for. It reads by itself only from memory that is pinned."""
    arriving = device.type == "cuda" and not tensor.is_cuda
    return tensor.pin_memory().to(device, non_blocking=True) if arriving else tensor.to(device)


@dataclass(frozen=True)
class Preprocessing:
    """How pictures and depth become the numbers that a model sees; part of what a trained model is."""

    inputs: tuple[str, ...]
    """`rgb`, `depth`, or both."""
    mean: tuple[float, ...]
    """Of red, green and blue in [0, 1]."""
    std: tuple[float, ...]
    depth_mean: float = 0.0
    """Of inverse distance over the known pixels of the training split, at input size."""
    depth_std: float = 1.0

    @property
    def channels(self) -> int:
        """Return the number of channels that the model sees: 3 for colour, 2 for depth."""
        return 3 * ("rgb" in self.inputs) + 2 * ("depth" in self.inputs)


@dataclass(frozen=True)
class Normalizer:
    """Does what a `Preprocessing` says, on a device."""

    preprocessing: Preprocessing
    mean_C11: torch.Tensor
    std_C11: torch.Tensor
    memory_format: torch.memory_format

    def __call__(self, batch: Batch) -> torch.Tensor:
        """Return float32 inputs_BCHW in the memory format of the run: colour, then depth, then where depth is known."""
        parts = []
        if "rgb" in self.preprocessing.inputs:
            parts.append(self._colour(batch.images_BCHW))
        if batch.depths_BHW is not None:
            depth_B1HW = (batch.depths_BHW[:, None] - self.preprocessing.depth_mean) / self.preprocessing.depth_std
            parts += [depth_B1HW.nan_to_num(0.0), (~depth_B1HW.isnan()).float()]
        inputs_BCHW = torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]
        return inputs_BCHW.contiguous(memory_format=self.memory_format)

    def _colour(self, images_BCHW: torch.Tensor) -> torch.Tensor:
        """Return (x / 255 - mean) / std.

        Where the colours of a pixel lie side by side, a row of pixels meets mean and deviation written out for as many:
        on a CPU a loop over three colours is a slow one.
        """
        images_BHWC = images_BCHW.permute(0, 2, 3, 1)
        if images_BHWC.device.type != "cpu" or not images_BHWC.is_contiguous():
            return images_BCHW.to(torch.float32, copy=True).div_(255).sub_(self.mean_C11).div_(self.std_C11)
        mean_N, std_N = (
            _write_out(values, images_BHWC.shape[2]) for values in (self.preprocessing.mean, self.preprocessing.std)
        )
        rows_BHN = images_BHWC.to(torch.float32, copy=True).flatten(2).div_(255).sub_(mean_N).div_(std_N)
        return rows_BHN.view(images_BHWC.shape).permute(0, 3, 1, 2)


@lru_cache(maxsize=64)
def _write_out(values: tuple[float, ...], times: int) -> torch.Tensor:
    return torch.tensor(values).repeat(times)


def make_normalizer(preprocessing: Preprocessing, memory_format: str, device: torch.device) -> Normalizer:
    """Return the normalizer of a preprocessing on a device."""
    values = (preprocessing.mean, preprocessing.std)
    mean, std = (torch.tensor(value, device=device).view(-1, 1, 1) for value in values)
    channels_last = memory_format == "channels_last"
    return Normalizer(preprocessing, mean, std, torch.channels_last if channels_last else torch.contiguous_format)


def measure_preprocessing(name: str, inputs: Sequence[str], train: PreparedSplit) -> Preprocessing:
    """Return the preprocessing of a run: the named normalization of colour, and that of depth as `train` has it.

    Raises:
        InputError: no training pixel has a known depth.
    """
    mean, std = NORMALIZATIONS[name]
    if "depth" not in inputs:
        return Preprocessing(tuple(inputs), mean, std)
    pixels, total, squares = 0, 0.0, 0.0
    for index in range(len(train)):
        depth_HW = train.depth(index)
        assert depth_HW is not None
        known = depth_HW[~np.isnan(depth_HW)].astype(np.float64)
        pixels, total, squares = pixels + known.size, total + known.sum(), squares + (known**2).sum()
    if not pixels:
        raise InputError("data.inputs: no training image has a pixel of known depth; write data.inputs: [rgb]")
    depth_mean = total / pixels
    depth_std = math.sqrt(max(squares / pixels - depth_mean**2, 0.0)) or 1.0
    return Preprocessing(tuple(inputs), mean, std, depth_mean, depth_std)


def count_micro_batches(images: int, most: int | None, least: int) -> int:
    """Return into how many parts `Batch.micro_batches` cuts a batch of so many images."""
    return 1 if most is None else max(min(math.ceil(images / most), images // least), 1)


def cut(order: Sequence[int], batch_size: int) -> list[list[int]]:
    """Cut an order of images into batches. One image left over joins the batch before it: BatchNorm needs two."""
    batches = [list(order[start : start + batch_size]) for start in range(0, len(order), batch_size)]
    if len(batches) > 1 and len(batches[-1]) == 1 and batch_size > 1:
        left_over = batches.pop()
        batches[-1] += left_over
    return batches


def training_order(images: int, batch_size: int, *, seed: int, epoch: int) -> list[list[int]]:
    """Return the batches of one epoch as places in the split, shuffled."""
    return cut(make_rng(seed, "order", epoch).permutation(images).tolist(), batch_size)


def make_batch(
    split: PreparedSplit, places: Sequence[int], augment: Sequence[Augment], *, seed: int, epoch: int
) -> Batch:
    """Return some images as training sees them in an epoch.

    What a picture becomes depends on (seed, epoch, its name) alone, not on its place in the order.
    """
    if not augment:
        return read_images(split, places)
    samples, names = [], [split.names[place] for place in places]
    for place, name in zip(places, names, strict=True):
        sample, rng = read_sample(split, place), make_rng(seed, "augment", epoch, name)
        for step in augment:
            sample = step(sample, rng)
        samples.append(sample)
    return stack(samples, names)._replace(places=tuple(places))


def read_images(split: PreparedSplit, places: Sequence[int]) -> Batch:
    """Return some images of a split as they are, copied.

    Raises:
        RunFailed: sizes differ; two images are named.
    """
    images_BHWC, labels_BHW, depths_BHW = split.stacked(places)
    return Batch(
        torch.from_numpy(images_BHWC).permute(0, 3, 1, 2),
        torch.from_numpy(labels_BHW),
        None if depths_BHW is None else torch.from_numpy(depths_BHW),
        tuple(places),
    )


def bytes_of_image(config: RunConfig) -> int:
    """Return the bytes of an image of the one size of a run, with its label and depth."""
    assert config.data.size != "native"
    height, width = config.data.size
    return height * width * (8 if "depth" in config.data.inputs else 4)


def read_sample(split: PreparedSplit, index: int) -> Sample:
    """Return an image of a split as tensors, copied, so that what is kept stays as it is."""
    image_HWC, label_HW = split.pair(index)
    depth_HW = split.depth(index)
    return Sample(
        torch.from_numpy(np.ascontiguousarray(image_HWC.transpose(2, 0, 1))),
        torch.from_numpy(label_HW.copy()),
        None if depth_HW is None else torch.from_numpy(depth_HW.copy()),
    )


def stack(samples: Sequence[Sample], names: Sequence[str]) -> Batch:
    """Stack samples of one size.

    Raises:
        RunFailed: sizes differ; two images are named.
    """
    require_one_size([sample.label_HW.shape for sample in samples], names)
    depths = [sample.depth_HW for sample in samples if sample.depth_HW is not None]
    return Batch(
        torch.stack([sample.image_CHW for sample in samples]),
        torch.stack([sample.label_HW for sample in samples]),
        torch.stack(depths) if depths else None,
    )
