"""Evaluation: images -> confusion matrices of single images. Letters: B batch, C class, H, W."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch

from harness.counts import make_counts
from harness.data.source import IGNORE, Label
from harness.predictions import Seen, choose_kept, downscale, pack_predictions
from harness.records import Counts, Examples, Predictions
from harness.train.batches import Batch, cut, read_images, send
from harness.train.chunked_argmax import label_pixels
from harness.train.regions import REGIONS, Confusion, count_confusion, count_regions
from harness.train.setup import Bench, forward, forward_batch, mixed_precision, total_loss

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


class Forwarded(NamedTuple):
    """A batch of a split after the model."""

    places: list[int]
    """Which of the split's images."""
    batch: Batch
    logits_BCHW: torch.Tensor
    """float32, at input size."""
    auxiliary: Sequence[tuple[float, torch.Tensor]]


@torch.inference_mode()
def evaluate(bench: Bench, split_name: str) -> Judged:
    """Evaluate the present weights on every image of a split, each at the size that `evaluate.size` says.

    On a GPU predictions are made and counted there; losses and counts are read once, at the end.
    """
    split, classes = bench.splits[split_name], bench.source.taxonomy.classes
    confusions: list[torch.Tensor] = []
    losses: list[torch.Tensor] = []
    for item in _forward_split(bench, split_name):
        loss, counted = judge_images(bench, split_name, item)
        losses += [loss] * len(item.places)
        confusions += counted
    loss_sum = 0.0
    for value in torch.stack(losses).tolist():
        loss_sum += value
    confusions_NCC = list(torch.stack(confusions).cpu().numpy())
    return Judged(make_counts(confusions_NCC, split.names, split.groups, classes), loss_sum / len(split))


@torch.inference_mode()
def evaluate_closely(bench: Bench, split_name: str, *, keep: int) -> Closely:
    """Evaluate the present weights as `evaluate` does, count regions of each image, and keep up to `keep` pictures."""
    split, classes = bench.splits[split_name], bench.source.taxonomy.classes
    confusions: list[Confusion] = []
    by_region: dict[str, list[Confusion]] = {name: [] for name in REGIONS}
    wanted, kept = set(choose_kept(len(split), keep)), dict[int, Seen]()
    for item in _forward_split(bench, split_name):
        for place, logits_CHW in zip(item.places, item.logits_BCHW, strict=True):
            label_HW = split.judged_label(place)
            predicted_HW = label_pixels(logits_CHW, label_HW.shape).cpu().numpy()
            regions = count_regions(predicted_HW, label_HW, len(classes))
            for name, confusion in regions.items():
                by_region[name].append(confusion)
            confusions.append(regions["border"] + regions["interior"])
            if place in wanted:
                kept[place] = Seen(*map(downscale, (split.pair(place)[0], label_HW, predicted_HW)))
    return Closely(
        make_counts(confusions, split.names, split.groups, classes),
        {name: make_counts(found, split.names, split.groups, classes) for name, found in by_region.items()},
        pack_predictions([split.names[index] for index in kept], list(kept.values())),
    )


def _forward_split(bench: Bench, split_name: str) -> Iterator[Forwarded]:
    """Yield every image of a split in order, through the model."""
    bench.network.module.eval()
    for places in evaluation_batches(bench, split_name):
        yield forward_images(bench, split_name, places)


@torch.inference_mode()
def forward_images(bench: Bench, split_name: str, places: list[int]) -> Forwarded:
    """Put some images of a split through the model together; it is in evaluation mode."""
    batch = _load(bench, split_name, places)
    with mixed_precision(bench):
        logits_BCHW, auxiliary = forward_batch(bench, split_name, batch)
    return Forwarded(places, batch, logits_BCHW.float(), auxiliary)


def judge_images(bench: Bench, split_name: str, item: Forwarded) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Return the loss of some images together, and the confusion matrix of each."""
    split, num_classes = bench.splits[split_name], len(bench.source.taxonomy.classes)
    loss = total_loss(bench, item.logits_BCHW, item.auxiliary, item.batch.labels_BHW.long())
    images = zip(item.places, item.logits_BCHW, item.batch.labels_BHW, strict=True)
    return loss, [_count(logits_CHW, split.judged_label(i), seen_HW, num_classes) for i, logits_CHW, seen_HW in images]


def _count(logits_CHW: torch.Tensor, label_HW: Label, seen_HW: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Count pixels of (true, predicted), [C, C], where the logits are; `seen_HW` is the label at input size, there."""
    predicted_HW = label_pixels(logits_CHW, label_HW.shape)
    if predicted_HW.device.type == "cpu":
        return torch.from_numpy(count_confusion(predicted_HW.numpy(), label_HW, num_classes))
    if seen_HW.shape != label_HW.shape:
        seen_HW = send(torch.tensor(label_HW), predicted_HW.device)
    return count_confusion_device(predicted_HW, seen_HW, num_classes)


def count_confusion_device(predicted_HW: torch.Tensor, label_HW: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Do what `count_confusion` does, with uint8 tensors on any device; int64 [C, C] on theirs."""
    keys_N = (label_HW.long() * num_classes + predicted_HW).flatten()
    counted = torch.zeros(num_classes * (IGNORE + 1), dtype=torch.int64, device=keys_N.device)
    counted.scatter_add_(
        0, keys_N, torch.ones_like(keys_N)
    )  # a histogram would wait for the GPU: it has no fixed length
    return counted[: num_classes * num_classes].view(num_classes, num_classes)


def evaluation_batches(bench: Bench, split_name: str) -> list[list[int]]:
    """Return batches of neighbouring images; where images keep their native size, each goes alone."""
    size = bench.at_once.evaluate or bench.config.evaluate.batch_size
    return cut(range(len(bench.splits[split_name])), size if bench.config.data.size != "native" else 1)


def _load(bench: Bench, split_name: str, places: list[int]) -> Batch:
    if (resident := bench.resident.get(split_name)) is not None:
        return resident.batch(places)
    return read_images(bench.splits[split_name], places).to(bench.device)


@torch.inference_mode()
def make_examples(bench: Bench) -> Examples:
    """Return a few validation images, evenly spaced (the same for every run on the data), with truth and prediction."""
    split = bench.splits["val"]
    bench.network.module.eval()
    chosen = choose_kept(len(split), EXAMPLES)
    seen = []
    for index in chosen:
        with mixed_precision(bench):
            logits_BCHW, _ = forward(bench, bench.normalize(_load(bench, "val", [index])))
        image_HWC, label_HW = split.pair(index)
        predicted_HW = label_pixels(logits_BCHW[0].float(), label_HW.shape).cpu().numpy()
        seen.append(Seen(*map(downscale, (image_HWC, label_HW, predicted_HW))))
    images, labels, predictions = zip(*seen, strict=True)
    return Examples(tuple(split.names[i] for i in chosen), images, labels, predictions)
