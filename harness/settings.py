"""Settings with their types: of chosen parts, as far as all parts of a kind have them, of `train` and of `evaluate`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_serializer, model_validator
from pydantic_core import to_jsonable_python

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

Folds = Annotated[int, Field(ge=2)]
Share = Annotated[float, Field(gt=0, le=1)]

ScoreName = Literal[
    "miou_dataset",
    "miou_image",
    "dice_dataset",
    "pixel_accuracy",
    "mean_class_accuracy",
    "frequency_weighted_iou",
]


def _check_inputs(inputs: tuple[str, ...]) -> tuple[str, ...]:
    if inputs not in (("rgb",), ("rgb", "depth"), ("depth",)):
        raise ValueError('["rgb"] or ["rgb", "depth"] or ["depth"]')
    return inputs


Inputs = Annotated[tuple[Literal["rgb", "depth"], ...], AfterValidator(_check_inputs)]


class Settings(BaseModel):
    """A frozen, strict record of settings: unknown keys, wrong types and numbers that are not finite are errors."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class Choice(Settings, strict=False):  # of settings that were checked: where a tuple is meant, JSON has a list
    """A part chosen by name, with every setting spelled out, defaults included. As JSON: {name, version, settings}.

    Each kind of part has a record of its own. Its fields are the settings that all parts of the kind have: harness
    reads them by name and with their types, and needs no plugin for it. What the part has beyond them is in `own`.
    """

    name: str
    version: int = 1
    """The part's version: raised by its author when its numbers change on purpose."""
    own: Mapping[str, Any] = {}
    """The part's own settings, as JSON; its function gets them with their types."""

    @classmethod
    def of(cls, name: str, settings: Mapping[str, Any], version: int = 1) -> Self:
        """Return the choice of a part, from its settings as JSON; one of its kind that is missing has its default."""
        return cls.model_validate({"name": name, "version": version, "settings": settings})

    @classmethod
    @cache
    def of_kind(cls) -> dict[str, Any]:
        """Return name -> (type, field) of the settings that every part of this kind has."""
        fields = cls.model_fields.items()
        return {name: (info.annotation, info) for name, info in fields if name not in Choice.model_fields}

    @model_validator(mode="before")
    @classmethod
    def _divide(cls, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Tell the settings of the kind from the part's own."""
        of_kind, settings = cls.of_kind(), entry["settings"]
        own = {key: value for key, value in settings.items() if key not in of_kind}
        shared = {key: value for key, value in settings.items() if key in of_kind}
        return {"name": entry["name"], "version": entry.get("version", 1), "own": own, **shared}

    @property
    def settings(self) -> dict[str, Any]:
        """Return every setting as a spec would write it, as JSON: those of the kind, then the part's own."""
        shared = {key: getattr(self, key) for key in self.of_kind() if key in self.model_fields_set}
        return {**to_jsonable_python(shared), **self.own}

    @model_serializer
    def _to_json(self) -> dict[str, Any]:
        return {"name": self.name, "version": self.version, "settings": self.settings}

    def with_settings(self, **changed: Any) -> Self:
        """Return the choice with some settings changed, which are given as JSON."""
        return self.of(self.name, {**self.settings, **changed}, self.version)


class DataChoice(Choice):
    """A data set: the settings that every one has."""

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


class ModelChoice(Choice):
    """A model: the settings that every one has."""

    freeze: Literal["none", "backbone", "all_but_classifier"] = "none"
    """Weights that do not move; BatchNorm in frozen layers keeps its running statistics."""


class LossChoice(Choice):
    """A loss term: the settings that every one has."""

    weight: NonNegative = 1.0
    """Factor of this term in the sum."""


class OptimizerChoice(Choice):
    """An optimizer: the settings that every one has."""

    multipliers: dict[Literal["backbone", "head"], NonNegative] = {}
    """Factor of the learning rate for a parameter group; 1 where none is given."""

    @property
    def lr(self) -> float:
        """Return the learning rate: an own setting of every optimizer, with limits and a default of its own."""
        return float(self.own["lr"])


class ScheduleChoice(Choice):
    """A schedule: the settings that every one has."""

    warmup: NonNegative = 0.0
    """Epochs over which the learning rate rises linearly from zero; parts of an epoch are allowed."""
    floor: Fraction = 0.0
    """The factor on the learning rate never falls below this."""


class AugmentChoice(Choice):
    """An augmentation: they share no settings."""


CHOICES: Mapping[str, type[Choice]] = {
    "data": DataChoice,
    "model": ModelChoice,
    "loss": LossChoice,
    "augment": AugmentChoice,
    "optimizer": OptimizerChoice,
    "schedule": ScheduleChoice,
}
"""Kind of part -> its record."""


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
