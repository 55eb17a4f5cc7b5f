"""Optimizers. `groups` are torch parameter groups, each with its own `lr` (that of the settings times a multiplier)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from harness.errors import InputError
from harness.registry import part
from harness.settings import NonNegative, Positive

if TYPE_CHECKING:
    from torch.optim import Optimizer

Groups = list[dict[str, Any]]
Decay = Annotated[float, Field(ge=0, lt=1)]
"""Share of an average that is kept at each step."""
Betas = tuple[Decay, Decay]
FEW_WEIGHTS = 2**20
"""A step on so many is made operation by operation; at 2 million that no longer pays."""


@part("optimizer")
def adam(
    groups: Groups, /, *, lr: Positive = 1e-3, weight_decay: NonNegative = 0.0, betas: Betas = (0.9, 0.999)
) -> Optimizer:
    """Adam (Kingma & Ba 2015); weight_decay is added to the gradient."""
    return _make("Adam", groups, lr=lr, weight_decay=weight_decay, betas=betas)


@part("optimizer")
def adamw(
    groups: Groups, /, *, lr: Positive = 1e-3, weight_decay: NonNegative = 0.01, betas: Betas = (0.9, 0.999)
) -> Optimizer:
    """Adam with weight decay apart from the gradient (Loshchilov & Hutter 2019)."""
    return _make("AdamW", groups, lr=lr, weight_decay=weight_decay, betas=betas)


@part("optimizer")
def sgd(
    groups: Groups,
    /,
    *,
    lr: Positive = 1e-2,
    weight_decay: NonNegative = 0.0,
    momentum: Decay = 0.9,
    momentum_form: Literal["classical", "nesterov"] = "classical",
) -> Optimizer:
    """Gradient descent with momentum; nesterov looks ahead (Sutskever et al. 2013)."""
    nesterov = momentum_form == "nesterov"
    if nesterov and momentum == 0:
        raise InputError("optimizer.momentum is 0, but momentum_form is nesterov: it needs a momentum, such as 0.9")
    return _make("SGD", groups, lr=lr, weight_decay=weight_decay, momentum=momentum, nesterov=nesterov)


def _make(name: str, groups: Groups, **settings: Any) -> Optimizer:
    """Return an optimizer of torch that takes a step in the order that is faster for so many weights.

    `foreach` goes through a step operation by operation, and not weight by weight; None leaves it to torch. The numbers
    are the same, bit for bit. On a CPU it saves a tenth of the time while the weights lie in the processor's own
    memory, and costs a tenth when they no longer do.
    """
    from torch import optim

    weights = [weight for group in groups for weight in group["params"]]
    few = sum(weight.numel() for weight in weights) <= FEW_WEIGHTS
    foreach = True if few and all(weight.device.type == "cpu" for weight in weights) else None
    optimizer: Optimizer = getattr(optim, name)(groups, foreach=foreach, **settings)
    return optimizer
