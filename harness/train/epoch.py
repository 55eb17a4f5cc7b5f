"""One epoch of training steps. Nothing here looks at a number on a GPU before the epoch's end."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from itertools import islice

import torch

from harness.errors import RunFailed
from harness.models.network import set_train_mode
from harness.train.batches import cut
from harness.train.memory import noting_memory
from harness.train.metrics import clip_gradient, measure_gradient, measure_shown
from harness.train.prefetch import feed
from harness.train.seeding import seed_torch
from harness.train.setup import Bench
from harness.train.step import add_gradient


def train_epoch(bench: Bench, epoch: int, scores: Sequence[float]) -> dict[str, float]:
    """Train one epoch, and return what it measured: `train/loss`, `train/images_per_s`, ...

    `scores` are those of the epochs before, which a schedule may look at.

    Raises:
        RunFailed: the loss is not finite; epoch, step and learning rates are named.
        OutOfMemory: memory does not hold a step; the bench is then spoilt.
    """
    config = bench.config.train
    seed_torch(bench.config.seed, "dropout", epoch)
    set_train_mode(bench.network, bench.config.model.freeze)
    trainable = [parameter for parameter in bench.network.module.parameters() if parameter.requires_grad]
    steps = len(cut(range(len(bench.splits["train"])), config.batch_size))
    losses: list[torch.Tensor] = []
    weights: list[int] = []
    norms: list[torch.Tensor] = []
    shown: list[torch.Tensor] = []
    began = time.perf_counter()
    batches = feed(bench, epoch)
    while group := list(islice(batches, config.accumulate)):
        _set_lr(bench, bench.schedule(epoch - 1 + len(losses) / steps, list(scores)))
        for parameter in trainable:  # the optimizer's zero_grad takes three times as long for the same
            parameter.grad = None
        with noting_memory("train"):
            for item in group:
                losses.append(add_gradient(bench, item.batch, len(group)))
                weights.append(len(item.batch.labels_BHW))
                shown.append(item.shown_C)
            if bench.device.type == "cpu":  # on a GPU looking at a loss waits for it: there, once an epoch
                _require_finite(bench, map(float, losses[-len(group) :]), epoch, len(losses) - len(group), steps)
            norms.append(clip_gradient(trainable, config.clip_norm))
            bench.optimizer.step()
    _require_finite(bench, torch.stack(losses).tolist(), epoch, 0, steps)
    seconds = time.perf_counter() - began
    train_loss = float(torch.stack(losses) @ torch.tensor(weights, dtype=torch.float32, device=bench.device))
    return {
        "train/loss": train_loss / sum(weights),
        "train/images_per_s": sum(weights) / seconds,
        **measure_gradient(norms),
        **measure_shown(bench.source.taxonomy.classes, shown, bench.pixels_IC.sum(axis=0), bench.class_weights_C),
    }


def _set_lr(bench: Bench, factor: float) -> None:
    for group in bench.optimizer.param_groups:
        group["lr"] = bench.base_lr[group["name"]] * factor


def _require_finite(bench: Bench, losses: Iterable[float], epoch: int, done: int, steps: int) -> None:
    for step, loss in enumerate(losses, start=done + 1):
        if not math.isfinite(loss):
            rates = ", ".join(f"{group['name']} {group['lr']:.3g}" for group in bench.optimizer.param_groups)
            raise RunFailed(
                f"the loss is {loss} at epoch {epoch}, step {step} of {steps}, learning rate {rates}; a lower "
                "optimizer.lr, schedule.warmup or train.clip_norm may help"
            )
