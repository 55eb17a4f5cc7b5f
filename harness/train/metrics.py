"""What an epoch's steps tell beside the loss: size and noise of the gradient, and the pixels that were really shown.

Letters: B batch, H, W, S step, C class. Nothing here changes a number of the training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from harness.data.source import IGNORE
from harness.records import SHOWN_PREFIX, SHOWN_SHARE_PREFIX, UNLABELLED_STEPS, WEIGHT_SHARE_PREFIX

Pixels = npt.NDArray[np.int64]
Weights = npt.NDArray[np.float64]
FEWEST_STEPS = 8
"""Steps below which the spread of the gradient norm over an epoch is not told: from 7 values a standard deviation is
known to a third of itself at best."""


def clip_gradient(trainable: Sequence[nn.Parameter], clip_norm: float | None) -> torch.Tensor:
    """Scale the gradient down to `clip_norm`, where it is given; return its L2 norm over all weights before that.

    What `torch.nn.utils.clip_grad_norm_` does, by the calls inside it: its first half asks of each gradient where it
    lies, and on a small network that takes longer than the norm. The norm stays on the device: reading it would wait.
    """
    gradients = [gradient for parameter in trainable if (gradient := parameter.grad) is not None]
    norm: torch.Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    if clip_norm is not None:
        nn.utils.clip_grads_with_norm_(trainable, clip_norm, norm)
    return norm


def count_shown(labels_BHW: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Return the pixels of each class in uint8 labels, ignored ones left out, int64 [C], where the labels are.

    A GPU would be waited for by a histogram, whose length it must tell first, and is not by a sum for each class.
    """
    if labels_BHW.device.type == "cpu":
        return torch.bincount(labels_BHW.flatten(), minlength=IGNORE + 1)[:num_classes]
    return torch.stack([(labels_BHW == index).sum() for index in range(num_classes)])


def measure_gradient(norms: Sequence[torch.Tensor]) -> dict[str, float]:
    """Return mean and noise of the gradient's norm over an epoch's steps.

    The noise is the coefficient of variation, sample standard deviation / mean, of the norms. It is no gradient noise
    scale (McCandlish et al. 2018, which needs the norm at two batch sizes): a norm that falls within the epoch adds to
    it, and noise in direction alone does not.
    """
    norm_S = torch.stack(list(norms)).double().cpu().numpy()
    mean = float(norm_S.mean())
    measured = {"train/grad_norm": mean}
    if len(norm_S) >= FEWEST_STEPS and mean > 0 and math.isfinite(mean):
        measured["train/grad_norm_cv"] = float(norm_S.std(ddof=1)) / mean
    return measured


def measure_shown(
    classes: Sequence[str], shown: Sequence[torch.Tensor], split_C: Pixels, weights_C: Weights | None
) -> dict[str, float]:
    """Return what an epoch showed of each class, against what the training split holds, and what class weights made of
    it.

    `shown` has the labelled pixels of each batch, as augmented; `split_C` those of the split without augmentation.

    train/unlabelled_batches: batches of which every pixel is ignored, where there are any.

    train/shown: pixels shown / pixels held, all classes together; train/shown/<class>: the same of one class (1: as
    without augmentation; a class that the split does not hold is left out).

    With class weights w also, as means over the batches that have any weight: train/weight_share/<class>,
    w_c n_c / sum of w_k n_k, and train/shown_share/<class>, n_c / sum of n_k, with n the pixels of a batch. A weighted
    cross-entropy is a mean over pixels with these weights, so the weight share is the class's part of the loss'
    gradient (with respect to the logits) while all pixels are equally wrong; what the class has learned lowers it.
    """
    shown_SC = torch.stack(list(shown)).double().cpu().numpy()
    shown_C = shown_SC.sum(axis=0)
    measured = {"train/shown": float(shown_C.sum() / split_C.sum())} if split_C.any() else {}
    if unlabelled := int((shown_SC.sum(axis=1) == 0).sum()):
        measured[UNLABELLED_STEPS] = float(unlabelled)
    measured |= {
        f"{SHOWN_PREFIX}{name}": float(shown_pixels / split_pixels)
        for name, shown_pixels, split_pixels in zip(classes, shown_C, split_C, strict=True)
        if split_pixels
    }
    if weights_C is None:
        return measured
    # A mean of shares, not the share of a sum: each batch has one gradient, however many pixels it has.
    counted_SC = shown_SC[(shown_SC @ weights_C) > 0]
    for prefix, pixels_SC in ((WEIGHT_SHARE_PREFIX, counted_SC * weights_C), (SHOWN_SHARE_PREFIX, counted_SC)):
        share_SC = pixels_SC / pixels_SC.sum(axis=1, keepdims=True)
        mean_C = share_SC.sum(axis=0) / max(len(share_SC), 1)
        measured |= {f"{prefix}{name}": float(share) for name, share in zip(classes, mean_C, strict=True)}
    return measured
