"""Features of frozen layers, kept: the same numbers as without keeping, bit for bit, in every network that is cut."""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from harness.models.network import Stages, freeze, set_train_mode
from harness.records import Machine, RunConfig
from harness.registry import build, choose
from harness.settings import EvaluateSettings, TrainSettings
from harness.train import feature_cache
from harness.train.evaluate import evaluate_in_detail
from harness.train.feature_cache import FeatureCache, make_feature_caches
from harness.train.loop import train
from harness.train.setup import build_setup, prepare_process

FREEZES = ("backbone", "all_but_classifier")
NETWORKS = {
    "unet": ("unet", {"base_channels": 4}),
    "deeplab": ("deeplabv3_mobilenet_v3_large", {}),
    "deeplab-aux": ("deeplabv3_mobilenet_v3_large", {"aux_weight": 0.4}),
    "deeplab-resnet": ("deeplabv3_resnet50", {}),
    "fcn": ("fcn_resnet50", {}),
    "lraspp": ("lraspp_mobilenet_v3_large", {}),
    "smp-unet": ("smp", {"architecture": "unet", "encoder": "resnet18"}),
    "smp-fpn": ("smp", {"architecture": "fpn", "encoder": "tu-mobilenetv3_small_100"}),
    "smp-segformer": ("smp", {"architecture": "segformer", "encoder": "mit_b0"}),
    "smp-pan": ("smp", {"architecture": "pan", "encoder": "resnet18"}),
    "smp-dpt": ("smp", {"architecture": "dpt", "encoder": "tu-vit_tiny_patch16_224"}),
}
TRAINED = [
    ("unet", "backbone"),
    ("unet", "all_but_classifier"),
    ("deeplab-aux", "backbone"),
    ("smp-segformer", "backbone"),
]
"""What is trained with and without keeping: a plain network, one with dropout and an auxiliary head, a transformer.
That the stages of every network are its module is tested by itself, without training.
"""
CASES = [(name, which) for name in NETWORKS for which in FREEZES if (name, which) != ("smp-dpt", "backbone")]


def make_config(network: str, which: str, **changes) -> RunConfig:
    name, settings = NETWORKS[network]
    # batches of 4, 4, 4 and 2: in the last one features are computed anew, and an image in it may be unknown later
    scenes = {"size": [32, 40], "train_images": 14, "val_images": 5, "test_images": 2, "normalize": "centered"}
    config = RunConfig(
        data=choose("data", "desert", scenes),
        model=choose("model", name, {**settings, "freeze": which}),
        loss=(choose("loss", "cross_entropy", {}),),
        augment=(),
        optimizer=choose("optimizer", "adam", {"lr": 3e-3}),
        schedule=choose("schedule", "constant", {}),
        train=TrainSettings(epochs=4, batch_size=4),
        evaluate=EvaluateSettings(batch_size=3),
        seed=0,
    )
    return replace(config, **changes)


@pytest.fixture(autouse=True)
def log(caplog):
    caplog.set_level("INFO", "harness")


def run(config: RunConfig, *, keeping: bool):
    prepare_process(config)
    setup = build_setup(config, Machine("cpu"), start=None)
    setup = setup if keeping else replace(setup, data=replace(setup.data, feature_caches={}))
    history = list(train(setup))
    figures = [{k: repr(v) for k, v in item.metrics.items() if k != "train/images_per_s"} for item in history]
    counts = evaluate_in_detail(setup, "val", keep=0).counts
    weights = {name: value.clone() for name, value in setup.state.network.module.state_dict().items()}
    return setup, figures, counts, weights


def require_same(plain, keeping) -> None:
    assert plain[1] == keeping[1]
    for name in ("image_K", "true_K", "predicted_K", "pixels_K"):
        np.testing.assert_array_equal(getattr(plain[2], name), getattr(keeping[2], name))
    assert [name for name, value in plain[3].items() if not torch.equal(value, keeping[3][name])] == []


@pytest.mark.parametrize(("network", "which"), TRAINED)
def test_weights_counts_and_metrics_are_the_same_bit_for_bit(network, which):
    config = make_config(network, which)
    plain, keeping = run(config, keeping=False), run(config, keeping=True)
    require_same(plain, keeping)
    assert {name: item.trusted for name, item in keeping[0].data.feature_caches.items()} == {"train": True, "val": True}


def test_two_threads_and_accumulated_batches_too():
    train_settings = TrainSettings(epochs=3, batch_size=3, accumulate=2, threads=2)
    config = make_config("deeplab", "backbone", train=train_settings)
    plain, keeping = run(config, keeping=False), run(config, keeping=True)
    require_same(plain, keeping)
    assert keeping[0].data.feature_caches["train"].trusted


