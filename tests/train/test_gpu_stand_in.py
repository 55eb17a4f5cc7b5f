"""On a GPU: no step waits for it, and nothing is looked for where it does not lie. `card.py` stands in for one."""

from dataclasses import replace

import pytest
import torch
from card import card_here
from shipped import shipped_names

from harness.records import Machine, Progress, RunConfig
from harness.registry import choose
from harness.settings import EvaluateSettings, TrainSettings
from harness.train.checkpoint import Checkpoint, load_newest, save_state
from harness.train.evaluate import evaluate, evaluate_in_detail, make_examples
from harness.train.loop import train_epoch
from harness.train.setup import build_setup, prepare_process

MOVES = {
    "flip": {},
    "rotate": {"degrees": 10.0},
    "scale": {},
    "crop": {"size": [32, 32]},
    "colour": {"hue": 0.1},
    "blur": {},
}
AUGMENT = tuple(choose("augment", name, settings) for name, settings in MOVES.items())
READING = ("lovasz",)
"""Losses that ask the device which classes a batch has; docs/performance.md names them."""
LOSSES = shipped_names("loss")


def make_config(images=8, **changes) -> RunConfig:
    scenes = {"size": [32, 32], "train_images": images, "val_images": 3, "test_images": 1, "normalize": "centered"}
    config = RunConfig(
        data=choose("data", "desert", scenes),
        model=choose("model", "unet", {"base_channels": 4}),
        loss=(choose("loss", "cross_entropy", {}),),
        augment=(),
        optimizer=choose("optimizer", "adam", {"lr": 1e-3}),
        schedule=choose("schedule", "poly", {}),
        train=TrainSettings(epochs=3, batch_size=2),
        evaluate=EvaluateSettings(batch_size=2),
        seed=0,
    )
    return replace(config, **changes)


def build(config, device="cuda", resident=True):
    prepare_process(config)
    return build_setup(config, Machine(device, resident=resident), start=None)


def waits_of_epoch(card, setup, number=1):
    card.waits.clear()
    measured = train_epoch(setup, number)
    return list(card.waits), measured


def with_train(**settings):
    return TrainSettings(epochs=3, batch_size=2, **settings)


WAYS = {
    "resident": ({}, True),
    "streamed": ({}, False),
    "streamed, augmented": ({"augment": AUGMENT}, False),
    "one_sampling": ({"augment": AUGMENT, "train": with_train(augment_as="one_sampling")}, True),
    "accumulated, clipped": ({"train": with_train(accumulate=2, clip_norm=1.0)}, True),
    "with depth": ({"data": ["rgb", "depth"]}, True),
    "frozen": ({"model": choose("model", "unet", {"base_channels": 4, "freeze": "backbone"})}, True),
    **{
        f"loss {name}": ({"loss": (choose("loss", "cross_entropy", {}), choose("loss", name, {}))}, True)
        for name in LOSSES
        if name not in READING
    },
    "weighted": ({"loss": (choose("loss", "cross_entropy", {"class_weights": "inverse_frequency"}),)}, True),
    **{
        f"optimizer {name}": ({"optimizer": choose("optimizer", name, {})}, True) for name in shipped_names("optimizer")
    },
}


def config_of(way, images):
    changes = dict(WAYS[way][0])
    inputs = changes.pop("data", ["rgb"])
    config = make_config(images, **changes)
    return replace(config, data=config.data.with_settings(inputs=inputs))


@pytest.mark.parametrize("way", WAYS)
def test_an_epoch_waits_for_a_gpu_as_often_with_many_steps_as_with_few(way, monkeypatch):
    with card_here(monkeypatch) as card:
        setups = [build(config_of(way, images), resident=WAYS[way][1]) for images in (4, 8)]
        assert bool(setups[0].data.gpu_datasets) is WAYS[way][1]
        for setup in setups:
            train_epoch(setup, 1)  # what is sent once
        (few, _), (many, _) = (waits_of_epoch(card, setup, 2) for setup in setups)
    assert len(few) == len(many), sorted(set(many) - set(few)) or many
    assert 1 <= len(few) <= 8, few


