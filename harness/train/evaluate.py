"""Evaluation: images -> confusion matrices of single images. Letters: B batch, C class, H, W."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch.nn import functional

from harness.counts import make_counts
from harness.data.source import Label
from harness.predictions import Seen, choose_kept, downscale, pack_predictions
from harness.records import Counts, Examples, Predictions
from harness.train.batches import cut, read_sample, stack
from harness.train.regions import REGIONS, Confusion, count_confusion, count_regions
from harness.train.workbench import Bench, forward, mixed_precision, total_loss

EXAMPLES = 4


class Judged(NamedTuple):
    """What evaluating one split gives."""

    counts: Counts
    loss: float
    """Mean over images of the run's own loss, at input size."""


class Closely(NamedTuple):
    """What evaluating one split closely gives."""

    counts: Counts
    regions: Mapping[str, Counts]
    """Region -> counts within it."""
    predictions: Predictions


class Predicted(NamedTuple):
    """One image of a split, predicted and judged at the size that `evaluate.size` says."""

    place: int
    """Which of the split's images."""
    predicted_HW: Label
    label_HW: Label
    loss: float


def evaluate(bench: Bench, split_name: str) -> Judged:
    """Evaluate the present weights on every image of a split, each at the size that `evaluate.size` says."""
    split, classes = bench.splits[split_name], bench.source.taxonomy.classes
    confusions: list[Confusion] = []
    loss_sum = 0.0
    for item in _predict_split(bench, split_name):
        loss_sum += item.loss
        confusions.append(count_confusion(item.predicted_HW, item.label_HW, len(classes)))
    return Judged(make_counts(confusions, split.names, split.groups, classes), loss_sum / len(split))


def evaluate_closely(bench: Bench, split_name: str, *, keep: int) -> Closely:
    """Evaluate the present weights as `evaluate` does, count regions of each image, and keep up to `keep` pictures."""
    split, classes = bench.splits[split_name], bench.source.taxonomy.classes
    confusions: list[Confusion] = []
    by_region: dict[str, list[Confusion]] = {name: [] for name in REGIONS}
    wanted, kept = set(choose_kept(len(split), keep)), dict[int, Seen]()
    for item in _predict_split(bench, split_name):
        regions = count_regions(item.predicted_HW, item.label_HW, len(classes))
        for name, confusion in regions.items():
            by_region[name].append(confusion)
        confusions.append(regions["border"] + regions["interior"])
        if item.place in wanted:
            pictures = (split.pair(item.place)[0], item.label_HW, item.predicted_HW)
            kept[item.place] = Seen(*map(downscale, pictures))
    return Closely(
        make_counts(confusions, split.names, split.groups, classes),
        {name: make_counts(found, split.names, split.groups, classes) for name, found in by_region.items()},
        pack_predictions([split.names[index] for index in kept], list(kept.values())),
    )


def _predict_split(bench: Bench, split_name: str) -> Iterator[Predicted]:
    """Yield every image of a split in order."""
    bench.network.module.eval()
    for batch in evaluation_batches(bench, split_name):
        yield from predict_batch(bench, split_name, batch)


@torch.inference_mode()
def predict_batch(bench: Bench, split_name: str, batch: list[int]) -> list[Predicted]:
    """Predict some images of a split together; the network is in evaluation mode."""
    split = bench.splits[split_name]
    images_BCHW, labels_BHW = _load(bench, split_name, batch)
    with mixed_precision(bench):
        logits_BCHW, auxiliary = forward(bench, images_BCHW)
    loss = float(total_loss(bench, logits_BCHW.float(), auxiliary, labels_BHW))
    labels = [split.judged_label(index) for index in batch]
    logits = zip(batch, logits_BCHW.float(), labels, strict=True)
    return [Predicted(i, predict(logits_CHW, label_HW.shape), label_HW, loss) for i, logits_CHW, label_HW in logits]


def predict(logits_CHW: torch.Tensor, size: tuple[int, ...]) -> Label:
    """Return the most likely class of each pixel at a size [H, W]: logits are interpolated, not labels."""
    if tuple(logits_CHW.shape[1:]) != tuple(size):
        logits_CHW = functional.interpolate(logits_CHW[None], size=size, mode="bilinear", align_corners=False)[0]
    predicted: Label = logits_CHW.argmax(dim=0).to(torch.uint8).cpu().numpy()
    return predicted


def evaluation_batches(bench: Bench, split_name: str) -> list[list[int]]:
    """Return batches of neighbouring images; where images keep their native size, each goes alone."""
    size = bench.at_once.evaluate or bench.config.evaluate.batch_size
    return cut(range(len(bench.splits[split_name])), size if bench.config.data["size"] != "native" else 1)


def _load(bench: Bench, split_name: str, batch: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    split = bench.splits[split_name]
    stacked = stack([read_sample(split, i) for i in batch], [split.names[i] for i in batch]).to(bench.device)
    return bench.normalize(stacked), stacked.labels_BHW.long()


@torch.inference_mode()
def make_examples(bench: Bench) -> Examples:
    """Return a few validation images, evenly spaced (the same for every run on the data), with truth and prediction."""
    split = bench.splits["val"]
    bench.network.module.eval()
    chosen = choose_kept(len(split), EXAMPLES)
    seen = []
    for index in chosen:
        images_BCHW, _ = _load(bench, "val", [index])
        with mixed_precision(bench):
            logits_BCHW, _ = forward(bench, images_BCHW)
        image_HWC, label_HW = split.pair(index)
        pictures = (image_HWC, label_HW, predict(logits_BCHW[0].float(), label_HW.shape))
        seen.append(Seen(*map(downscale, pictures)))
    images, labels, predictions = zip(*seen, strict=True)
    return Examples(tuple(split.names[i] for i in chosen), images, labels, predictions)
