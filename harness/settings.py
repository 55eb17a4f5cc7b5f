"""Types of settings, and the settings that a spec may write below `train` and `evaluate`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MOST = 1_000_000
"""Largest count: what is counted here is done, or held in memory, one by one."""
LONGEST_PX = 32_768
"""Longest side of an image, in pixels."""
Count = Annotated[int, Field(ge=1, le=MOST)]
Whole = Annotated[int, Field(ge=0, le=MOST)]
Side = Annotated[int, Field(ge=1, le=LONGEST_PX)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Size = tuple[Side, Side]
"""Height and width in pixels."""


class Location:
    """Marks a text setting that is a place on disk: the content found there decides the numbers, the place does not.

    Such settings stay out of a run's id; a digest of the content stands in for them.
    """


PathText = Annotated[str, Location()]

ScoreName = Literal[
    "miou_dataset",
    "miou_image",
    "dice_dataset",
    "pixel_accuracy",
    "mean_class_accuracy",
    "frequency_weighted_iou",
]


class Settings(BaseModel):
    """A frozen, strict record of settings: unknown keys, wrong types and numbers that are not finite are errors."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class EarlyStop(Settings):
    """Stop when a score of the validation split has not risen for a while."""

    score: ScoreName = "miou_dataset"
    """The score that is watched."""
    patience: Count = 3
    """Epochs without a rise that are waited for."""
    min_delta: NonNegative = 0.0
    """A rise counts when it is larger than this fraction."""


class TrainSettings(Settings):
    """How a run is trained."""

    epochs: Whole = 10
    """Passes over the training split; 0 evaluates the starting weights only, which get no verdict."""
    batch_size: Count = 8
    """Images a step. When one image remains at the end of an epoch it joins the batch before it."""
    accumulate: Count = 1
    """Steps whose gradients are averaged before the weights move."""
    clip_norm: Positive | None = None
    """Largest L2 norm of the gradient over all weights; null does not clip."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of the forward pass; bfloat16 (autocast) needs hardware that has it."""
    memory_format: Literal["channels_last", "contiguous"] = "channels_last"
    """Order of an image tensor's elements in memory; it changes speed, and the last bits of sums."""
    early_stop: EarlyStop | None = None
    """Rule that ends training early, by the epochs trained so far; null trains all epochs."""
    checkpoint_every: Count = 1
    """Epochs between two checkpoints: what a killed run repeats at most."""
    deterministic: bool = True
    """Use deterministic algorithms only; on a GPU, operations without one are named in the provenance."""
    on_oom: Literal["fail", "accumulate"] = "fail"
    """What happens where memory does not hold a batch: `fail` ends the run and says which batch fits; `accumulate` goes
    on with batches cut into pieces that fit, their gradients added up. What looks at a batch as one (BatchNorm, Dice)
    then sees the pieces."""
    optimizer_step: Literal["plain", "fused"] = "plain"
    """How the weights are moved: `fused` does it in one pass over memory, by the same formula; the last bits differ."""
    augment_as: Literal["steps", "one_sampling"] = "steps"
    """How augmentations are made: `steps`, one after the other, image by image, on the CPU; `one_sampling`, from the
    same draws, a batch at once where the run computes, flip, rotate, scale and crop as one sampling of the image.
    Pixels then differ a little where `steps` interpolates twice, and more where it shrinks an image."""
    compile: Literal["none", "default", "reduce-overhead"] = "none"
    """`default` translates the network into kernels of its own (torch.compile), `reduce-overhead` replays them as CUDA
    graphs too. The first steps take a minute or more, and last bits differ."""
    threads: Count = 1
    """CPU threads of one run: they change the order of sums, so they are a setting and not a matter of the machine."""


class EvaluateSettings(Settings):
    """How a run is judged."""

    select_on: ScoreName = "miou_dataset"
    """The validation score whose highest value marks the best epoch; the earlier epoch wins a tie."""
    select_split: Literal["val", "held_out"] = "val"
    """Images that choose the best epoch: all of val, on which the score is then a little too high; or a third of val's
    groups, on which no score is reported (the `val` metrics of each epoch are then theirs)."""
    size: Literal["native", "input"] = "native"
    """Where prediction and label meet: at the label's own size, or at the model's input size."""
    batch_size: Count = 16
    """Images evaluated at once."""
    epochs_by: Literal["split", "group"] = "split"
    """What a run's journal tells of each epoch: scores of the split, or also `select_on` of each group of its images,
    by which a search compares trials. It changes no number."""