def test_what_reads_a_number_at_each_step_is_seen(monkeypatch):
    """The stand-in itself: a loss that is looked at, a mask, a copy that is waited for."""
    with card_here(monkeypatch) as card:
        value = torch.arange(4.0).to("cuda", non_blocking=True)
        assert (value.device, value.is_cuda, (value + 1).device) == (torch.device("cuda:0"), True, value.device)
        assert not card.waits
        for look in (
            lambda: (value * 2).sum().item(),
            lambda: bool(value.sum() > 0),
            lambda: value.tolist(),
            lambda: value.cpu().numpy(),
            lambda: value[value > 1],
            lambda: value.nonzero(),
            lambda: torch.tensor([1.0], device="cuda"),
            lambda: torch.zeros(2**16).to("cuda", non_blocking=True),
            lambda: value[0].to("cpu"),
        ):
            card.waits.clear()
            look()
            assert len(card.waits) == 1, card.waits
        with pytest.raises(RuntimeError, match="same device"):
            value + torch.ones(4)
        with pytest.raises(TypeError, match="numpy"):
            value.numpy()


@pytest.mark.parametrize("size", ["input", "native"])
def test_judging_waits_for_a_gpu_as_often_with_many_images_as_with_few(size, monkeypatch):
    with card_here(monkeypatch) as card:
        found = []
        for images in (4, 8):
            config = make_config(evaluate=EvaluateSettings(batch_size=2, size=size))
            config = replace(config, data=config.data.with_settings(val_images=images))
            setup = build(config)
            evaluate(setup, "val")
            card.waits.clear()
            evaluate(setup, "val")
            found.append(list(card.waits))
    assert len(found[0]) == len(found[1]) <= 3, found[1]


def test_a_run_on_a_gpu_has_the_numbers_that_it_has_on_a_cpu(monkeypatch):
    """The ways of a GPU (counting, labelling, normalising) in the CPU's arithmetic, to the last step."""
    config = config_of("accumulated, clipped", 8)
    with card_here(monkeypatch):
        card = told(build(config))
    assert card == told(build(config, "cpu"))


def told(setup):
    measured = [train_epoch(setup, number) for number in (1, 2)]
    judged, closely, examples = evaluate(setup, "val"), evaluate_in_detail(setup, "val", keep=2), make_examples(setup)
    numbers = [{key: value for key, value in item.items() if key != "train/images_per_s"} for item in measured]
    counts = (judged.counts.confusion_CC().tolist(), closely.counts.confusion_CC().tolist())
    return numbers, judged.loss, counts, [one.tolist() for one in examples.predictions]


def test_a_run_that_goes_on_from_a_checkpoint_waits_no_more_than_before(monkeypatch, tmp_path):
    config = make_config()
    with card_here(monkeypatch) as card:
        setup = build(config)
        train_epoch(setup, 1)
        before, _ = waits_of_epoch(card, setup, 2)
        save_state(tmp_path / "state", tmp_path / "before", setup.state, Checkpoint((Progress(2, 3, {}, True, 0),)))
        again = build(config)
        load_newest((tmp_path / "state",), again.state)
        after, _ = waits_of_epoch(card, again, 3)
    assert len(after) == len(before), after


MODELS = {
    "deeplabv3_resnet50": {"aux_weight": 0.4},
    "lraspp_mobilenet_v3_large": {},
    "smp": {"architecture": "unet", "encoder": "resnet18"},
}


@pytest.mark.parametrize("name", MODELS)
def test_no_network_looks_on_the_cpu_for_what_lies_on_a_gpu(name, monkeypatch):
    with card_here(monkeypatch) as card:
        setup = build(make_config(4, model=choose("model", name, MODELS[name])))
        waits, measured = waits_of_epoch(card, setup)
        evaluate(setup, "val")
    assert measured["train/loss"] > 0
    assert len(waits) <= 8, waits
