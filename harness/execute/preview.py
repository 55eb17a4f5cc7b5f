"""What training sees of a few images: read, resized, augmented and normalised as a run does it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from harness import registry
from harness.data import open_source
from harness.data.recognised import spread
from harness.data.source import Depth, Image
from harness.errors import InputError, did_you_mean
from harness.records import RunConfig
from harness.report.figures.examples import Preview, draw_previews
from harness.train.batch_augment import finish_batch, read_batch
from harness.train.batches import NORMALIZATIONS, Batch, Preprocessing, make_normalizer
from harness.train.setup import prepare_split


def show_data(config: RunConfig, split: str, *, images: int, epoch: int, title: str, path: Path) -> None:
    """Draw some images of a split, evenly spread, as PNG: with their masks, and what a run of `config` sees of them.

    Raises:
        InputError: there is no such split, or a file cannot be read.
    """
    source = open_source(config.data, config.seed)
    if split not in source.splits:
        raise InputError(f"there is no split '{split}'; {did_you_mean(split, source.splits)}")
    files, prepared = source.splits[split], prepare_split(config, source, split, cached=False)
    steps = config.augment if split == "train" else ()
    augment = [registry.build("augment", step) for step in steps]
    previews = []
    for index in spread(range(len(prepared)), images):
        batch = read_batch(config, prepared, augment, [index], epoch)
        batch = finish_batch(config, prepared, augment, batch, epoch)
        as_stored = (files.names[index], files.read_image(index), files.read_label(index))
        previews.append(Preview(*as_stored, *_undo_normalization(batch, config), batch.labels_BHW[0].numpy()))
    about = f"split {split} (never augmented)"
    if split == "train":
        names = ", ".join(step.name for step in steps) or "no augmentation"
        about = f"split train, seed {config.seed}, epoch {epoch}: {names}"
    taxonomy = source.taxonomy
    draw_previews(previews, taxonomy.classes, taxonomy.colours, title=f"{title}, {about}", path=path)


def _undo_normalization(batch: Batch, config: RunConfig) -> tuple[Image | None, Depth | None]:
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
