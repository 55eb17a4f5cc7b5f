"""What training measures of its steps, on tiny scenes: worked by hand, and without moving a number of the training."""

import dataclasses
import textwrap

import numpy as np
import pytest
import torch
from torch import nn

from harness import registry
from harness.execute.run import run_one
from harness.records import Machine, Run, RunConfig
from harness.registry import choose
from harness.report.diagnosis.make import examine
from harness.runs.folder import load_result, run_folder
from harness.settings import EvaluateSettings, TrainSettings
from harness.spec.plugins import import_plugin
from harness.train import loop
from harness.train.metrics import FEWEST_STEPS, clip_gradient, count_shown, measure_gradient, measure_shown
from harness.train.setup import build_setup, prepare_process


def make_config(**changes) -> RunConfig:
    scenes = {"size": [32, 32], "train_images": 10, "val_images": 4, "test_images": 2, "normalize": "centered"}
    config = RunConfig(
        data=choose("data", "desert", scenes),
        model=choose("model", "unet", {"base_channels": 4}),
        loss=(choose("loss", "cross_entropy", {"class_weights": "inverse_frequency"}),),
        augment=(),
        optimizer=choose("optimizer", "sgd", {"lr": 0.05}),
        schedule=choose("schedule", "constant", {}),
        train=TrainSettings(epochs=2, batch_size=4),
        evaluate=EvaluateSettings(),
        seed=0,
    )
    return dataclasses.replace(config, **changes)


def trained(config):
    prepare_process(config)
    setup = build_setup(config, Machine("cpu"), start=None)
    history = list(loop.train(setup))
    return setup, history


@pytest.mark.parametrize("clip_norm", [None, 0.01, 1e6])
def test_clipping_is_torchs_own_and_the_norm_is_that_before_it(clip_norm):
    torch.manual_seed(0)
    ours, theirs = ([nn.Parameter(torch.zeros(5)), nn.Parameter(torch.zeros(2, 3))] for _ in range(2))
    for mine, other in zip(ours, theirs, strict=True):
        mine.grad = torch.randn_like(mine)
        other.grad = mine.grad.clone()
    before = torch.cat([weight.grad.flatten() for weight in theirs]).norm()
    norm = clip_gradient([*ours, nn.Parameter(torch.zeros(3))], clip_norm)
    if clip_norm is not None:
        nn.utils.clip_grad_norm_(theirs, clip_norm)
    assert float(norm) == pytest.approx(float(before))
    assert all(torch.equal(mine.grad, other.grad) for mine, other in zip(ours, theirs, strict=True))


def test_noise_is_told_from_eight_steps_up():
    norms = [torch.tensor(float(value)) for value in (1, 3) * 4]
    assert FEWEST_STEPS == 8
    assert measure_gradient(norms) == pytest.approx(
        {"train/grad_norm": 2.0, "train/grad_norm_cv": np.sqrt(8 / 7) / 2}, abs=1e-12
    )
    assert measure_gradient(norms[:7]) == pytest.approx({"train/grad_norm": 13 / 7})


def test_shown_pixels_by_hand():
    """Two batches of three classes, of which the split holds no pixel of the third; 255 is ignored."""
    labels_BHW = torch.tensor([[[0, 0, 255], [1, 1, 1]]], dtype=torch.uint8)
    first_C = count_shown(labels_BHW, 3)
    assert first_C.tolist() == [2, 3, 0]
    measured = measure_shown(
        ("a", "b", "c"), [first_C, torch.tensor([5, 0, 0])], np.array([14, 6, 0]), np.array([1.0, 4.0, 0.0])
    )
    assert measured == pytest.approx(
        {
            "train/shown": 10 / 20,
            "train/shown/a": 7 / 14,
            "train/shown/b": 3 / 6,
            "train/weight_share/a": (2 / 14 + 1) / 2,
            "train/weight_share/b": (12 / 14 + 0) / 2,
            "train/weight_share/c": 0,
            "train/shown_share/a": (2 / 5 + 1) / 2,
            "train/shown_share/b": (3 / 5 + 0) / 2,
            "train/shown_share/c": 0,
        }
    )


def test_weight_share_is_the_classes_share_of_the_gradient_while_all_pixels_are_equally_wrong():
    """With equal logits every pixel's gradient has the same length but for its weight."""
    weights_C, labels_BHW = [1.0, 4.0, 0.5], torch.tensor([[[0, 0, 2], [1, 2, 2]]])
    settings = choose("loss", "cross_entropy", {"class_weights": weights_C})
    held_IC = np.array([[2, 1, 3]])
    loss = registry.build("loss", settings, class_pixels=held_IC)
    logits_BCHW = torch.zeros(1, 3, 2, 3, requires_grad=True)
    loss(logits_BCHW, labels_BHW).backward()
    length_BHW = logits_BCHW.grad.norm(dim=1)
    measured = measure_shown("abc", [torch.tensor([2, 1, 3])], held_IC[0], np.array(weights_C))
    for index, name in enumerate("abc"):
        share = length_BHW[labels_BHW == index].sum() / length_BHW.sum()
        assert measured[f"train/weight_share/{name}"] == pytest.approx(float(share))


