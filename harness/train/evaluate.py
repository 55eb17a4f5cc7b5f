"""Evaluation: images -> confusion matrices of single images. Letters: B batch, C class, H, W."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from harness.counts import make_counts
from harness.data.source import IGNORE, Label
from harness.records import Counts, Examples
from harness.train.batches import cut, read_sample, stack
from harness.train.workbench import Bench, forward, mixed_precision, total_loss

EXAMPLES = 4
EXAMPLE_SIDE_PX = 512


class Judged(NamedTuple):
    """What evaluating one split gives."""

    counts: Counts
    loss: float
    """Mean over images of the run's own loss, at input size."""


@torch.inference_mode()
def evaluate(bench: Bench, split_name: str) -> Judged:
    """Evaluate the present weights on every image of a split, each at the size that `evaluate.size` says."""
    split = bench.splits[split_name]
    classes = bench.source.taxonomy.classes
    bench.network.module.eval()
    confusions: list[npt.NDArray[np.int64]] = []
    loss_sum = 0.0
    for batch in _same_size_batches(bench, split_name):
        images_BCHW, labels_BHW = _load(bench, split_name, batch)
        with mixed_precision(bench):
            logits_BCHW, auxiliary = forward(bench, images_BCHW)
        loss_sum += float(total_loss(bench, logits_BCHW.float(), auxiliary, labels_BHW)) * len(batch)
        for index, logits_CHW in zip(batch, logits_BCHW.float(), strict=True):
            label_HW = split.judged_label(index)
            confusions.append(_confusion(predict(logits_CHW, label_HW.shape), label_HW, len(classes)))
    return Judged(make_counts(confusions, split.names, split.groups, classes), loss_sum / len(split))


def predict(logits_CHW: torch.Tensor, size: tuple[int, ...]) -> Label:
    """Return the most likely class of each pixel at a size [H, W]: logits are interpolated, not labels."""
    if tuple(logits_CHW.shape[1:]) != tuple(size):
        logits_CHW = functional.interpolate(logits_CHW[None], size=size, mode="bilinear", align_corners=False)[0]
    predicted: Label = logits_CHW.argmax(dim=0).to(torch.uint8).cpu().numpy()
    return predicted


def _confusion(
    predicted_HW: npt.NDArray[np.uint8], label_HW: npt.NDArray[np.uint8], num_classes: int
) -> npt.NDArray[np.int64]:
    """Count pixels of (true, predicted), [C, C]. Small keys make this a walk at memory speed."""
    keys = label_HW.astype(np.uint16) * np.uint16(num_classes) + predicted_HW
    counted = np.bincount(keys[label_HW != IGNORE], minlength=num_classes * num_classes)
    return counted.reshape(num_classes, num_classes).astype(np.int64)


def _same_size_batches(bench: Bench, split_name: str) -> Iterator[list[int]]:
    """Yield batches of neighbouring images; where images keep their native size, each goes alone."""
    size = bench.config.evaluate.batch_size if bench.config.data["size"] != "native" else 1
    yield from cut(range(len(bench.splits[split_name])), size)


def _load(bench: Bench, split_name: str, batch: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    split = bench.splits[split_name]
    stacked = stack([read_sample(split, i) for i in batch], [split.names[i] for i in batch]).to(bench.device)
    return bench.normalize(stacked), stacked.labels_BHW.long()


@torch.inference_mode()
def make_examples(bench: Bench) -> Examples:
    """Return a few validation images, evenly spaced (the same for every run on the data), with truth and prediction."""
    split = bench.splits["val"]
    bench.network.module.eval()
    chosen = sorted({round(place) for place in np.linspace(0, len(split) - 1, EXAMPLES)})
    images, labels, predictions = [], [], []
    for index in chosen:
        images_BCHW, _ = _load(bench, "val", [index])
        with mixed_precision(bench):
            logits_BCHW, _ = forward(bench, images_BCHW)
        image_HWC, _ = split.pair(index)
        height, width = image_HWC.shape[:2]
        step = -(-max(height, width) // EXAMPLE_SIDE_PX)
        images.append(image_HWC[::step, ::step].copy())
        labels.append(split.pair(index)[1][::step, ::step].copy())
        predictions.append(predict(logits_BCHW[0].float(), (height, width))[::step, ::step].copy())
    return Examples(tuple(split.names[i] for i in chosen), tuple(images), tuple(labels), tuple(predictions))
