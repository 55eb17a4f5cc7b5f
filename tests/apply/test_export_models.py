"""Every kind of model exports to ONNX with parity, or says why it cannot."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from finished_study import config_of
from shipped import shipped_names

from harness import registry
from harness.apply.export.export import make_checked
from harness.apply.export.graph import trace
from harness.apply.export.parity import Pictures
from harness.apply.model import Model
from harness.errors import HarnessError
from harness.models.network import Network
from harness.train.batches import NORMALIZATIONS, Preprocessing, make_normalizer
from harness.train.setup import build_network

slow = pytest.mark.slow


def smp(architecture, encoder="resnet18"):
    return f"{{name: smp, architecture: {architecture}, encoder: {encoder}}}"


FREE = [
    "{name: unet, base_channels: 4}",  # skips that are concatenated
    # torchvision's dictionary of outputs, the auxiliary head that is left out, a pyramid of dilated convolutions
    pytest.param("{name: deeplabv3_mobilenet_v3_large, aux_weight: 0.5}", marks=slow),
    pytest.param(smp("linknet"), marks=slow),  # transposed convolutions, skips that are added
    pytest.param(smp("manet"), marks=slow),  # attention: products of matrices, softmax
    pytest.param(smp("fpn"), marks=slow),  # group normalisation, a merge of four scales
    pytest.param(smp("deeplabv3plus"), marks=slow),  # a decoder on a pyramid that pools the whole picture
    pytest.param(smp("pan"), marks=slow),  # sizes that are computed from those of feature maps
    pytest.param(smp("segformer"), marks=slow),  # linear layers over pixels
    pytest.param(smp("dpt", "tu-vit_tiny_patch16_224"), marks=slow),  # a transformer with resampled positions
]
"""Models that take pictures of any size as ONNX: one of each kind of graph."""
FIXED = [pytest.param(smp("pspnet"), marks=slow)]
"""One of those whose pooling pyramids ONNX fixes to one size."""
ALIKE = {
    "deeplabv3_resnet50": "deeplabv3_mobilenet_v3_large",
    "deeplabv3_resnet101": "deeplabv3_mobilenet_v3_large",
    "fcn_resnet50": "deeplabv3_mobilenet_v3_large",
    "lraspp_mobilenet_v3_large": "deeplabv3_mobilenet_v3_large",
    "unetplusplus": "unet",
    "deeplabv3": "deeplabv3plus",
    "upernet": "pspnet",
}
"""Models whose graphs are made of the operators of another, which is tried. Each export checks its own parity."""


def live(tmp_path, model):
    """Return a model with random weights, as `load_model` would build it."""
    config = config_of(tmp_path, model)
    preprocessing = Preprocessing(("rgb",), *NORMALIZATIONS["imagenet"])
    network, _ = build_network(config, 5, 3, None)
    network.module.eval()
    return Model(config, 5, torch.device("cpu"), network, make_normalizer(preprocessing, "contiguous", "cpu"))


def pictures():
    drawn = np.random.default_rng(0).integers(0, 256, (4, 40, 90, 3), dtype=np.uint8)
    return Pictures(("a", "b", "c", "d"), lambda place: drawn[place], "noise")


def text_of(entry):
    return entry.values[0] if hasattr(entry, "values") else entry


def test_no_model_is_forgotten():
    names = {word.strip("{},") for entry in [*FREE, *FIXED] for word in text_of(entry).split()}
    architectures = registry.find_part("model", "smp").schema.model_fields["architecture"].annotation.__args__
    untried = ({*shipped_names("model")} | {*architectures}) - names - ALIKE.keys()
    assert not untried, (
        f"write {', '.join(sorted(untried))} into FREE of tests/apply/test_export_models.py, or into FIXED if it takes "
        "pictures of one size only as ONNX, or into ALIKE if its operators are those of a model that is tried"
    )
    assert {*ALIKE.values()} <= names


@pytest.mark.parametrize("model", FREE)
def test_a_model_exports_with_parity_for_pictures_of_any_size(tmp_path, model):
    checked = make_checked(live(tmp_path, model), "onnx", pictures(), lambda text: None)
    assert checked.note == ""
    assert checked.parity.passed
    assert checked.parity.shapes == ((3, 37, 81), (1, 48, 64))


class Pyramid(torch.nn.Module):
    """Pools to a fixed grid, as PSPNet does."""

    def __init__(self):
        super().__init__()
        self.score = torch.nn.Conv2d(3, 5, 3, padding=1)

    def forward(self, images_BCHW):
        pooled = torch.nn.functional.adaptive_avg_pool2d(images_BCHW, (2, 3))
        return self.score(images_BCHW + torch.nn.functional.interpolate(pooled, images_BCHW.shape[2:]))


@pytest.mark.parametrize("model", ["pyramid", *FIXED])
def test_a_model_that_takes_one_size_only_says_so(tmp_path, model):
    if model == "pyramid":
        network = Network(Pyramid().eval(), lambda logits: (logits, ()), (), ())
        whole = replace(live(tmp_path, "{name: unet, base_channels: 4}"), network=network)
    else:
        whole = live(tmp_path, model)
    heard = []
    checked = make_checked(whole, "onnx", pictures(), heard.append)
    assert checked.note.startswith("it takes pictures of 48x64 only: made for any size, ")
    assert checked.note in heard
    assert checked.parity.passed
    assert checked.parity.shapes == ((1, 48, 64),)
    five = np.zeros((5, 48, 64, 3), np.uint8)
    assert checked.artifact.run(five).shape == (5, 5, 48, 64)


def test_a_model_that_cannot_be_exported_is_named(tmp_path):
    class Undecided(torch.nn.Module):
        def forward(self, images_BCHW):
            return images_BCHW if images_BCHW.sum() > 0 else -images_BCHW

    model = live(tmp_path, "{name: unet, base_channels: 4}")
    model = replace(model, network=Network(Undecided(), lambda logits: (logits, ()), (), ()))
    for any_size in (True, False):
        with pytest.raises(HarnessError, match="unet cannot be traced"):
            trace(model, any_size=any_size)
