"""Training, top to bottom: the epochs of a run, the steps of an epoch, a batch's part in a step.

`train` yields each finished epoch; others listen, store and draw. Where batches come from, and why by no DataLoader,
says `harness.train.prefetch`. Nothing here looks at a number on a GPU before an epoch's end.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import torch

from harness.errors import RunFailed
from harness.models.network import set_train_mode
from harness.records import GROUP_PREFIX, Progress
from harness.scores import all_scores, iou_class, score_groups
from harness.settings import EarlyStop
from harness.train.batches import Batch, cut
from harness.train.evaluate import evaluate
from harness.train.forward import forward, scaled, total_loss
from harness.train.memory import translate_oom
from harness.train.metrics import clip_gradient, count_shown, measure_gradient, measure_shown
from harness.train.prefetch import prefetch
from harness.train.seeding import seed_torch
from harness.train.setup import Setup, TrainData, TrainState


def train(setup: Setup, history: Sequence[Progress] = ()) -> Iterator[Progress]:
    """Train, and yield each finished epoch. A run that goes on gives the epochs that it has finished as `history`.

    When an epoch is yielded `setup.state` holds its weights; they may be saved before the next one is asked for. A run
    that starts from another's weights yields epoch 0 first, its start. That is never its best epoch, and early stopping
    does not look at it; a run of 0 epochs has no other.

    Raises:
        RunFailed: the loss is not finite; epoch, step and learning rates are named.
        OutOfMemory: memory does not hold a step, or an evaluation; weights and optimizer are then spoilt.
    """
    config, select_on, done = setup.config.train, f"val/{setup.config.evaluate.select_on}", list(history)
    shows_start = setup.warm or config.epochs == 0
    for epoch in range(done[-1].epoch + 1 if done else 0 if shows_start else 1, config.epochs + 1):
        if config.early_stop and stops_early(done, config.early_stop):
            return
        scores = [item.metrics[select_on] for item in done if item.epoch > 0]
        metrics = train_epoch(setup, epoch, scores) if epoch > 0 else {}
        metrics |= _evaluate_epoch(setup)
        if epoch > 0:
            metrics |= {f"lr/{group['name']}": float(group["lr"]) for group in setup.state.optimizer.param_groups}
        metrics |= setup.micro_batch.metrics()
        is_candidate = epoch > 0 or config.epochs == 0
        improved = is_candidate and all(_is_higher(metrics[select_on], score) for score in scores)
        done.append(Progress(epoch, config.epochs, metrics, improved, time.time_ns() // 1_000_000))
        yield done[-1]


def train_epoch(setup: Setup, epoch: int, scores: Sequence[float] = ()) -> dict[str, float]:
    """Train one epoch, and return what it measured: `train/loss`, `train/images_per_s`, ...

    `scores` are those of the epochs before, which a schedule may look at.

    Raises:
        RunFailed: the loss is not finite; epoch, step and learning rates are named.
        OutOfMemory: memory does not hold a step; weights and optimizer are then spoilt.
    """
    config, data, state = setup.config, setup.data, setup.state
    seed_torch(config.seed, "dropout", epoch)
    set_train_mode(state.network, config.model.freeze)
    trainable = [parameter for parameter in state.network.module.parameters() if parameter.requires_grad]
    num_batches = len(cut(range(len(data.splits["train"])), config.train.batch_size))
    losses, norms, shown = (list[torch.Tensor]() for _ in range(3))
    sizes: list[int] = []
    began = time.perf_counter()
    batches = prefetch(config, data, setup.device, epoch)
    while step := list(islice(batches, config.train.accumulate)):
        factor = state.schedule(epoch - 1 + len(losses) / num_batches, list(scores))
        for group in state.optimizer.param_groups:
            group["lr"] = state.base_lr[group["name"]] * factor
        for parameter in trainable:  # the optimizer's zero_grad takes three times as long for the same
            parameter.grad = None
        with translate_oom("train"):
            for batch in step:
                losses.append(add_gradient(setup, batch, len(step)))
                sizes.append(len(batch.labels_BHW))
                shown.append(_count_shown(data, batch))
            if setup.device.type == "cpu":  # on a GPU looking at a loss waits for it: there, once an epoch
                first = len(losses) - len(step)
                _require_finite(state, map(float, losses[first:]), f"epoch {epoch}", first, num_batches)
            norms.append(clip_gradient(trainable, config.train.clip_norm))
            state.optimizer.step()
    _require_finite(state, torch.stack(losses).tolist(), f"epoch {epoch}", 0, num_batches)
    seconds = time.perf_counter() - began
    train_loss = float(torch.stack(losses) @ torch.tensor(sizes, dtype=torch.float32, device=setup.device))
    return {
        "train/loss": train_loss / sum(sizes),
        "train/images_per_s": sum(sizes) / seconds,
        **measure_gradient(norms),
        **measure_shown(data.source.taxonomy.classes, shown, data.pixels_IC.sum(axis=0), state.class_weights_C),
    }


def add_gradient(setup: Setup, batch: Batch, batches: int) -> torch.Tensor:
    """Add the gradient of a batch, one of so many in a step, to that of the weights; return the batch's loss, detached.

    Where memory does not hold the batch it goes through in micro-batches, each weighted by its share of the images.
    That is the gradient of the whole batch if each image's loss is its own. It is not exactly so for what looks at a
    batch as one: BatchNorm normalises each micro-batch by its own statistics and moves its running ones with each,
    dropout draws anew for each, and a mean over labelled pixels, or Dice, is taken over each.
    """
    losses = []
    for part in batch.micro_batches(setup.micro_batch.train, setup.state.network.min_batch):
        logits_BCHW, auxiliary = forward(setup, "train", part)
        share = len(part.labels_BHW) / len(batch.labels_BHW)
        loss = scaled(total_loss(setup.state.loss, logits_BCHW, auxiliary, part.labels_BHW.long()), share)
        torch.autograd.backward(loss / batches if batches > 1 else loss)
        losses.append(loss.detach())
    return torch.stack(losses).sum() if len(losses) > 1 else losses[0]


def _count_shown(data: TrainData, batch: Batch) -> torch.Tensor:
    """Return the labelled pixels of each class in a batch, [C]: without augmentation those that the split holds."""
    if data.augment:
        return count_shown(batch.labels_BHW, data.pixels_IC.shape[1])
    return torch.from_numpy(data.pixels_IC[list(batch.places)].sum(axis=0))


def _require_finite(state: TrainState, losses: Iterable[float], when: str, done: int, num_batches: int) -> None:
    for number, loss in enumerate(losses, start=done + 1):
        if not math.isfinite(loss):
            rates = ", ".join(f"{group['name']} {group['lr']:.3g}" for group in state.optimizer.param_groups)
            raise RunFailed(
                f"the loss is {loss} at {when}, step {number} of {num_batches}, learning rate {rates}; a lower "
                "optimizer.lr, schedule.warmup or train.clip_norm may help"
            )


def _evaluate_epoch(setup: Setup) -> dict[str, float]:
    """Evaluate the present weights on the split that chooses the best epoch, and return its metrics."""
    evaluated = setup.config.evaluate
    with translate_oom("evaluate"):
        counts, loss = evaluate(setup, setup.data.selects_on)
    by_group = score_groups(counts, evaluated.select_on) if evaluated.epochs_by == "group" else {}
    return {
        "val/loss": loss,
        **{f"val/{name}": value for name, value in all_scores(counts).items()},
        **{f"{GROUP_PREFIX}{group}": value for group, value in by_group.items()},
        **{f"val/iou/{n}": float(iou) for n, iou in zip(counts.classes, iou_class(counts.confusion_CC()), strict=True)},
    }


def _is_higher(value: float, earlier: float) -> bool:
    """Compare two scores; one that is not defined (NaN) is lower than any other, and the earlier one wins a tie."""
    return value > earlier or (math.isnan(earlier) and not math.isnan(value))


def stops_early(done: Sequence[Progress], rule: EarlyStop) -> bool:
    """Tell whether the watched score last rose more than `patience` epochs ago, among the epochs that were trained."""
    best, risen_at = -math.inf, 0
    trained = [item for item in done if item.epoch > 0]
    for item in trained:
        score = item.metrics[f"val/{rule.score}"]
        if score > best + rule.min_delta:
            best, risen_at = score, item.epoch
    return bool(trained) and trained[-1].epoch - risen_at >= rule.patience
