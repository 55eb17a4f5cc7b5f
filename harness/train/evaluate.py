"""Evaluation: images -> confusion matrices of single images. Letters: B batch, C class, H, W."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch

from harness.counts import make_counts
from harness.data.source import IGNORE, Label
from harness.predictions import PredictedImage, choose_evenly, downscale, pack_predictions
from harness.records import Counts, Examples, Predictions
from harness.train.batches import cut, send
from harness.train.chunked_argmax import label_pixels
from harness.train.forward import forward, total_loss
from harness.train.regions import REGIONS, Confusion, count_confusion, count_regions
from harness.train.setup import Setup

EXAMPLES = 4


class Evaluation(NamedTuple):
    """What evaluating one split gives."""

    counts: Counts
    loss: float
    """Mean over images of the run's own loss, at input size."""


class DetailedEvaluation(NamedTuple):
    """What evaluating one split in detail gives."""

    counts: Counts
    regions: Mapping[str, Counts]
    """Region -> counts within it."""
    predictions: Predictions


@torch.inference_mode()
def evaluate(setup: Setup, split_name: str) -> Evaluation:
    """Evaluate the present weights on every image of a split, each at the size that `evaluate.size` says.

    On a GPU predictions are made and counted there; losses and counts are read once, at the end.
    """
    split, classes = setup.data.splits[split_name], setup.data.source.taxonomy.classes
    losses, confusions = (list[torch.Tensor]() for _ in range(2))
    setup.state.network.module.eval()
    for places in evaluation_batches(setup, split_name):
        loss, counted = evaluate_images(setup, split_name, places)
        losses += [loss] * len(places)
        confusions += counted
    loss_sum = 0.0  # one by one: from Python 3.12 on `sum` rounds otherwise
    for value in torch.stack(losses).tolist():
        loss_sum += value
    confusions_NCC = list(torch.stack(confusions).cpu().numpy())
    return Evaluation(make_counts(confusions_NCC, split.names, split.groups, classes), loss_sum / len(split))


@torch.inference_mode()
def evaluate_in_detail(setup: Setup, split_name: str, *, keep: int) -> DetailedEvaluation:
    """Evaluate the present weights as `evaluate` does, count regions of each image, and keep up to `keep` pictures."""
    split, classes = setup.data.splits[split_name], setup.data.source.taxonomy.classes
    found: list[dict[str, Confusion]] = []
    wanted, kept = set(choose_evenly(len(split), keep)), dict[int, PredictedImage]()
    setup.state.network.module.eval()
    for places in evaluation_batches(setup, split_name):
        logits_BCHW, _ = forward(setup, split_name, setup.data.batch(split_name, places, setup.device))
        for place, logits_CHW in zip(places, logits_BCHW, strict=True):
            label_HW = split.judged_label(place)
            predicted_HW = label_pixels(logits_CHW, label_HW.shape).cpu().numpy()
            found.append(count_regions(predicted_HW, label_HW, len(classes)))
            if place in wanted:
                kept[place] = PredictedImage(*map(downscale, (split.pair(place)[0], label_HW, predicted_HW)))
    about = (split.names, split.groups, classes)
    return DetailedEvaluation(
        make_counts([regions["border"] + regions["interior"] for regions in found], *about),
        {name: make_counts([regions[name] for regions in found], *about) for name in REGIONS},
        pack_predictions([split.names[index] for index in kept], list(kept.values())),
    )


def evaluate_images(setup: Setup, split_name: str, places: Sequence[int]) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Return the loss of some images together, and the confusion matrix of each; the network evaluates already."""
    split, num_classes = setup.data.splits[split_name], len(setup.data.source.taxonomy.classes)
    batch = setup.data.batch(split_name, places, setup.device)
    logits_BCHW, auxiliary = forward(setup, split_name, batch)
    loss = total_loss(setup.state.loss, logits_BCHW, auxiliary, batch.labels_BHW.long())
    images = zip(places, logits_BCHW, batch.labels_BHW, strict=True)
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
    # Not torch.bincount: it must tell the length of its result first, for which the GPU would be waited for.
    counted.scatter_add_(0, keys_N, torch.ones_like(keys_N))
    return counted[: num_classes * num_classes].view(num_classes, num_classes)


def evaluation_batches(setup: Setup, split_name: str) -> list[list[int]]:
    """Return batches of neighbouring images; where images keep their native size, each goes alone."""
    size = setup.micro_batch.evaluate or setup.config.evaluate.batch_size
    return cut(range(len(setup.data.splits[split_name])), size if setup.config.data.size != "native" else 1)


@torch.inference_mode()
def make_examples(setup: Setup) -> Examples:
    """Return a few validation images, evenly spaced (the same for every run on the data), with truth and prediction."""
    split = setup.data.splits["val"]
    setup.state.network.module.eval()
    chosen = choose_evenly(len(split), EXAMPLES)
    seen = []
    for index in chosen:
        # Without their place, for the feature cache holds them as larger batches made them, which rounds otherwise.
        logits_BCHW, _ = forward(setup, "val", setup.data.batch("val", [index], setup.device)._replace(places=()))
        image_HWC, label_HW = split.pair(index)
        predicted_HW = label_pixels(logits_BCHW[0], label_HW.shape).cpu().numpy()
        seen.append(PredictedImage(*map(downscale, (image_HWC, label_HW, predicted_HW))))
    images, labels, predictions = zip(*seen, strict=True)
    return Examples(tuple(split.names[i] for i in chosen), images, labels, predictions)
