"""What a spec may write below `tune`: types and defaults; `read_tuning` checks how the settings go together."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from harness.settings import Count, Positive, Settings, Whole

SamplerName = Literal["tpe", "gp", "random", "cmaes"]
PrunerName = Literal["median", "hyperband", "wilcoxon", "none"]
JudgeOn = Literal["held_out", "val"]
Kind = Literal["log_uniform", "uniform", "int", "choice"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""How the values of a setting are drawn; each entry of a space has one."""


class KnobSettings(Settings):
    """One setting that is searched: how its values are drawn, and when it is searched at all."""

    log_uniform: tuple[Positive, Positive] | None = None
    """Lowest and highest value; each power of ten between them is as likely as the others."""
    uniform: tuple[float, float] | None = None
    """Lowest and highest value."""
    whole: Annotated[tuple[int, int] | None, Field(alias="int")] = None
    """Lowest and highest whole number."""
    choice: Annotated[list[Any], Field(min_length=2)] | None = None
    """Values, whole parts too, such as [{name: adam}, {name: sgd, momentum: 0.9}]."""
    step: Count = 1
    """Distance between two values of `int`."""
    when: dict[str, Any] = {}  # noqa: RUF012 - pydantic copies defaults
    """Dotted key -> value, or list of values, that it must have for this setting to be searched."""
    variants: list[str] | None = None
    """Variants in which it is searched; null: in all."""


class BoundSettings(Settings):
    """What a measure must keep."""

    at_least: float | None = None
    """Smallest value allowed."""
    at_most: float | None = None
    """Largest value allowed."""


class TuneSettings(Settings):
    """A search for each variant's best settings, with the same budget for each."""

    space: dict[str, KnobSettings]
    """Dotted key -> how it is searched; applied in the order written."""
    objective: str | list[str] = "miou_dataset"
    """Scores that are raised: of the contract, or iou/<class>, or images_per_s. Of several, the compromise wins that is
    nearest to the best of each."""
    constraints: dict[str, BoundSettings] = {}  # noqa: RUF012 - pydantic copies defaults
    """Measure -> what it must keep: a score, iou/<class>, images_per_s (training) or run_seconds."""
    sampler: SamplerName = "tpe"
    """Tree-structured Parzen estimator, Gaussian process, at random, or CMA-ES (numbers alone)."""
    pruner: PrunerName = "median"
    """Stops trials early: below the median of the others at that epoch, hyperband, significantly behind the best trial
    over the groups of images (Wilcoxon), or never."""
    startup: Whole = 10
    """Trials that are drawn at random, and not pruned by the median, before the others are learnt from."""
    trials: Count = 30
    """Trials of each variant; the first has the settings as written, where they lie in the space."""
    hours: Positive | None = None
    """Hours after which a variant begins no further trial; null: no limit."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the sampler."""
    judge_on: JudgeOn = "held_out"
    """Images by which tuned variants are compared: those of val's groups that no trial was scored on (a third of the
    groups scores the trials and chooses best epochs); or all of val, on which trials were scored too."""
