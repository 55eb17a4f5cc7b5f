"""Settings that every part of a kind has, whichever is chosen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from harness.settings import Fraction, NonNegative, Settings, Size

Inputs = Annotated[
    tuple[Literal["rgb", "depth"], ...],
    AfterValidator(lambda value: _one_of(value, (("rgb",), ("rgb", "depth"), ("depth",)))),
]
Folds = Annotated[int, Field(ge=2)]
Share = Annotated[float, Field(gt=0, le=1)]


def _one_of(value: Any, options: Sequence[Any]) -> Any:
    if value not in options:
        raise ValueError(" or ".join(json.dumps(option) for option in options))
    return value


class DataCommon(Settings):
    """Settings that every data set has."""

    size: Size | Literal["native"] = "native"
    """Height and width at which the model sees images; labels follow by nearest neighbour."""
    normalize: Literal["auto", "imagenet", "centered", "unit"] = "auto"
    """Of colour values in [0, 1]: ImageNet's mean and deviation; (x - 0.5) / 0.25; none. auto: imagenet with pretrained
    weights, else centered."""
    inputs: Inputs = ("rgb",)
    """What the model sees: [rgb], [rgb, depth] or [depth]. Depth is two channels: inverse distance, normalised with
    mean and deviation over the known pixels of the training split, and 1 where it is known, 0 where not."""
    on_bad_image: Literal["error", "skip"] = "error"
    """Images that cannot be used (unreadable, without a label, of another size than it): an error, or left out of
    every run, by name. Ids without a class are an error always."""
    fraction: Share = 1.0
    """Share of the training images, for the question whether data is the bottleneck. A run's seed draws them; smaller
    fractions are parts of larger ones, and each class keeps its share of the images."""
    folds: Folds | None = None
    """Number of folds of train and val together, in whole recordings or groups; a run validates on fold (seed modulo
    folds) and trains on the others. Write a seed for each fold; verdicts need three folds, and speak for new training
    images too. null: train and val as the data set divides them."""


class ModelCommon(Settings):
    """Settings that every model has."""

    freeze: Literal["none", "backbone", "all_but_classifier"] = "none"
    """Weights that do not move; BatchNorm in frozen layers keeps its running statistics."""


class LossCommon(Settings):
    """Settings that every loss term has."""

    weight: NonNegative = 1.0
    """Factor of this term in the sum."""


class OptimizerCommon(Settings):
    """Settings that every optimizer has."""

    multipliers: dict[Literal["backbone", "head"], NonNegative] = {}  # noqa: RUF012 - pydantic copies defaults
    """Factor of the learning rate for a parameter group; 1 where none is given."""


class ScheduleCommon(Settings):
    """Settings that every schedule has."""

    warmup: NonNegative = 0.0
    """Epochs over which the learning rate rises linearly from zero; parts of an epoch are allowed."""
    floor: Fraction = 0.0
    """The factor on the learning rate never falls below this."""


class AugmentCommon(Settings):
    """Augmentations share no settings."""
