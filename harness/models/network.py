"""What harness asks of any segmentation model. Letters: B batch, C class, H, W."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from torch import Tensor, nn

Freeze = Literal["none", "backbone", "all_but_classifier"]
Auxiliary = tuple[tuple[float, Tensor], ...]
"""Weight in the loss and logits_BCHW of each auxiliary head."""
Features = tuple[Tensor, ...]
"""What leaves the frozen layers of a network; the first axis of each is the batch."""


@dataclass(frozen=True)
class Stages:
    """A module cut in two behind its frozen layers.

    `rest(features(images_BCHW), (H, W))` is what the module returns, made by the same operations in the same order.
    """

    features: Callable[[Tensor], Features]
    rest: Callable[[Features, tuple[int, int]], Any]
    """What `features` gave, and the images' height and width -> the module's output."""


@dataclass(frozen=True)
class Network:
    """A plain module, and how to read it. The record is frozen; the module's weights change."""

    module: nn.Module
    """Takes images_BCHW of any height and width. Its state dict is that of the plain model of its library."""
    read: Callable[[Any], tuple[Tensor, Auxiliary]]
    """The module's output -> logits_BCHW at input size, and the auxiliary heads' (none while the module evaluates)."""
    backbone: tuple[str, ...]
    """Prefixes of the names of the backbone's parameters; every other parameter belongs to the head."""
    classifier: tuple[str, ...]
    """Prefixes of the names of the last layers: those whose shape depends on the number of classes."""
    min_batch: int = 1
    """Fewest images that one training step can take."""
    notes: tuple[str, ...] = ()
    """What was done while building that a reader of the results should know."""
    stages: Mapping[Freeze, Stages] = field(default_factory=dict)
    """For what can be frozen, the module cut there; one that is not given is computed anew in each epoch."""
    still: frozenset[str] = frozenset()
    """Names of the parameters that do not move whatever `model.freeze` says, as `keep_still` finds them."""


def group_of(network: Network, parameter_name: str) -> Literal["backbone", "head"]:
    """Return the parameter group that a parameter belongs to."""
    return "backbone" if parameter_name.startswith(network.backbone) else "head"


def keep_still(network: Network) -> Network:
    """Return a network, just built, that keeps those parameters still that it was built with `requires_grad=False`.

    Adapters (LoRA; Hu et al. 2022) and prompts are trained in this way: all else has to stay as it was pretrained.
    """
    still = frozenset(name for name, parameter in network.module.named_parameters() if not parameter.requires_grad)
    return replace(network, still=still) if still else network


def kept_against(network: Network, which: Freeze) -> frozenset[str]:
    """Return the names of the parameters that only the model itself keeps still: `which` would have let them move."""
    return frozenset(name for name in network.still if not _is_frozen(network, name, which))


def freeze(network: Network, which: Freeze) -> None:
    """Let those parameters require gradients that neither `which` nor the model itself keeps still."""
    for name, parameter in network.module.named_parameters():
        parameter.requires_grad_(name not in network.still and not _is_frozen(network, name, which))


def set_norm_momentum(network: Network, momentum: float) -> None:
    """Set the share of each batch in the running statistics of the backbone's BatchNorm layers."""
    for name, layer in network.module.named_modules():
        if isinstance(layer, nn.BatchNorm2d) and name.startswith(network.backbone):
            layer.momentum = momentum


def set_train_mode(network: Network, which: Freeze) -> None:
    """Put the module in training mode, but its frozen layers entirely in evaluation mode.

    Frozen BatchNorm then keeps its running statistics and frozen Dropout drops nothing: what is frozen is one fixed
    function of its input, the one that the evaluation sees.
    """
    network.module.train()
    if which == "none":
        return
    for name, layer in network.module.named_modules():
        if name and _is_frozen(network, f"{name}.", which):
            layer.training = False


def _is_frozen(network: Network, name: str, which: Freeze) -> bool:
    if which == "backbone":
        return name.startswith(network.backbone)
    return which == "all_but_classifier" and not name.startswith(network.classifier)