@pytest.mark.parametrize(("network", "which"), CASES)
def test_the_two_stages_are_the_module(network, which):
    """In training and in evaluation: logits, and gradients."""
    name, settings = NETWORKS[network]
    torch.manual_seed(0)
    net = build("model", choose("model", name, {**settings, "freeze": which}), num_classes=5, in_channels=3)
    net.module.to(memory_format=torch.channels_last)
    freeze(net, which)
    images = torch.randn(3, 3, 33, 45).contiguous(memory_format=torch.channels_last)
    state = {key: value.clone() for key, value in net.module.state_dict().items()}
    stages = net.stages[which]
    for set_mode in (lambda: set_train_mode(net, which), net.module.eval):
        set_mode()
        outputs, gradients = [], []
        for forward in (net.module, lambda batch: stages.rest(stages.features(batch), (33, 45))):
            net.module.load_state_dict(state)
            net.module.zero_grad()
            torch.manual_seed(1)  # dropout in what is not frozen
            logits, auxiliary = net.read(forward(images))
            (logits.square().mean() + sum(item.square().mean() for _, item in auxiliary)).backward()
            outputs.append([logits.detach(), *(item.detach() for _, item in auxiliary)])
            gradients.append([value.grad.clone() for value in net.module.parameters() if value.grad is not None])
        assert gradients[0]
        for first, second in (outputs, gradients):
            assert len(first) == len(second)
            assert all(map(torch.equal, first, second))


def test_a_file_keeps_what_memory_has_no_room_for(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(feature_cache, "MEMORY_BYTES", 0)
    config = make_config("unet", "backbone")
    plain, keeping = run(config, keeping=False), run(config, keeping=True)
    require_same(plain, keeping)
    assert keeping[0].data.feature_caches["train"].trusted
    assert f"14 images: kept, 1 MiB in a file below {tmp_path / 'cache'}" in caplog.text
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {"prepared"}


def test_features_too_large_for_the_disk_are_computed_as_ever(monkeypatch, caplog):
    monkeypatch.setattr(feature_cache, "FILE_BYTES", 1000)
    config = make_config("unet", "backbone")
    plain, keeping = run(config, keeping=False), run(config, keeping=True)
    require_same(plain, keeping)
    assert "14 images: not kept (they would take 0.0 GiB)" in caplog.text


def test_a_full_disk_is_no_reason_to_stop(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    monkeypatch.setattr(feature_cache, "MEMORY_BYTES", 0)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10))
    features = FeatureCache(Stages(lambda images: (images + 1,), lambda made, size: made[0]), images=2, full=2)
    images = torch.rand(2, 1, 3, 3)
    for _ in range(3):
        assert torch.equal(features.output([0, 1], lambda: images, (3, 3)), images + 1)
    assert f"not kept ({tmp_path}: No space left on device)" in caplog.text


def test_features_that_changed_in_their_file_are_computed_again(tmp_path, monkeypatch):
    monkeypatch.setattr(feature_cache, "MEMORY_BYTES", 0)
    asked = []

    def compute(images):
        asked.append(len(images))
        return (images + 1,)

    features = FeatureCache(Stages(compute, lambda made, size: made[0]), images=2, full=2)
    images = torch.arange(24.0).reshape(2, 3, 2, 2)
    for _ in range(3):
        assert torch.equal(features.output([0, 1], lambda: images, (2, 2)), images + 1)
    assert len(asked) == 2  # kept, and compared once
    features._stores[0][1, 0, 1, 1] += 0.5
    for _ in range(2):
        assert torch.equal(features.output([0, 1], lambda: images, (2, 2)), images + 1)
    assert len(asked) == 3


def test_features_that_depend_on_neighbours_are_found_out(caplog):
    """As BatchNorm would make them that is not in evaluation mode."""
    features = FeatureCache(
        Stages(lambda images: (images - images.mean(),), lambda made, size: made[0]), images=4, full=2
    )
    images = torch.arange(4.0)[:, None, None, None].expand(4, 1, 2, 3).contiguous()
    for _ in range(2):
        for places in ([0, 1], [2, 3], [0, 2], [1, 3]):
            batch = images[places]
            given = features.output(places, lambda batch=batch: batch, (2, 3))
            assert torch.equal(given, batch - batch.mean())
    assert features.trusted is False
    assert "not kept (computed among other images they differ" in caplog.text


def test_nothing_is_kept_where_epochs_differ_or_bits_are_not_known():
    flip = (choose("augment", "flip", {}),)
    for changes, splits in (
        ({"augment": flip}, {"val"}),
        ({"model": choose("model", "unet", {"base_channels": 4})}, set()),
        ({"train": TrainSettings(epochs=2, batch_size=4)}, {"train", "val"}),
    ):
        setup = build_setup(make_config("unet", "backbone", **changes), Machine("cpu"), start=None)
        assert set(setup.data.feature_caches) == splits
        assert len([note for note in setup.notes if "features of frozen layers" in note]) == len(splits)
    config = make_config("unet", "backbone")
    native = config.data.with_settings(size="native")
    coarse = config.train.model_copy(update={"precision": "bfloat16"})
    for changes in ({"data": native}, {"train": coarse}):
        assert make_feature_caches(replace(config, **changes), setup.state.network, setup.data.splits, "val") == {}
