"""torchvision's segmentation models as networks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn
from torchvision.models import get_model, get_model_weights, get_weight

from harness.nets.channels import rebuild_first_conv
from harness.nets.network import Auxiliary, Network
from harness.nets.weights import CLASSIFICATION, fetch_state, load_state, read_state, require_one_start


@dataclass(frozen=True)
class Recipe:
    """What is particular to one of the models."""

    imagenet: str
    """The weights that torchvision itself begins this model's backbone with."""
    classifier: tuple[str, ...] = ("classifier.4.", "aux_classifier.4.")
    pools_to_one: bool = False
    """Whether BatchNorm follows a pooling of the whole image."""


RECIPES = {
    "deeplabv3_resnet50": Recipe("ResNet50_Weights.IMAGENET1K_V1", pools_to_one=True),
    "deeplabv3_resnet101": Recipe("ResNet101_Weights.IMAGENET1K_V1", pools_to_one=True),
    "deeplabv3_mobilenet_v3_large": Recipe("MobileNet_V3_Large_Weights.IMAGENET1K_V1", pools_to_one=True),
    "fcn_resnet50": Recipe("ResNet50_Weights.IMAGENET1K_V1"),
    "lraspp_mobilenet_v3_large": Recipe(
        "MobileNet_V3_Large_Weights.IMAGENET1K_V1",
        classifier=("classifier.low_classifier.", "classifier.high_classifier."),
    ),
}


def make_torchvision(
    name: str, num_classes: int, in_channels: int, *, weights: str, backbone_weights: str, aux_weight: float = 0.0
) -> Network:
    """Return one of torchvision's segmentation models, with an auxiliary head where `aux_weight` is above 0.

    `weights` (whole model) and `backbone_weights` are `none`, `default` or the path of a state dict; without both the
    weights are random, drawn from torch's own generator.

    Raises:
        InputError: weights cannot be had or do not fit, or both kinds are given.
    """
    require_one_start(weights, backbone_weights)
    recipe = RECIPES[name]
    module = get_model(name, weights=None, weights_backbone=None, num_classes=num_classes, aux_loss=aux_weight > 0)
    notes = rebuild_first_conv(module, in_channels)
    if weights != "none":
        optional = (*recipe.classifier, "aux_classifier.")
        state, origin = _state_of(weights, get_model_weights(name).DEFAULT.url, "model.weights")
        notes += load_state(module, state, origin, optional=optional)
    elif backbone_weights != "none":
        state, origin = _state_of(backbone_weights, get_weight(recipe.imagenet).url, "model.backbone_weights")
        state = {key.removeprefix("features."): tensor for key, tensor in state.items()}  # MobileNet's name for them
        notes += load_state(module.backbone, state, origin, optional=CLASSIFICATION)
    return Network(
        module=module,
        read=lambda output: (output["out"], _auxiliary(module, output, aux_weight)),
        backbone=("backbone.",),
        classifier=recipe.classifier,
        min_batch=2 if recipe.pools_to_one else 1,
        min_batch_reason="normalises (BatchNorm) one value per channel of each image in its ASPP"
        if recipe.pools_to_one
        else "",
        notes=notes,
    )


def _state_of(weights: str, url: str, setting: str) -> tuple[dict[str, Tensor], str]:
    if weights == "default":
        return fetch_state(url, setting), url
    path = Path(weights).expanduser()
    return read_state(path), str(path)


def _auxiliary(module: nn.Module, output: dict[str, Tensor], aux_weight: float) -> Auxiliary:
    return ((aux_weight, output["aux"]),) if module.training and "aux" in output else ()
