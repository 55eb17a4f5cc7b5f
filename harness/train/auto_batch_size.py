"""Which batch memory holds, found by trying: half of the one that it did not, a half of that, and so on."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable
from dataclasses import replace

import torch

from harness.errors import RunFailed, is_out_of_memory
from harness.models.network import set_train_mode
from harness.train.batches import Batch, count_pieces, cut, make_batch
from harness.train.evaluate import evaluation_batches, forward_images, judge_images
from harness.train.memory import Phase
from harness.train.setup import AtOnce, Bench
from harness.train.step import add_gradient


def adapt(bench: Bench, phase: Phase, reason: str) -> AtOnce:
    """Return how many images at once a run goes on with after memory ran out; the bench's weights are spoilt by trying.

    Raises:
        RunFailed: `train.on_oom` is `fail`, and the message says which batch fits; or none does.
    """
    tried, fitting = images_at_once(bench, phase), find_fitting(bench, phase)
    what = "training on" if phase == "train" else "evaluating"
    problem = f"out of memory while {what} {tried} images at once ({reason})"
    if fitting is None:
        raise RunFailed(f"{problem}; fewer did not fit either: a smaller data.size, augment.crop or model needs less")
    if bench.config.train.on_oom == "fail":
        raise RunFailed(f"{problem}; a batch of {fitting} fits: set {_remedy(bench, phase, fitting)}")
    return replace(bench.at_once, **{phase: fitting})


def find_fitting(bench: Bench, phase: Phase) -> int | None:
    """Return how many images at once memory holds: half of those that it did not, or a half of that, and so on.

    Each is tried on real images. None where not even the fewest fit. The bench's weights are spoilt by it.
    """
    try_one = _train_some if phase == "train" else _evaluate_some
    least = bench.network.min_batch if phase == "train" else 1
    images = images_at_once(bench, phase) // 2
    while images >= least:
        if _fits(try_one, bench, images):
            return images
        images //= 2
    return None


def images_at_once(bench: Bench, phase: Phase) -> int:
    """Return the images that go through the network together in training, or in evaluation."""
    settings = bench.config.train if phase == "train" else bench.config.evaluate
    return getattr(bench.at_once, phase) or settings.batch_size


def _fits(try_one: Callable[[Bench, int], None], bench: Bench, images: int) -> bool:
    _free(bench)
    try:
        try_one(bench, images)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return False
    finally:
        _free(bench)
    return True


def _free(bench: Bench) -> None:
    bench.optimizer.zero_grad(set_to_none=True)
    gc.collect()
    if bench.device.type == "cuda":
        torch.cuda.empty_cache()


def _train_some(bench: Bench, images: int) -> None:
    """Make two steps of two pieces each: from the second on, gradients and the optimizer's state lie in memory too.

    Of one piece where steps are replayed as a whole, which adds no gradients up.
    """
    set_train_mode(bench.network, bench.config.model.freeze)
    piece, alone = _largest_piece(bench, images).to(bench.device), replace(bench, at_once=AtOnce())
    pieces = 1 if bench.config.train.compile == "reduce-overhead" else 2
    for _ in range(2):
        bench.optimizer.zero_grad(set_to_none=True)
        for _ in range(pieces):
            add_gradient(alone, piece, pieces)
        bench.optimizer.step()


def _largest_piece(bench: Bench, images: int) -> Batch:
    split = bench.splits["train"]
    largest = max(cut(range(len(split)), bench.config.train.batch_size), key=len)
    parts = count_pieces(len(largest), images, bench.network.min_batch)
    chosen = largest[: math.ceil(len(largest) / parts)]
    return make_batch(split, chosen, bench.augment, seed=0, epoch=1)._replace(places=())


def _evaluate_some(bench: Bench, images: int) -> None:
    bench.network.module.eval()
    bench = replace(bench, kept={}, at_once=replace(bench.at_once, evaluate=images))
    largest = max(evaluation_batches(bench, bench.selects_on), key=len)
    with torch.inference_mode():
        judge_images(bench, bench.selects_on, forward_images(bench, bench.selects_on, largest))


def _remedy(bench: Bench, phase: Phase, fitting: int) -> str:
    if phase == "evaluate":
        return f"evaluate.batch_size: {fitting} (it changes no score but by rounding)"
    config = bench.config.train
    wanted = config.batch_size * config.accumulate
    steps = max(round(wanted / fitting), 1)
    changed = "" if steps * fitting == wanted else f" (a step of {steps * fitting} images instead of {wanted})"
    return f"train.batch_size: {fitting} and train.accumulate: {steps}{changed}, or train.on_oom: accumulate"
