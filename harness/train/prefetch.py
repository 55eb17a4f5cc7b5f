"""The batches of an epoch on the run's device, each with the pixels it shows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import chain, repeat
from typing import NamedTuple, TypeVar

import numpy as np
import torch

from harness.cores import count_cores
from harness.data.prepared import PreparedSplit
from harness.train.batch_augment import finish_batch, read_batch
from harness.train.batches import Batch, bytes_of_image, read_images, training_order
from harness.train.memory import noting_memory
from harness.train.metrics import count_shown
from harness.train.setup import Bench

Item = TypeVar("Item")
MOST_THREADS = 8
BYTES_AT_ONCE = 2**20
"""Of batches that are read together: they stay in the processor's own memory until they are used."""


class Fed(NamedTuple):
    """A batch as a step takes it."""

    batch: Batch
    """On the run's device."""
    shown_C: torch.Tensor
    """Labelled pixels of each class; on the device where augmentation makes counting necessary, else on the CPU."""


def feed(bench: Bench, epoch: int) -> Iterator[Fed]:
    """Yield the batches of an epoch."""
    config = bench.config
    order = training_order(len(bench.splits["train"]), config.train.batch_size, seed=config.seed, epoch=epoch)
    shown = repeat(None, len(order)) if bench.augment else _count_held(bench, order)
    batches = _read(bench, epoch, order)
    return (_finish(bench, epoch, *given) for given in zip(batches, shown, strict=True))


def _read(bench: Bench, epoch: int, order: Sequence[Sequence[int]]) -> Iterator[Batch]:
    """Yield batches from where the images lie.

    Where they have to be read for a GPU, threads read the next ones into the main memory while it computes: a picture
    depends on (seed, epoch, name) alone, so that who makes it changes nothing. On a CPU a thread would only take the
    core from the step.
    """
    config, split = bench.config, bench.splits["train"]
    if (resident := bench.resident.get("train")) is not None:
        return map(resident.batch, order)
    if bench.device.type == "cpu" and not bench.augment and config.data.size != "native":
        return read_together(split, order, bytes_of_image(config))
    makers = [partial(read_batch, config, split, bench.augment, places, epoch) for places in order]
    if bench.device.type == "cpu":
        return (make() for make in makers)
    return read_ahead(makers, min(count_cores(), MOST_THREADS))


def read_together(split: PreparedSplit, order: Sequence[Sequence[int]], image_bytes: int) -> Iterator[Batch]:
    """Yield batches as they are, the smallest many at a time: finding the bytes takes longer than copying them."""
    at_once = max(1, BYTES_AT_ONCE // (len(order[0]) * image_bytes))
    for first in range(0, len(order), at_once):
        part = order[first : first + at_once]
        yield from read_images(split, list(chain.from_iterable(part))).parts([len(places) for places in part])


def _count_held(bench: Bench, order: Sequence[Sequence[int]]) -> Iterable[torch.Tensor]:
    """Return the pixels of each class in each batch as the split holds them: without augmentation those are shown."""
    return torch.from_numpy(np.array([bench.pixels_IC[places].sum(axis=0) for places in order]))


def _finish(bench: Bench, epoch: int, batch: Batch, shown_C: torch.Tensor | None) -> Fed:
    with noting_memory("train"):
        batch = finish_batch(bench.config, bench.splits["train"], bench.augment, batch.to(bench.device), epoch)
        return Fed(batch, count_shown(batch.labels_BHW, bench.pixels_IC.shape[1]) if shown_C is None else shown_C)


def read_ahead(makers: Sequence[Callable[[], Item]], threads: int) -> Iterator[Item]:
    """Yield what each call returns, in their order; threads call them before they are asked for, two calls each."""
    waiting, ahead = deque(makers), deque[Future[Item]]()
    pool = ThreadPoolExecutor(threads)
    try:
        while waiting or ahead:
            while waiting and len(ahead) < 2 * threads:
                ahead.append(pool.submit(waiting.popleft()))
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
