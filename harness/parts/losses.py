"""Loss terms. Letters: B batch, C class, H, W.

Every term leaves pixels with label 255 out, and is 0 with gradient 0 for a batch that has no others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import Field

from harness.data.source import IGNORE
from harness.parts.class_weights import Rule, Weights, weigh_classes
from harness.registry import part
from harness.settings import Fraction, NonNegative

if TYPE_CHECKING:
    from torch import Tensor
    from torch import device as torch_device
    from torch import dtype as torch_dtype

Loss: TypeAlias = "Callable[[Tensor, Tensor], Tensor]"
"""(logits_BCHW float, labels_BHW int64 with 255 = ignored) -> scalar."""
Pixels = npt.NDArray[np.int64]
ClassWeights = Rule | list[NonNegative]
Beta = Annotated[float, Field(ge=0, lt=1)]
SMALLEST = 1e-12
"""Divides a sum of no weights, which is 0, without making it undefined."""


@dataclass(frozen=True)
class ClassWeighted:
    """A loss that weighs classes, and says how: training measures what part of its gradient each class has.

    A loss that weighs classes and does not say so trains as well; its weight shares are then not recorded.
    """

    loss: Loss
    weights_C: Weights
    """The factor of a pixel of each class, before the mean over pixels."""

    def __call__(self, logits_BCHW: Tensor, labels_BHW: Tensor) -> Tensor:
        """Return the loss."""
        return self.loss(logits_BCHW, labels_BHW)


@part("loss")
def cross_entropy(
    class_pixels: Pixels,
    /,
    *,
    class_weights: ClassWeights = "none",
    beta: Beta = 0.999999,
    label_smoothing: Fraction = 0.0,
) -> Loss:
    """Cross-entropy, the mean over pixels weighted by the weight of each pixel's class.

    class_weights: none; inverse_frequency, median_frequency (Eigen & Fergus 2015) or effective_number (Cui et al. 2019,
    which reads beta), from the pixels of the training split: mean 1, and 0 for a class that has none; or a list, one
    weight for each class.
    """
    weights_C = weigh_classes(class_weights, class_pixels, beta)
    weights_like = _make_once(weights_C)

    def loss(logits_BCHW: Tensor, labels_BHW: Tensor) -> Tensor:
        from torch.nn import functional

        total = functional.cross_entropy(
            logits_BCHW,
            labels_BHW,
            weight=weights_like(logits_BCHW),
            ignore_index=IGNORE,
            reduction="sum",
            label_smoothing=label_smoothing,
        )
        return total / _pixel_weights(logits_BCHW, labels_BHW, weights_like(logits_BCHW)).sum().clamp_min(SMALLEST)

    return loss if weights_C is None else ClassWeighted(loss, weights_C)


@part("loss")
def focal(
    class_pixels: Pixels,
    /,
    *,
    gamma: NonNegative = 2.0,
    class_weights: ClassWeights = "none",
    beta: Beta = 0.999999,
) -> Loss:
    """Focal loss on softmax probabilities (Lin et al. 2017, eq. 5, its alpha being class_weights).

    gamma 0 is cross_entropy with the same class_weights. (That of segmentation_models_pytorch is one class against all
    others, on sigmoids: another loss.)
    """
    weights_C = weigh_classes(class_weights, class_pixels, beta)
    weights_like = _make_once(weights_C)

    def loss(logits_BCHW: Tensor, labels_BHW: Tensor) -> Tensor:
        from torch.nn import functional

        surprise_BHW = functional.cross_entropy(logits_BCHW, labels_BHW, ignore_index=IGNORE, reduction="none")
        # 1 - p, kept from 0, where a power below 1 has no slope
        missing_BHW = (-(-surprise_BHW).expm1()).clamp_min(SMALLEST)
        weights_BHW = _pixel_weights(logits_BCHW, labels_BHW, weights_like(logits_BCHW))
        return (weights_BHW * missing_BHW**gamma * surprise_BHW).sum() / weights_BHW.sum().clamp_min(SMALLEST)

    return loss if weights_C is None else ClassWeighted(loss, weights_C)


@part("loss")
def dice(*, smooth: NonNegative = 0.0) -> Loss:
    """1 - soft Dice coefficient of each class over the batch (Milletari et al. 2016), mean over all classes.

    A class without a pixel in the batch counts as 0. smooth is added above and below the fraction.
    """
    return _smp_loss("DiceLoss", smooth=smooth, ignore_index=IGNORE)


@part("loss")
def jaccard(*, smooth: NonNegative = 0.0) -> Loss:
    """1 - soft intersection over union of each class over the batch (Rahman & Wang 2016), mean over all classes.

    A class without a pixel in the batch counts as 0. smooth is added above and below the fraction.
    """
    # Tversky's with these factors; JaccardLoss itself cannot ignore pixels in every version of the library
    return _smp_loss("TverskyLoss", alpha=1.0, beta=1.0, smooth=smooth, ignore_index=IGNORE)


@part("loss")
def tversky(*, alpha: NonNegative = 0.3, beta: NonNegative = 0.7, smooth: NonNegative = 0.0) -> Loss:
    """Dice with a factor on false positives (alpha) and on false negatives (beta) (Salehi et al. 2017); 0.5, 0.5: Dice.

    A class without a pixel in the batch counts as 0. smooth is added above and below the fraction.
    """
    return _smp_loss("TverskyLoss", alpha=alpha, beta=beta, smooth=smooth, ignore_index=IGNORE)


@part("loss")
def lovasz() -> Loss:
    """Lovasz-Softmax, a surrogate of the batch's mean IoU over classes it has (Berman et al. 2018, eq. 11)."""
    of_some_pixels = _smp_loss("LovaszLoss", ignore_index=IGNORE)

    def loss(logits_BCHW: Tensor, labels_BHW: Tensor) -> Tensor:
        if not (labels_BHW != IGNORE).any():  # smp's would be an empty tensor
            return (logits_BCHW * 0).sum()
        return of_some_pixels(logits_BCHW, labels_BHW)

    return loss


def _smp_loss(name: str, **settings: Any) -> Loss:
    import segmentation_models_pytorch as smp

    loss: Loss = getattr(smp.losses, name)(mode=smp.losses.MULTICLASS_MODE, **settings)
    return loss


def _make_once(weights_C: Weights | None) -> Callable[[Tensor], Tensor | None]:
    """Return what gives class weights as a tensor like another, or None.

    It is made once for each device: sending one to a GPU waits for all that the GPU has been asked before.
    """

    @cache
    def make(device: torch_device, dtype: torch_dtype) -> Tensor:
        import torch

        with torch.inference_mode(False):  # the first to ask may be an evaluation; training must be able to use it
            return torch.tensor(weights_C, device=device, dtype=dtype)

    return lambda like: None if weights_C is None else make(like.device, like.dtype)


def _pixel_weights(logits_BCHW: Tensor, labels_BHW: Tensor, weights_C: Tensor | None) -> Tensor:
    """Return the weight of each pixel's class, 0 where the pixel is ignored, [B, H, W]."""
    valid_BHW = labels_BHW != IGNORE
    if weights_C is None:
        return valid_BHW.to(logits_BCHW.dtype)
    return weights_C[labels_BHW.where(valid_BHW, 0)] * valid_BHW
