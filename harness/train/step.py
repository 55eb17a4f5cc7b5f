"""One batch's part in a training step."""

from __future__ import annotations

import torch

from harness.train.batches import Batch
from harness.train.setup import Bench, forward_batch, mixed_precision, scaled, total_loss


def add_gradient(bench: Bench, batch: Batch, batches: int) -> torch.Tensor:
    """Add the gradient of a batch, one of so many in a step, to that of the weights; return the batch's loss, detached.

    Where memory does not hold the batch (`bench.at_once`) it goes through in pieces, each weighted by its share of the
    images. That is the gradient of the whole batch if each image's loss is its own. It is not exactly so for what looks
    at a batch as one: BatchNorm normalises each piece by its own statistics and moves its running ones with each piece,
    dropout draws anew for each, and a mean over labelled pixels, or Dice, is taken over each piece.
    """
    images, losses = len(batch.labels_BHW), []
    for piece in batch.pieces(bench.at_once.train, bench.network.min_batch):
        share = len(piece.labels_BHW) / images
        with mixed_precision(bench):
            logits_BCHW, auxiliary = forward_batch(bench, "train", piece)
        loss = scaled(total_loss(bench, logits_BCHW.float(), auxiliary, piece.labels_BHW.long()), share)
        torch.autograd.backward(loss / batches if batches > 1 else loss)
        losses.append(loss.detach())
    return torch.stack(losses).sum() if len(losses) > 1 else losses[0]