@pytest.mark.parametrize("clip_norm", [None, 0.05])
def test_measuring_moves_no_number_of_the_training(clip_norm, monkeypatch):
    config = make_config(train=TrainSettings(epochs=2, batch_size=4, clip_norm=clip_norm))
    with_setup, with_history = trained(config)

    def clip_only(weights, limit):
        if limit is not None:
            nn.utils.clip_grad_norm_(weights, limit)
        return torch.zeros(())

    monkeypatch.setattr(loop, "clip_gradient", clip_only)
    monkeypatch.setattr(loop, "count_shown", lambda labels_BHW, num_classes: torch.zeros(num_classes))
    monkeypatch.setattr(loop, "measure_gradient", lambda norms: {})
    monkeypatch.setattr(loop, "measure_shown", lambda *given: {})
    without_setup, without_history = trained(config)
    for mine, other in zip(with_history, without_history, strict=True):
        kept = [name for name in other.metrics if name != "train/images_per_s"]
        assert [repr(mine.metrics[name]) for name in kept] == [repr(other.metrics[name]) for name in kept]
    weights = (setup.state.network.module.state_dict() for setup in (with_setup, without_setup))
    assert all(torch.equal(*pair) for pair in zip(*(state.values() for state in weights), strict=True))


def test_without_augmentation_every_held_pixel_is_shown_once():
    setup, history = trained(make_config())
    for item in history:
        shown = {name: value for name, value in item.metrics.items() if name.startswith("train/shown/")}
        held = [
            name
            for name, pixels in zip(setup.data.source.taxonomy.classes, setup.data.pixels_IC.sum(axis=0), strict=True)
            if pixels
        ]
        assert shown == {f"train/shown/{name}": 1.0 for name in held}
        assert item.metrics["train/shown"] == 1.0
        assert item.metrics["train/grad_norm"] > 0
        shares = [value for name, value in item.metrics.items() if name.startswith("train/weight_share/")]
        assert sum(shares) == pytest.approx(1)


BOTTOM = """
from harness.registry import part
from harness.parts.augment import Augment

@part("augment")
def bottom() -> Augment:
    '''Keep the lowest quarter of the image.'''
    def apply(sample, rng):
        keep = lambda tensor: tensor[..., tensor.shape[-2] * 3 // 4 :, :]
        return sample.moved(keep, lambda map_1HW, fill: keep(map_1HW))
    return apply
"""


def test_a_class_that_a_crop_withholds_is_named(tmp_path, monkeypatch):
    """The plugin's crop never shows the sky: diagnosis of the stored run says so, and of no class that it shows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_PARTS", dict(registry._PARTS))
    (tmp_path / "bottom_crop_of_a_test.py").write_text(textwrap.dedent(BOTTOM))
    import_plugin("bottom_crop_of_a_test")
    config = make_config(
        augment=(choose("augment", "bottom", {}),),
        loss=(choose("loss", "dice", {}),),
        train=TrainSettings(epochs=3, batch_size=4),
        plugins=("bottom_crop_of_a_test",),
    )
    run = Run(id="a" * 12, variant="bottom", seed=0, config=config, inputs={})
    folder = run_folder(tmp_path, run.id)
    folder.path.mkdir(parents=True)
    run_one(run, folder, Machine("cpu"), None, lambda progress: None)
    result = load_result(folder)
    starved = {item.subject: item for item in examine(run, result).findings if item.code == "starved"}
    assert "Sky" in starved
    assert starved["Sky"].values["shown"] == 0
    assert starved["Sky"].text.startswith("Sky: an epoch showed 0.0 % of the pixels that the training split holds")
    shown = {name: result.history[0].metrics[f"train/shown/{name}"] for name in ("Landscape", "Dry Grass")}
    assert max(shown.values()) >= 0.25
    assert max(shown, key=shown.get) not in starved


def test_batches_without_a_labelled_pixel_are_counted():
    shown = [torch.tensor([3, 1]), torch.tensor([0, 0]), torch.tensor([0, 2]), torch.tensor([0, 0])]
    assert measure_shown(("a", "b"), shown, np.array([3, 3]), None)["train/unlabelled_batches"] == 2
    assert "train/unlabelled_batches" not in measure_shown(("a", "b"), shown[::2], np.array([3, 3]), None)
