"""A batch through the network, and its loss: the same code in training and in evaluation. Letters: B, C, H, W."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

import torch

from harness.models.network import Auxiliary
from harness.parts.losses import Loss
from harness.train.batches import Batch
from harness.train.setup import Setup


def forward(setup: Setup, split_name: str, batch: Batch) -> tuple[torch.Tensor, Auxiliary]:
    """Return float32 logits_BCHW at input size, and weighted logits of auxiliary heads (none in evaluation).

    What frozen layers make of a whole batch of the split comes from the feature cache, where there is one.
    """
    setup.counter.add()
    network, normalize = setup.state.network, setup.data.normalize
    cache = setup.data.feature_caches.get(split_name) if batch.places else None
    mixed = setup.config.train.precision == "bfloat16"
    with torch.autocast(setup.device.type, dtype=torch.bfloat16) if mixed else nullcontext():
        if cache is None:
            output = network.module(normalize(batch))
        else:
            height, width = batch.labels_BHW.shape[1:]
            output = cache.output(batch.places, lambda: normalize(batch), (height, width))
        logits_BCHW, auxiliary = network.read(output)
    return logits_BCHW.float(), auxiliary


def total_loss(
    terms: Sequence[tuple[float, Loss]], logits_BCHW: torch.Tensor, auxiliary: Auxiliary, labels_BHW: torch.Tensor
) -> torch.Tensor:
    """Return the weighted sum of all terms, on the main logits and on those of auxiliary heads."""
    heads = [(1.0, logits_BCHW), *auxiliary]
    losses = [
        scaled(term(logits.float(), labels_BHW), share * weight) for share, logits in heads for weight, term in terms
    ]
    total = torch.stack(losses) if len(losses) > 1 else losses[0]
    return total.sum() if total.ndim else total


def scaled(loss: torch.Tensor, factor: float) -> torch.Tensor:
    """Return factor * loss. By 1, as most are, the loss itself: each operation has a backward of its own."""
    return loss if factor == 1 else factor * loss
