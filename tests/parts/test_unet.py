"""The own U-Net: its size is a promise, and so is that it takes images of any size."""

import pytest
import torch

from harness.models.unet import UNet, make_unet

torch.set_num_threads(1)


def test_parameter_count_is_the_promised_one():
    assert sum(parameter.numel() for parameter in UNet(34, 3, 32).parameters()) == 7_764_130


def test_parameter_count_by_hand_for_two_base_channels():
    """Widths 2 4 8 16 32; a double convolution from a to b has 9ab + 9bb weights and 2 x 2b of BatchNorm."""

    def double(a: int, b: int) -> int:
        return 9 * a * b + 9 * b * b + 4 * b

    down = double(1, 2) + double(2, 4) + double(4, 8) + double(8, 16) + double(16, 32)
    up = sum(4 * 2 * w * w + w + double(2 * w, w) for w in (16, 8, 4, 2))
    assert sum(parameter.numel() for parameter in UNet(5, 1, 2).parameters()) == down + up + 2 * 5 + 5


def test_only_transposed_and_last_convolutions_have_a_bias():
    with_bias = {name.rsplit(".", 1)[0] for name, _ in UNet(2, 3, 2).named_parameters() if name.endswith("bias")}
    modules = dict(UNet(2, 3, 2).named_modules())
    convolutions = {name for name in with_bias if not isinstance(modules[name], torch.nn.BatchNorm2d)}
    assert convolutions == {"up.0", "up.1", "up.2", "up.3", "classifier"}


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (15, 17), (16, 16), (31, 33), (47, 64)])
def test_any_size_works(size):
    assert UNet(4, 3, 2).eval()(torch.zeros(1, 3, *size)).shape == (1, 4, *size)


def test_an_odd_size_sees_the_same_pixels_as_the_even_one_beside_it():
    """Far from the cut edge, an image of 129 columns gives the logits of its first 128: nothing is shifted."""
    torch.manual_seed(0)
    net = UNet(2, 1, 2).eval()
    image = torch.randn(1, 1, 400, 401)
    with torch.no_grad():
        whole, even = net(image), net(image[..., :400])
    assert torch.allclose(whole[..., :200], even[..., :200], atol=1e-6)


def test_the_backbone_ends_with_the_bottleneck():
    network = make_unet(2, 3, 2)
    groups = {name.split(".")[0]: name.startswith(network.backbone) for name, _ in network.module.named_parameters()}
    assert groups == {"down": True, "bottleneck": True, "up": False, "merge": False, "classifier": False}
