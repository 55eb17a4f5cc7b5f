"""Settings that are fine by themselves and do not go together."""

from __future__ import annotations

from typing import NamedTuple

from harness.records import RunConfig


class Conflict(NamedTuple):
    """Settings of a run that do not go together."""

    key: str
    """Of `train`: the setting to point at."""
    problem: str


def smallest_batch(images: int, batch_size: int) -> int:
    """Return the fewest images of a step in an epoch over so many; one left over joins the batch before it."""
    if images <= batch_size + 1:
        return images if batch_size > 1 else min(images, 1)
    left_over = images % batch_size
    return left_over if left_over > 1 else batch_size


def find_small_batch(config: RunConfig, images: int, min_batch: int) -> str | None:
    """Return that a model needs more images in a step than the smallest batch of its training has, or None.

    `images` are those of the training split. Layers that are frozen take any number.
    """
    train, model = config.train, config.model
    smallest = smallest_batch(images, train.batch_size)
    if smallest >= min_batch or train.epochs == 0 or model.freeze == "all_but_classifier":
        return None
    why = f"{model.name} normalises (BatchNorm) one value per channel of each image"
    if train.batch_size < min_batch:
        return (
            f"train.batch_size is {train.batch_size}, but {why}: use at least {min_batch} (with train.accumulate for a"
            " larger effective batch)"
        )
    remedy = "more training images, or a model that takes single ones (unet)"
    if images >= min_batch:
        remedy = f"another batch_size, {remedy}"
    return (
        f"{images} training {'image' if images == 1 else 'images'} with train.batch_size {train.batch_size} make a step"
        f" of {smallest}, but {why} and needs {min_batch}: give {remedy}"
    )


def find_conflict(config: RunConfig) -> Conflict | None:
    """Return what does not go together in a config, or None."""
    train = config.train
    if train.augment_as == "one_sampling" and config.data.size == "native":
        return Conflict("augment_as", "one_sampling needs images of one size; set data.size, or use steps")
    if train.compile == "reduce-overhead" and (train.accumulate > 1 or train.on_oom == "accumulate"):
        return Conflict(
            "compile",
            "reduce-overhead replays whole steps, and gradients added up over batches are lost between them; use"
            " default, or train.accumulate: 1 and train.on_oom: fail",
        )
    return None
