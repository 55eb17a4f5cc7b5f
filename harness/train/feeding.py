"""The batches of an epoch on the run's device, each with the pixels it shows."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, TypeVar

import torch

from harness.train.batches import Batch, training_order
from harness.train.measures import count_shown
from harness.train.memory import noting_memory
from harness.train.sampling import finish_batch, read_batch
from harness.train.workbench import Bench

Item = TypeVar("Item")
MOST_THREADS = 8


class Fed(NamedTuple):
    """A batch as a step takes it."""

    batch: Batch
    """On the run's device."""
    shown_C: torch.Tensor
    """Labelled pixels of each class, on the device too."""


def feed(bench: Bench, epoch: int) -> Iterator[Fed]:
    """Yield the batches of an epoch.

    Where they have to be read and sent to a GPU, the next ones are made by threads while it computes: a picture depends
    on (seed, epoch, name) alone, so that who makes it changes nothing. On a CPU a thread would only take the core from
    the step.
    """
    config, split = bench.config, bench.splits["train"]
    order = training_order(len(split), config.train.batch_size, seed=config.seed, epoch=epoch)
    makers = [partial(_make, bench, epoch, places) for places in order]
    if bench.device.type == "cpu" or "train" in bench.resident:
        return (make() for make in makers)
    return read_ahead(makers, min(len(os.sched_getaffinity(0)), MOST_THREADS))


def _make(bench: Bench, epoch: int, places: list[int]) -> Fed:
    config, split, resident = bench.config, bench.splits["train"], bench.resident.get("train")
    with noting_memory("train"):
        if resident is None:
            batch = read_batch(config, split, bench.augment, places, epoch).to(bench.device)
        else:
            batch = resident.batch(places)
        batch = finish_batch(config, split, bench.augment, batch, epoch)
        return Fed(batch, count_shown(batch.labels_BHW, len(bench.held_C)))


def read_ahead(makers: Sequence[Callable[[], Item]], threads: int) -> Iterator[Item]:
    """Yield what each call returns, in their order; threads call them before they are asked for, two calls each."""
    waiting, ahead = deque(makers), deque[Future[Item]]()
    with ThreadPoolExecutor(threads) as pool:
        while waiting or ahead:
            while waiting and len(ahead) < 2 * threads:
                ahead.append(pool.submit(waiting.popleft()))
            yield ahead.popleft().result()
