"""Weights: what fits is loaded whole, what does not is refused with the way out, and nothing is executed."""

import hashlib
import os
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from harness import registry
from harness.errors import InputError
from harness.models.channels import rebuild_first_conv, widen_input
from harness.models.weights import fetch_state, load_weights, read_state

torch.set_num_threads(1)
SHARED = Path(__file__).parents[2].parent / "shared" / "data"
MOBILENET = SHARED / "weights" / "mobilenet_v2-coral-int8-dequant.pth"


def build(name: str, *, num_classes: int = 3, in_channels: int = 3, **settings):
    torch.manual_seed(0)
    return registry.build(
        "model", registry.choose("model", name, settings), num_classes=num_classes, in_channels=in_channels
    )


def save(state: object, path: Path) -> str:
    torch.save(state, path)
    return str(path)


def small() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))


def equal(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_fitting_file_is_loaded_whole(tmp_path, suffix):
    source, target, path = small(), small(), tmp_path / f"weights{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(source.state_dict(), path)
    assert load_weights(target, path) == ()
    assert equal(source.state_dict(), target.state_dict())


def test_another_number_of_classes_leaves_the_classifier_out_and_says_so(tmp_path):
    source = build("unet", num_classes=5, base_channels=2)
    path = save(source.module.state_dict(), tmp_path / "five.pth")
    network = build("unet", num_classes=3, base_channels=2, weights=path)
    fresh = build("unet", num_classes=3, base_channels=2).module.state_dict()
    for key, value in network.module.state_dict().items():
        assert torch.equal(value, fresh[key] if key.startswith("classifier") else source.module.state_dict()[key])
    assert network.notes == (
        "five.pth: initial values kept, because the file's differ in shape or are missing: "
        "classifier.bias, classifier.weight",
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: {k: v for k, v in state.items() if k != "0.weight"}, r"1 missing in the file \(0.weight\)"),
        (lambda state: {**state, "extra.bias": torch.zeros(1)}, r"1 unknown to the model \(extra.bias\)"),
        (
            lambda state: {**state, "2.weight": torch.zeros(7, 4, 1, 1)},
            r"1 of another shape \(2.weight is \(7, 4, 1, 1\), not \(2, 4, 1, 1\)\)",
        ),
        (
            lambda state: {f"module.{k}": v for k, v in state.items()},
            r"8 missing in the file \(0.weight, 0.bias, 1.weight and \d more\).*fit without 'module.' in front",
        ),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(tmp_path, change, message):
    source, target = small(), small()
    before = {key: value.clone() for key, value in target.state_dict().items()}
    path = save(change(source.state_dict()), tmp_path / "w.pth")
    with pytest.raises(InputError, match=message.replace("8 missing", r"\d missing")) as caught:
        load_weights(target, path)
    assert path in str(caught.value)
    assert equal(before, target.state_dict())


class Trap:
    def __reduce__(self):
        return os.mkdir, ("trapped",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read as weights"),
        (b"neither zip nor pickle", "cannot be read as weights"),
        ({"model": {"a": torch.zeros(1)}, "epoch": 3}, "a mapping of model, epoch, not a state dict"),
        (torch.zeros(3), "holds Tensor, not a state dict"),
        (Trap(), "cannot be read as weights"),
        (None, "there is no such file: .* holds no 'w.pth'; give none, or the path of a state dict"),
    ],
    ids=["empty", "garbage", "nested", "tensor", "code", "absent"],
)
def test_files_that_are_no_weights(tmp_path, monkeypatch, content, message):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "w.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(InputError, match=message):
        read_state(path)
    assert not (tmp_path / "trapped").exists()


def test_a_truncated_file_is_refused(tmp_path):
    path = tmp_path / "w.pth"
    torch.save(small().state_dict(), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="cannot be read as weights"):
        read_state(path)


def test_default_weights_without_network_name_the_file_and_its_folder(tmp_path, monkeypatch):
    def unreachable(*args, **kwargs):
        raise OSError("network is unreachable")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    with pytest.raises(InputError) as caught:
        build("lraspp_mobilenet_v3_large", weights="default")
    assert "lraspp_mobilenet_v3_large-d234d4ea.pth" in str(caught.value)
    assert str(tmp_path / "checkpoints") in str(caught.value)
    with pytest.raises(InputError, match=r"model.backbone_weights: default: mobilenet_v3_large-8738ca79.pth"):
        build("lraspp_mobilenet_v3_large", backbone_weights="default")


def test_default_weights_are_found_where_the_message_says(tmp_path, monkeypatch):
    plain = torchvision.models.get_model("lraspp_mobilenet_v3_large", weights=None, weights_backbone=None)
    (tmp_path / "checkpoints").mkdir()
    save(plain.state_dict(), tmp_path / "checkpoints" / "lraspp_mobilenet_v3_large-d234d4ea.pth")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("harness.models.weights.digest_file", lambda path: "d234d4ea" + 56 * "0")
    network = build("lraspp_mobilenet_v3_large", weights="default")
    loaded = network.module.state_dict()
    expected = {key: value for key, value in plain.state_dict().items() if not key.startswith(network.classifier)}
    assert equal(expected, {key: loaded[key] for key in expected})
    assert "classifier.high_classifier.bias" in network.notes[0]


def test_smp_default_weights_without_network_say_what_to_copy(monkeypatch):
    import segmentation_models_pytorch as smp

    def unreachable(*args, **kwargs):
        raise FileNotFoundError("not in the local cache")

    monkeypatch.setattr(smp.encoders, "hf_hub_download", unreachable)
    with pytest.raises(
        InputError, match=r"encoder mobilenet_v2 cannot be fetched \(not in.*model.safetensors of smp-hub/"
    ):
        build("smp", encoder="mobilenet_v2", backbone_weights="default")


