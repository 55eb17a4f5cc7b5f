"""Runs of a tiny network on tiny scenes, and what two of them have alike."""

from dataclasses import replace

import torch

from harness.records import Machine, Progress, RunConfig
from harness.registry import choose
from harness.settings import EvaluateSettings, TrainSettings
from harness.train.setup import build_setup, prepare_process


def make_config(**changes) -> RunConfig:
    scenes = {"size": [32, 32], "train_images": 9, "val_images": 4, "test_images": 2, "normalize": "centered"}
    config = RunConfig(
        data=choose("data", "desert", scenes),
        model=choose("model", "unet", {"base_channels": 4}),
        loss=(choose("loss", "cross_entropy", {}),),
        augment=(choose("augment", "flip", {}),),
        optimizer=choose("optimizer", "adam", {"lr": 3e-3}),
        schedule=choose("schedule", "poly", {}),
        train=TrainSettings(epochs=3, batch_size=4),
        evaluate=EvaluateSettings(),
        seed=0,
    )
    return replace(config, **changes)


def make_setup(config=None, start=None):
    config = config or make_config()
    prepare_process(config)
    return build_setup(config, Machine("cpu"), start=start)


def weights_of(setup):
    return {name: value.clone() for name, value in setup.state.network.module.state_dict().items()}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def without_speed(progress: Progress) -> dict[str, str]:
    """Return the figures as exact text, in which a NaN equals itself."""
    return {name: repr(value) for name, value in progress.metrics.items() if name != "train/images_per_s"}


def large_config(on_oom, images=64):
    scenes = {"size": [96, 96], "train_images": images, "val_images": 2, "test_images": 2, "normalize": "centered"}
    return make_config(
        data=choose("data", "desert", scenes),
        model=choose("model", "unet", {"base_channels": 32}),
        train=TrainSettings(epochs=1, batch_size=64, on_oom=on_oom),
    )
