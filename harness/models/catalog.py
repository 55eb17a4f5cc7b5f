"""Models. Each returns a `harness.models.network.Network`, with random weights drawn from torch's own generator.

`weights` (of the whole model) and `backbone_weights` are `none`, `default` (those the library publishes) or the path of
a state dict; at most one of them is not `none`. Layers that depend on the number of classes are left out of a file made
for another number. Both stand in the provenance, and so does a first convolution that had to be rebuilt for images of
other than three channels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from harness.registry import part
from harness.settings import Count, Fraction, NonNegative, PathText

if TYPE_CHECKING:
    from harness.models.network import Network

Weights = Literal["none", "default"] | PathText
OwnWeights = Literal["none"] | PathText
Architecture = Literal[
    "unet",
    "unetplusplus",
    "manet",
    "linknet",
    "fpn",
    "pspnet",
    "deeplabv3",
    "deeplabv3plus",
    "pan",
    "upernet",
    "segformer",
    "dpt",
]


@part("model")
def unet(num_classes: int, in_channels: int, /, *, base_channels: Count = 32, weights: OwnWeights = "none") -> Network:
    """U-Net (Ronneberger et al. 2015) with BatchNorm; base_channels is the width before the first of four halvings.

    Its backbone is the contracting path and the bottleneck.
    """
    from harness.models.unet import make_unet
    from harness.models.weights import load_weights

    network = make_unet(num_classes, in_channels, base_channels)
    if weights == "none":
        return network
    return replace(network, notes=load_weights(network.module, weights, optional=network.classifier))


def _torchvision(name: str, told: str, min_batch: int = 1) -> Callable[..., Network]:
    """Enter one of the models of torchvision that have no setting of their own; `told` is its help.

    Those in which BatchNorm follows a pooling of the whole image train on two images at least.
    """

    def build(
        num_classes: int,
        in_channels: int,
        /,
        *,
        weights: Weights = "none",
        backbone_weights: Weights = "none",
        aux_weight: NonNegative = 0.0,
    ) -> Network:
        from harness.models.from_torchvision import make_torchvision

        start = {"weights": weights, "backbone_weights": backbone_weights}
        return make_torchvision(name, num_classes, in_channels, **start, aux_weight=aux_weight)

    build.__name__ = build.__qualname__ = name
    build.__doc__ = f"""{told}

    aux_weight is the factor of the loss on its auxiliary head, which is built when it is above 0.
    """
    return part("model", min_batch=min_batch)(build)


deeplabv3_resnet50 = _torchvision(
    "deeplabv3_resnet50", "DeepLabV3 (Chen et al. 2017) on ResNet-50, from torchvision.", min_batch=2
)
deeplabv3_resnet101 = _torchvision(
    "deeplabv3_resnet101", "DeepLabV3 (Chen et al. 2017) on ResNet-101, from torchvision.", min_batch=2
)
fcn_resnet50 = _torchvision("fcn_resnet50", "FCN (Long et al. 2015) on ResNet-50 at stride 8, from torchvision.")


@part("model", min_batch=2)
def deeplabv3_mobilenet_v3_large(
    num_classes: int,
    in_channels: int,
    /,
    *,
    weights: Weights = "none",
    backbone_weights: Weights = "none",
    aux_weight: NonNegative = 0.0,
    norm_momentum: Fraction = 0.01,
) -> Network:
    """DeepLabV3 (Chen et al. 2017) on MobileNetV3-Large, from torchvision.

    aux_weight is the factor of the loss on its auxiliary head, which is built when it is above 0. norm_momentum is the
    share of each batch in the running statistics of the backbone's BatchNorm: with 0.01, MobileNetV3's own, they are
    still far off after a few hundred steps from random weights, and the model judged is not the one trained: use 0.1.
    """
    from harness.models.from_torchvision import make_torchvision
    from harness.models.network import set_norm_momentum

    start = {"weights": weights, "backbone_weights": backbone_weights}
    network = make_torchvision("deeplabv3_mobilenet_v3_large", num_classes, in_channels, **start, aux_weight=aux_weight)
    set_norm_momentum(network, norm_momentum)
    return network


@part("model")
def lraspp_mobilenet_v3_large(
    num_classes: int, in_channels: int, /, *, weights: Weights = "none", backbone_weights: Weights = "none"
) -> Network:
    """Lite R-ASPP (Howard et al. 2019, section 6.4) on MobileNetV3-Large, from torchvision; no auxiliary head."""
    from harness.models.from_torchvision import make_torchvision

    return make_torchvision(
        "lraspp_mobilenet_v3_large", num_classes, in_channels, weights=weights, backbone_weights=backbone_weights
    )


@part("model")
def smp(
    num_classes: int,
    in_channels: int,
    /,
    *,
    architecture: Architecture = "unet",
    encoder: str = "resnet34",
    weights: OwnWeights = "none",
    backbone_weights: Weights = "none",
) -> Network:
    """Any architecture with any encoder of segmentation_models_pytorch, such as a U-Net with an arbitrary backbone.

    An encoder `tu-<name>` is that model of timm. backbone_weights are the encoder's: a path may lead to the file of the
    network that classifies images (torchvision's mobilenet_v2 for encoder mobilenet_v2): its last layers are left out.
    """
    from harness.models.from_smp import make_smp

    return make_smp(architecture, encoder, num_classes, in_channels, weights=weights, backbone_weights=backbone_weights)
