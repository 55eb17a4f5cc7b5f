"""The batches of an epoch on the run's device.

There is no DataLoader, since there is next to nothing to load. Images lie decoded and resized in a file that is mapped
into memory (`harness.data.prepared`), or all of them on the GPU (`harness.train.gpu_dataset`): a batch is a copy of
rows of an array, and worker processes would take the cores that compute, to send it through a pipe. What a picture
becomes in an epoch depends on (seed, epoch, its name) alone, not on who makes it or on what was drawn before: so there
is no state of workers to restore when a run goes on after an interruption.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import chain
from typing import TypeVar

import torch

from harness.data.prepared import PreparedSplit
from harness.environment import count_cores
from harness.records import RunConfig
from harness.train.batch_augment import finish_batch, read_batch
from harness.train.batches import Batch, bytes_of_image, read_images, training_order
from harness.train.memory import translate_oom
from harness.train.setup import TrainData

Item = TypeVar("Item")
MOST_THREADS = 8
BYTES_AT_ONCE = 2**20
"""Of batches that are read together: they stay in the processor's own memory until they are used."""


def prefetch(config: RunConfig, data: TrainData, device: torch.device, epoch: int) -> Iterator[Batch]:
    """Yield the batches of an epoch on the run's device, augmented, in their order."""
    split = data.splits["train"]
    order = training_order(len(split), config.train.batch_size, seed=config.seed, epoch=epoch)
    makers = (partial(read_batch, config, split, data.augment, places, epoch) for places in order)
    if (on_gpu := data.gpu_datasets.get("train")) is not None:
        batches: Iterator[Batch] = map(on_gpu.batch, order)
    elif device.type != "cpu":  # threads read the next ones into the main memory while the GPU computes
        batches = read_ahead(list(makers), min(count_cores(), MOST_THREADS))
    elif data.augment or config.data.size == "native":  # here a thread would only take the core from the step
        batches = (make() for make in makers)
    else:
        batches = read_together(split, order, bytes_of_image(config))
    for batch in batches:
        with translate_oom("train"):
            sent = finish_batch(config, split, data.augment, batch.to(device), epoch)
        yield sent


def read_together(split: PreparedSplit, order: Sequence[Sequence[int]], image_bytes: int) -> Iterator[Batch]:
    """Yield batches as they are, the smallest many at a time: finding the bytes takes longer than copying them."""
    at_once = max(1, BYTES_AT_ONCE // (len(order[0]) * image_bytes))
    for first in range(0, len(order), at_once):
        part = order[first : first + at_once]
        yield from read_images(split, list(chain.from_iterable(part))).parts([len(places) for places in part])


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
