"""Models for images of other than three channels. Letters: O output channel, C input channel, K kernel side."""

from __future__ import annotations

from torch import Size, Tensor, cat, nn

RGB = 3


def rebuild_first_conv(module: nn.Module, in_channels: int) -> tuple[str, ...]:
    """Replace the first convolution by one for `in_channels`, with random weights; return a note, or none for 3.

    The weights are drawn as torchvision draws those of its ResNets and MobileNets (He et al. 2015, fan out).
    """
    if in_channels == RGB:
        return ()
    name, old = next((name, layer) for name, layer in module.named_modules() if isinstance(layer, nn.Conv2d))
    new = nn.Conv2d(
        in_channels,
        old.out_channels,
        (old.kernel_size[0], old.kernel_size[1]),
        stride=(old.stride[0], old.stride[1]),
        padding=old.padding if isinstance(old.padding, str) else (old.padding[0], old.padding[1]),
        bias=old.bias is not None,
    )
    nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
    module.set_submodule(name, new)
    return (f"first convolution ({name}) rebuilt for {in_channels} input channels",)


def sees_rgb(weight: Tensor, wanted: Size) -> bool:
    """Tell whether a weight differs from the wanted shape only in having been made for RGB images."""
    if weight.ndim != 4 or len(wanted) != 4 or wanted[1] == RGB:
        return False
    return tuple(weight.shape) == (wanted[0], RGB, wanted[2], wanted[3])


def widen_input(weight_OCKK: Tensor, in_channels: int) -> Tensor:
    """Return an RGB convolution's weight for images of `in_channels`.

    More than three: the first three, which must be red, green and blue, keep theirs, and each other channel gets their
    mean. Fewer: every channel gets the sum divided by their number, so that a grey image, or two copies of it, give the
    response that grey RGB gave.
    """
    if in_channels < RGB:
        return weight_OCKK.sum(1, keepdim=True).repeat(1, in_channels, 1, 1) / in_channels
    return cat([weight_OCKK, weight_OCKK.mean(1, keepdim=True).repeat(1, in_channels - RGB, 1, 1)], dim=1)
