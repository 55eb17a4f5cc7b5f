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
    "{name: unet, base_channels: 4}",
    pytest.param(smp("unet", "mobilenet_v2"), marks=slow),
    pytest.param("{name: deeplabv3_mobilenet_v3_large}", marks=slow),
    pytest.param("{name: deeplabv3_resnet50}", marks=slow),
    pytest.param("{name: deeplabv3_resnet101, aux_weight: 0.5}", marks=slow),
    pytest.param("{name: fcn_resnet50}", marks=slow),
    pytest.param("{name: lraspp_mobilenet_v3_large}", marks=slow),
    *[
        pytest.param(smp(name), marks=slow)
        for name in ("unetplusplus", "manet", "linknet", "fpn", "deeplabv3", "deeplabv3plus", "pan", "segformer")
    ],
    pytest.param(smp("dpt", "tu-vit_tiny_patch16_224"), marks=slow),
]
"""Models that take pictures of any size as ONNX."""
FIXED = [pytest.param(smp("pspnet"), marks=slow), pytest.param(smp("upernet"), marks=slow)]
"""Models whose pooling pyramids ONNX fixes to one size."""


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
    tried = " ".join(text_of(entry) for entry in [*FREE, *FIXED])
    untried = {*shipped_names("model")} - {word.strip("{},") for word in tried.split()}
    architectures = registry.find_part("model", "smp").schema.model_fields["architecture"].annotation.__args__
    untried |= {name for name in architectures if f"architecture: {name}," not in tried}
    assert not untried, (
        f"write {', '.join(sorted(untried))} into FREE of tests/apply/test_export_models.py, or into FIXED if it takes "
        "pictures of one size only as ONNX"
    )


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