def test_two_kinds_of_weights_at_once_are_refused():
    for name in ("fcn_resnet50", "smp"):
        with pytest.raises(InputError, match=r"model.weights is a.pth and model.backbone_weights is b.pth"):
            build(name, weights="a.pth", backbone_weights="b.pth")


def test_backbone_weights_of_a_classification_network(tmp_path):
    source = torchvision.models.mobilenet_v3_large(weights=None)
    path = save(source.state_dict(), tmp_path / "imagenet.pth")
    network = build("lraspp_mobilenet_v3_large", backbone_weights=path)
    backbone = {f"features.{key}": value for key, value in network.module.backbone.state_dict().items()}
    assert equal(backbone, {key: value for key, value in source.state_dict().items() if key.startswith("features.")})
    assert network.notes == (
        "imagenet.pth: not used: classifier.0.bias, classifier.0.weight, classifier.3.bias and 1 more",
    )


def test_weights_with_an_auxiliary_head_fit_a_model_without_one(tmp_path):
    source = build("deeplabv3_mobilenet_v3_large", aux_weight=0.4)
    path = save(source.module.state_dict(), tmp_path / "aux.pth")
    network = build("deeplabv3_mobilenet_v3_large", weights=path)
    assert any("aux.pth: not used: aux_classifier" in note for note in network.notes)
    state = source.module.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in network.module.state_dict().items())


def test_widened_weights_by_hand():
    weight = torch.tensor([1.0, 2.0, 6.0]).view(1, 3, 1, 1)
    assert widen_input(weight, 1).flatten().tolist() == [9]
    assert widen_input(weight, 2).flatten().tolist() == [4.5, 4.5]
    assert widen_input(weight, 5).flatten().tolist() == [1, 2, 6, 3, 3]


@pytest.mark.parametrize("in_channels", [1, 4])
def test_rgb_weights_are_adapted_to_other_channels(tmp_path, in_channels):
    source = build("lraspp_mobilenet_v3_large")
    path = save(source.module.state_dict(), tmp_path / "rgb.pth")
    network = build("lraspp_mobilenet_v3_large", in_channels=in_channels, weights=path)
    rgb = source.module.backbone["0"][0].weight
    assert torch.equal(network.module.backbone["0"][0].weight, widen_input(rgb, in_channels))
    assert f"rgb.pth: RGB weights adapted to {in_channels} input channels: backbone.0.0.weight" in network.notes
    grey = torch.randn(1, 1, 40, 40)
    if in_channels == 1:
        with torch.no_grad():
            ours, theirs = network.module.eval()(grey)["out"], source.module.eval()(grey.repeat(1, 3, 1, 1))["out"]
        assert torch.allclose(ours, theirs, atol=1e-4)


def test_own_weights_of_four_channels_load_unchanged(tmp_path):
    source = build("smp", encoder="mobilenet_v2", in_channels=4)
    path = save(source.module.state_dict(), tmp_path / "four.pth")
    network = build("smp", encoder="mobilenet_v2", in_channels=4, weights=path)
    assert equal(source.module.state_dict(), network.module.state_dict())


def test_the_rebuilt_convolution_keeps_its_geometry():
    module = torchvision.models.resnet18(weights=None)
    assert rebuild_first_conv(module, 3) == ()
    assert rebuild_first_conv(module, 5) == ("first convolution (conv1) rebuilt for 5 input channels",)
    conv = module.conv1
    assert (conv.in_channels, conv.kernel_size, conv.stride, conv.padding, conv.bias) == (
        5,
        (7, 7),
        (2, 2),
        (3, 3),
        None,
    )
    assert next(iter(module.named_children()))[0] == "conv1"


@pytest.mark.skipif(not MOBILENET.exists(), reason="real weights not at ../shared/data/weights")
def test_real_imagenet_weights_become_an_encoder_of_smp():
    network = build("smp", architecture="unet", encoder="mobilenet_v2", backbone_weights=str(MOBILENET))
    file = torch.load(MOBILENET, weights_only=True)
    encoder = network.module.encoder.state_dict()
    assert equal({key: value for key, value in file.items() if not key.startswith("classifier.")}, encoder)
    assert network.notes == (f"{MOBILENET.name}: not used: classifier.1.bias, classifier.1.weight",)
    plain = torchvision.models.mobilenet_v2(weights=None)
    plain.load_state_dict(file)
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(plain.eval().features(image), network.module.eval().encoder(image)[-1])


@pytest.mark.skipif(not MOBILENET.exists(), reason="real weights not at ../shared/data/weights")
def test_real_weights_of_another_network_are_refused():
    with pytest.raises(InputError, match=r"does not fit the model: \d+ missing in the file"):
        build("smp", encoder="resnet18", backbone_weights=str(MOBILENET))


def test_published_weights_that_were_damaged_in_torch_s_cache_are_refused(tmp_path, monkeypatch):
    """Torch checks the SHA-256 that a file's name begins with only when it has just fetched it."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    path = tmp_path / "checkpoints" / "net.pth"
    path.parent.mkdir()
    torch.save({"w": torch.arange(64.0)}, path)
    named = path.with_name(f"net-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}.pth")
    path.rename(named)
    url = f"https://download.example/models/{named.name}"
    assert fetch_state(url, "model.weights")["w"][63] == 63
    content = bytearray(named.read_bytes())
    content[len(content) // 2] ^= 64
    named.write_bytes(content)
    with pytest.raises(InputError, match=rf"model\.weights: default: {named}: damaged .* remove it"):
        fetch_state(url, "model.weights")
