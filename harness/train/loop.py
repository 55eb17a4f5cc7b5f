"""The training loop, top to bottom. It yields each finished epoch; others listen, store and draw."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence

from harness.records import GROUP_PREFIX, Progress
from harness.scores import all_scores, iou_class, score_groups
from harness.settings import EarlyStop
from harness.train.epoch import train_epoch
from harness.train.evaluate import evaluate
from harness.train.memory import memory_metrics, noting_memory
from harness.train.setup import Bench


def train(bench: Bench, history: Sequence[Progress]) -> Iterator[Progress]:
    """Train from where `history` ends, and yield each finished epoch.

    When an epoch is yielded the bench holds its weights; they may be saved before the next one is asked for. A run that
    starts from another's weights yields epoch 0 first, its start. That is never its best epoch, and early stopping does
    not look at it; a run of 0 epochs has no other.

    Raises:
        RunFailed: the loss is not finite; epoch, step and learning rates are named.
        OutOfMemory: memory does not hold a step, or an evaluation; the bench is then spoilt.
    """
    config, done = bench.config.train, list(history)
    if not done and (bench.warm or config.epochs == 0):
        done.append(_judge(bench, 0, done, {}))
        yield done[-1]
    for epoch in range(done[-1].epoch + 1 if done else 1, config.epochs + 1):
        if config.early_stop and stops_early(done, config.early_stop):
            return
        scores = [item.metrics[f"val/{bench.config.evaluate.select_on}"] for item in done if item.epoch > 0]
        measured = train_epoch(bench, epoch, scores)
        done.append(_judge(bench, epoch, done, measured))
        yield done[-1]


def _judge(bench: Bench, epoch: int, done: Sequence[Progress], measured: dict[str, float]) -> Progress:
    evaluated = bench.config.evaluate
    with noting_memory("evaluate"):
        judged = evaluate(bench, bench.selects_on)
    scores = {f"val/{name}": value for name, value in all_scores(judged.counts).items()}
    ious = zip(judged.counts.classes, iou_class(judged.counts.confusion_CC()), strict=True)
    rates = {f"lr/{group['name']}": float(group["lr"]) for group in bench.optimizer.param_groups}
    by_group = score_groups(judged.counts, evaluated.select_on) if evaluated.epochs_by == "group" else {}
    metrics = {
        **measured,
        "val/loss": judged.loss,
        **scores,
        **{f"{GROUP_PREFIX}{group}": value for group, value in by_group.items()},
        **{f"val/iou/{name}": float(value) for name, value in ious},
        **(rates if measured else {}),
        **memory_metrics(bench.at_once),
    }
    select_on = f"val/{bench.config.evaluate.select_on}"
    epochs, earlier = bench.config.train.epochs, [item for item in done if item.epoch > 0]
    is_candidate = epoch > 0 or epochs == 0
    improved = is_candidate and all(_is_higher(metrics[select_on], item.metrics[select_on]) for item in earlier)
    return Progress(epoch, epochs, metrics, improved, time.time_ns() // 1_000_000)


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
