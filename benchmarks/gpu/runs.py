"""Runs as the steps make them: a small config with changes, its setup, a few epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from benchmarks.cases import Case, configure
from benchmarks.gpu.steps import Found, Rig
from harness.errors import RunFailed
from harness.records import Machine, Progress, RunConfig
from harness.registry import choose
from harness.train.loop import train
from harness.train.setup import Setup, build_setup, prepare_process

MOVES: Mapping[str, Mapping[str, Any]] = {
    "rotate": {"degrees": 10.0},
    "scale": {},
    "flip": {},
    "colour": {},
    "blur": {},
}
"""All that a batch may go through, before a crop to one size."""


def small(rig: Rig, **train: Any) -> RunConfig:
    """Return a config that takes a second or two on the device; `train` changes its settings."""
    case = Case("unet", 32, 4, 8, (("base_channels", 4),)) if rig.toy else Case("unet", 128, 8, 64)
    return changed(configure(case), **{"epochs": 2, **train})


def changed(config: RunConfig, **train: Any) -> RunConfig:
    """Return a config with other settings of training."""
    return replace(config, train=config.train.model_copy(update=train))


def augmented(config: RunConfig) -> RunConfig:
    """Return a config with every kind of augmentation."""
    moves = {**MOVES, "crop": {"size": config.data.size}}
    return replace(config, augment=tuple(choose("augment", name, settings) for name, settings in moves.items()))


def with_model(config: RunConfig, name: str, **settings: Any) -> RunConfig:
    """Return a config with another network."""
    return replace(config, model=choose("model", name, settings))


def build(config: RunConfig, device: torch.device, *, resident: bool = True) -> Setup:
    """Return a run's setup, its process prepared as `harness run` does it."""
    prepare_process(config)
    return build_setup(config, Machine(str(device), resident=resident), start=None)


def train_all(setup: Setup) -> list[Progress]:
    """Train and judge all epochs of a setup.

    Raises:
        RunFailed: a loss is not finite, also one of the evaluation.
    """
    history = list(train(setup))
    for epoch in history:
        if not math.isfinite(epoch.metrics["val/loss"]):
            raise RunFailed(f"the loss of the evaluation is {epoch.metrics['val/loss']} after epoch {epoch.epoch}")
    return history


def tell(history: Sequence[Progress], more: str = "") -> Found:
    """Return what the epochs came to."""
    losses = [epoch.metrics["train/loss"] for epoch in history]
    score = history[-1].metrics["val/miou_dataset"]
    steps = " -> ".join(f"{loss:.3f}" for loss in losses)
    says = f"loss {steps}, miou_dataset {score:.3f}" + (f"; {more}" if more else "")
    return Found(says, {"losses": losses, "miou_dataset": score})
