"""Auto batch size: which batch memory holds, found by trying: half of the one that it did not, a half of that, ..."""

from __future__ import annotations

import gc
import math
from dataclasses import replace

import torch

from harness.errors import RunFailed, is_out_of_memory
from harness.models.network import set_train_mode
from harness.records import RunConfig
from harness.train.batches import count_micro_batches, cut, make_batch
from harness.train.evaluate import evaluate_images, evaluation_batches
from harness.train.loop import add_gradient
from harness.train.memory import MicroBatch, Phase
from harness.train.setup import Setup


def fit_micro_batch(setup: Setup, phase: Phase, reason: str) -> MicroBatch:
    """Return the micro-batch with which a run goes on after memory ran out; trying it spoils the weights.

    Raises:
        RunFailed: `train.on_oom` is `fail`, and the message says which batch fits; or none does.
    """
    config = setup.config
    set_size = config.train.batch_size if phase == "train" else config.evaluate.batch_size
    tried: int = getattr(setup.micro_batch, phase) or set_size
    what = "training on" if phase == "train" else "evaluating"
    problem = f"out of memory while {what} {tried} images at once ({reason})"
    fitting = _find_fitting(setup, phase, tried)
    if fitting is None:
        raise RunFailed(f"{problem}; fewer did not fit either: a smaller data.size, augment.crop or model needs less")
    if config.train.on_oom == "fail":
        raise RunFailed(f"{problem}; a batch of {fitting} fits: set {_remedy(config, phase, fitting)}")
    return replace(setup.micro_batch, **{phase: fitting})


def _find_fitting(setup: Setup, phase: Phase, images: int) -> int | None:
    """Return how many images at once memory holds, tried on real ones; None where not even the fewest fit."""
    try_some = _train_some if phase == "train" else _evaluate_some
    # Halving, not a search for the largest: each try costs two steps, and what barely fits may not fit in a later one.
    least = setup.state.network.min_batch if phase == "train" else 1
    while (images := images // 2) >= least:
        _free(setup)
        try:
            try_some(setup, images)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        else:
            return images
        finally:
            _free(setup)
    return None


def _free(setup: Setup) -> None:
    setup.state.optimizer.zero_grad(set_to_none=True)
    gc.collect()
    if setup.device.type == "cuda":
        torch.cuda.empty_cache()


def _train_some(setup: Setup, images: int) -> None:
    """Make two steps of two batches each, as large as the largest micro-batch of a run: from the second step on,
    gradients and the optimizer's state lie in memory too.

    Of one batch where steps are replayed as a whole, which adds no gradients up.
    """
    train, data, network = setup.config.train, setup.data, setup.state.network
    set_train_mode(network, setup.config.model.freeze)
    largest = max(cut(range(len(data.splits["train"])), train.batch_size), key=len)
    places = largest[: math.ceil(len(largest) / count_micro_batches(len(largest), images, network.min_batch))]
    # Without its place, for what is in the feature cache needs less memory.
    batch = make_batch(data.splits["train"], places, data.augment, seed=0, epoch=1)._replace(places=())
    batch, whole = batch.to(setup.device), replace(setup, micro_batch=MicroBatch())
    batches = 1 if train.compile == "reduce-overhead" else 2
    for _ in range(2):
        setup.state.optimizer.zero_grad(set_to_none=True)
        for _ in range(batches):
            add_gradient(whole, batch, batches)
        setup.state.optimizer.step()


def _evaluate_some(setup: Setup, images: int) -> None:
    setup.state.network.module.eval()
    data, micro_batch = replace(setup.data, feature_caches={}), replace(setup.micro_batch, evaluate=images)
    setup = replace(setup, data=data, micro_batch=micro_batch)
    largest = max(evaluation_batches(setup, data.selects_on), key=len)
    with torch.inference_mode():
        evaluate_images(setup, data.selects_on, largest)


def _remedy(config: RunConfig, phase: Phase, fitting: int) -> str:
    if phase == "evaluate":
        return f"evaluate.batch_size: {fitting} (it changes no score but by rounding)"
    wanted = config.train.batch_size * config.train.accumulate
    steps = max(round(wanted / fitting), 1)
    changed = "" if steps * fitting == wanted else f" (a step of {steps * fitting} images instead of {wanted})"
    return f"train.batch_size: {fitting} and train.accumulate: {steps}{changed}, or train.on_oom: accumulate"
