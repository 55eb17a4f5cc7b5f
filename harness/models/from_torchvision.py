"""torchvision's segmentation models as networks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import get_model, get_model_weights, get_weight

from harness.models.channels import rebuild_first_conv
from harness.models.network import Features, Freeze, Network, Stages
from harness.models.weights import CLASSIFICATION, fetch_state, load_state, read_state, require_one_start
from harness.registry import find_part


@dataclass(frozen=True)
class Recipe:
    """What is particular to one of the models."""

    imagenet: str
    """The weights that torchvision itself begins this model's backbone with."""
    classifier: tuple[str, ...] = ("classifier.4.", "aux_classifier.4.")


RECIPES = {
    "deeplabv3_resnet50": Recipe("ResNet50_Weights.IMAGENET1K_V1"),
    "deeplabv3_resnet101": Recipe("ResNet101_Weights.IMAGENET1K_V1"),
    "deeplabv3_mobilenet_v3_large": Recipe("MobileNet_V3_Large_Weights.IMAGENET1K_V1"),
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
        state, origin = _state_of(weights, get_model_weights(name).DEFAULT.url, "model.weights")
        notes += load_state(module, state, origin, optional=(*recipe.classifier, "aux_classifier."))
    elif backbone_weights != "none":
        state, origin = _state_of(backbone_weights, get_weight(recipe.imagenet).url, "model.backbone_weights")
        state = {key.removeprefix("features."): tensor for key, tensor in state.items()}  # MobileNet's name for them
        notes += load_state(module.backbone, state, origin, optional=CLASSIFICATION)
    return Network(
        module=module,
        read=lambda output: (
            output["out"],
            ((aux_weight, output["aux"]),) if module.training and "aux" in output else (),
        ),
        backbone=("backbone.",),
        classifier=recipe.classifier,
        min_batch=find_part("model", name).min_batch,
        notes=notes,
        stages=_cut_lraspp(module) if name.startswith("lraspp") else _cut(module),
    )


def _state_of(weights: str, url: str, setting: str) -> tuple[dict[str, Tensor], str]:
    if weights == "default":
        return fetch_state(url, setting), url
    path = Path(weights).expanduser()
    return read_state(path), str(path)


def _cut(module: Any) -> dict[Freeze, Stages]:
    """Return a model of one or two heads, each a sequence of layers, cut behind its backbone and before their last."""
    heads = {"out": module.classifier} | ({"aux": module.aux_classifier} if module.aux_classifier is not None else {})

    def backbone(images_BCHW: Tensor) -> Features:
        maps = module.backbone(images_BCHW)
        return tuple(maps[name] for name in heads)

    def run(pick: slice, features: Features) -> Features:
        parts = [nn.Sequential(*list(head)[pick]) for head in heads.values()]
        return tuple(layers(map_) for layers, map_ in zip(parts, features, strict=True))

    def enlarge(maps: Features, size: tuple[int, int]) -> dict[str, Tensor]:
        return {name: _resize(map_, size) for name, map_ in zip(heads, maps, strict=True)}

    return {
        "backbone": Stages(backbone, lambda features, size: enlarge(run(slice(None), features), size)),
        "all_but_classifier": Stages(
            lambda images_BCHW: run(slice(-1), backbone(images_BCHW)),
            lambda features, size: enlarge(run(slice(-1, None), features), size),
        ),
    }


def _cut_lraspp(module: Any) -> dict[Freeze, Stages]:
    """Return Lite R-ASPP cut behind its backbone, and before the two layers that classify."""
    head = module.classifier

    def backbone(images_BCHW: Tensor) -> Features:
        maps = module.backbone(images_BCHW)
        return maps["low"], maps["high"]

    def merge(images_BCHW: Tensor) -> Features:
        low, high = backbone(images_BCHW)
        return low, _resize(head.cbr(high) * head.scale(high), (low.shape[-2], low.shape[-1]))

    return {
        "backbone": Stages(
            backbone,
            lambda features, size: {"out": _resize(head(dict(zip(("low", "high"), features, strict=True))), size)},
        ),
        "all_but_classifier": Stages(
            merge,
            lambda features, size: {
                "out": _resize(head.low_classifier(features[0]) + head.high_classifier(features[1]), size)
            },
        ),
    }


def _resize(map_: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(map_, size=size, mode="bilinear", align_corners=False)
