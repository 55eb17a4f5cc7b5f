"""What training sees of a few images: read, resized, augmented and normalised as a run does it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from harness import registry
from harness.data import open_source
from harness.data.prepared import PreparedSplit
from harness.data.recognised import spread
from harness.data.source import Depth, Image, Source
from harness.errors import InputError, did_you_mean
from harness.parts.augment import Augment
from harness.records import RunConfig
from harness.report.figures.examples import Preview, draw_previews
from harness.train.batch_augment import finish_batch, read_batch
from harness.train.batches import NORMALIZATIONS, Batch, Preprocessing, make_normalizer
from harness.train.setup import prepare_split


@dataclass(frozen=True)
class _View:
    """A split as a run reads it."""

    source: Source
    name: str
    prepared: PreparedSplit
    augment: tuple[Augment, ...]
    """Empty for splits that are not trained on."""


def show_data(config: RunConfig, split: str, *, images: int, epoch: int, title: str, path: Path) -> None:
    """Draw some images of a split, evenly spread, as PNG: with their masks, and what a run of `config` sees of them.

    Raises:
        InputError: there is no such split, or a file cannot be read.
    """
    view = _open(config, split)
    chosen = spread(range(len(view.prepared)), images)
    looks = [_look(view, config, index, epoch) for index in chosen]
    taxonomy = view.source.taxonomy
    draw_previews(
        looks, taxonomy.classes, taxonomy.colours, title=f"{title}, {_describe(config, split, epoch)}", path=path
    )


def _open(config: RunConfig, split: str) -> _View:
    source = open_source(config.data, config.seed)
    if split not in source.splits:
        raise InputError(f"there is no split '{split}'; {did_you_mean(split, source.splits)}")
    steps = config.augment if split == "train" else ()
    prepared = prepare_split(config, source, split, cached=False)
    return _View(source, split, prepared, tuple(registry.build("augment", step) for step in steps))


def _describe(config: RunConfig, split: str, epoch: int) -> str:
    if split != "train":
        return f"split {split} (never augmented)"
    steps = ", ".join(step.name for step in config.augment) or "no augmentation"
    return f"split train, seed {config.seed}, epoch {epoch}: {steps}"


def _look(view: _View, config: RunConfig, index: int, epoch: int) -> Preview:
    files = view.source.splits[view.name]
    batch = read_batch(config, view.prepared, view.augment, [index], epoch)
    batch = finish_batch(config, view.prepared, view.augment, batch, epoch)
    colour, depth = _seen(batch, config)
    return Preview(
        files.names[index], files.read_image(index), files.read_label(index), colour, depth, batch.labels_BHW[0].numpy()
    )


def _seen(batch: Batch, config: RunConfig) -> tuple[Image | None, Depth | None]:
    """Return colour [H, W, 3] and inverse distance [H, W] of the model's input, the normalization undone.

    Depth passes with mean 0 and deviation 1: those of the training split would cancel out.
    """
    inputs, (mean, std) = config.data.inputs, NORMALIZATIONS[config.data.normalize]
    normalize = make_normalizer(Preprocessing(inputs, mean, std), config.train.memory_format, torch.device("cpu"))
    channels_HWC = normalize(batch)[0].permute(1, 2, 0).numpy()
    colour = depth = None
    if "rgb" in inputs:
        colour = np.rint(255 * np.clip(channels_HWC[..., :3] * np.array(std) + np.array(mean), 0, 1)).astype(np.uint8)
    if "depth" in inputs:
        depth = np.where(channels_HWC[..., -1] > 0, channels_HWC[..., -2], np.float32(np.nan))
    return colour, depth
