"""From batches in the main memory to batches on the device, each with the pixels it shows."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from harness.train.batches import Batch, training_batches
from harness.train.measures import Pixels, count_shown
from harness.train.memory import noting_memory
from harness.train.workbench import Bench

Item = TypeVar("Item")


class Fed(NamedTuple):
    """A batch as a step takes it."""

    batch: Batch
    """On the run's device."""
    shown_C: Pixels
    """Labelled pixels of each class, counted where the labels were made: a GPU would have to be waited for."""


def feed(bench: Bench, epoch: int) -> Iterator[Fed]:
    """Yield the batches of an epoch.

    On a GPU the next one is made and sent by a thread while the GPU computes: a picture depends on (seed, epoch, name)
    alone, so that who makes it changes nothing. On a CPU a thread would only take the core from the step.
    """
    batches = training_batches(
        bench.splits["train"], bench.augment, bench.config.train.batch_size, seed=bench.config.seed, epoch=epoch
    )
    fed = (_send(bench, batch) for batch in batches)
    return fed if bench.device.type == "cpu" else read_ahead(fed)


def _send(bench: Bench, batch: Batch) -> Fed:
    with noting_memory("train"):
        return Fed(batch.to(bench.device), count_shown(batch.labels_BHW, len(bench.held_C)))


def read_ahead(items: Iterator[Item], most: int = 2) -> Iterator[Item]:
    """Yield the same items in the same order; a thread makes up to `most` of them before they are asked for."""
    with ThreadPoolExecutor(1) as pool:
        ahead = [pool.submit(next, items, None) for _ in range(most)]
        while (item := ahead.pop(0).result()) is not None:
            ahead.append(pool.submit(next, items, None))
            yield item
