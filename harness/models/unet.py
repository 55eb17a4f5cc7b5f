"""harness's own U-Net (Ronneberger et al. 2015, figure 1) with BatchNorm. Letters: B batch, C channel, H, W."""

from __future__ import annotations

from torch import Tensor, cat, nn

from harness.models.network import Features, Network, Stages

DEPTH = 4


class UNet(nn.Module):
    """Four halvings, a bottleneck and four doublings, joined by skips; `base_channels` doubles at each halving.

    Any input size works: pooling rounds sizes up, so that a doubled map is at most one row and one column larger than
    the skip it meets, and these are cut off. Pixels stay aligned (interpolating would shift them by fractions) and none
    is made up (as padding would). For multiples of 16 nothing is cut.
    """

    def __init__(self, num_classes: int, in_channels: int, base_channels: int) -> None:
        super().__init__()
        widths = [base_channels * 2**level for level in range(DEPTH + 1)]
        self.down = nn.ModuleList(map(_double_conv, [in_channels, *widths[:-2]], widths[:-1]))
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.bottleneck = _double_conv(widths[-2], widths[-1])
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * width, width, 2, stride=2) for width in reversed(widths[:-1]))
        self.merge = nn.ModuleList(_double_conv(2 * width, width) for width in reversed(widths[:-1]))
        self.classifier = nn.Conv2d(base_channels, num_classes, 1)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return logits_BCHW at the images' size."""
        logits_BCHW: Tensor = self.classifier(self.expand(self.contract(images_BCHW)))
        return logits_BCHW

    def contract(self, images_BCHW: Tensor) -> Features:
        """Return the maps that are skipped to the other side, from large to small, and last that of the bottleneck."""
        x_BCHW, skips = images_BCHW, []
        for convs in self.down:
            skips.append(convs(x_BCHW))
            x_BCHW = self.pool(skips[-1])
        return (*skips, self.bottleneck(x_BCHW))

    def expand(self, features: Features) -> Tensor:
        """Return the map, at the images' size, that the classifier reads."""
        *skips, x_BCHW = features
        for up, merge, skip_BCHW in zip(self.up, self.merge, reversed(skips), strict=True):
            height, width = skip_BCHW.shape[2:]
            x_BCHW = merge(cat([skip_BCHW, up(x_BCHW)[:, :, :height, :width]], dim=1))
        return x_BCHW


def _double_conv(in_channels: int, out_channels: int) -> nn.Sequential:
    """Two 3x3 convolutions, each without bias: the BatchNorm that follows has its own."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def make_unet(num_classes: int, in_channels: int, base_channels: int) -> Network:
    """Return a U-Net with random weights.

    Its backbone is all that runs before the first doubling (the contracting path and the bottleneck), as an encoder
    taken from a classification network would be; the head is the rest.
    """
    module = UNet(num_classes, in_channels, base_channels)
    return Network(
        module=module,
        read=lambda logits_BCHW: (logits_BCHW, ()),
        backbone=("down.", "bottleneck."),
        classifier=("classifier.",),
        stages={
            "backbone": Stages(module.contract, lambda features, size: module.classifier(module.expand(features))),
            "all_but_classifier": Stages(
                lambda images_BCHW: (module.expand(module.contract(images_BCHW)),),
                lambda features, size: module.classifier(features[0]),
            ),
        },
    )
