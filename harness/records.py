"""The nouns of harness, frozen. Data flows Spec -> Plan -> Run -> Counts -> RunResult -> Report and never back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from harness import settings

Which = Literal["best", "last"]
JudgedSplit = Literal["val", "test"]
DEFAULT_EXPECTED = 0.01
"""Size of the differences of miou_dataset that are expected where a study does not say (fraction)."""
SINGLE = ("data", "model", "optimizer", "schedule")
"""Sections of a config that are one part."""
SEVERAL = ("loss", "augment")
"""Sections of a config that are several parts in an order."""
Status = Literal["finished", "failed", "skipped", "interrupted", "pruned"]
SHOWN_PREFIX = "train/shown/"
"""Metrics of an epoch, by class: pixels that training was shown / pixels that its split holds."""
SHOWN_SHARE_PREFIX = "train/shown_share/"
"""By class: its share of the pixels that training was shown."""
GROUP_PREFIX = "val/group/"
"""Metrics of an epoch, by group of images: the score that chooses the best epoch, of that group alone."""
WEIGHT_SHARE_PREFIX = "train/weight_share/"
"""By class: its share of those pixels, each times its class weight."""
OWN_FREEZE = "model.frozen_by_itself"
"""Among a run's inputs: digest of the names of the weights that only the model itself keeps still."""
UNLABELLED_STEPS = "train/unlabelled_batches"
"""Metric of an epoch: batches without a pixel that has a class. They move no weight by their loss. Absent: none."""
IMAGES_AT_ONCE = {"train": "train/images_at_once", "evaluate": "val/images_at_once"}
"""Metrics of an epoch in which memory held fewer images than a batch: how many went through the network at once."""


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides a run's numbers, every setting of every part spelled out. Devices are not part of it."""

    data: settings.DataChoice
    model: settings.ModelChoice
    loss: tuple[settings.LossChoice, ...]
    """Terms; their weighted sum is minimised."""
    augment: tuple[settings.AugmentChoice, ...]
    """Applied in this order."""
    optimizer: settings.OptimizerChoice
    schedule: settings.ScheduleChoice
    train: settings.TrainSettings
    evaluate: settings.EvaluateSettings
    seed: int
    plugins: tuple[str, ...] = ()
    """Modules outside harness that define parts; imported before the run is built."""

    def to_dict(self) -> dict[str, Any]:
        """Return the config as a spec would write it, complete: plain dicts, lists and scalars."""
        return {
            "data": {"name": self.data.name, **self.data.settings},
            "model": {"name": self.model.name, **self.model.settings},
            **{kind: {term.name: term.settings for term in getattr(self, kind)} for kind in SEVERAL},
            "optimizer": {"name": self.optimizer.name, **self.optimizer.settings},
            "schedule": {"name": self.schedule.name, **self.schedule.settings},
            "train": self.train.model_dump(mode="json"),
            "evaluate": self.evaluate.model_dump(mode="json"),
            "seed": self.seed,
            "plugins": list(self.plugins),
        }


@dataclass(frozen=True)
class Start:
    """The weights a run starts from: another run's, at its best or last epoch."""

    run_id: str
    which: Which


@dataclass(frozen=True)
class Run:
    """One training with one seed: a complete config, the runs and data it needs, and the names humans read."""

    id: str
    """Fingerprint of the config, of the content it reads and of the run it starts from; names are not part of it."""
    variant: str
    seed: int
    config: RunConfig
    inputs: Mapping[str, str]
    """Digest of each thing read from disk: `data`, and weights files by key path."""
    start: Start | None = None
    components: Mapping[str, bool] = field(default_factory=dict)
    """The study's components, on or off in this run."""
    family: str = ""
    """The variant as written in the spec, of whose components `variant` is a combination."""
    design: tuple[str, ...] = ()
    """Designs of the family that make this combination; none for a variant without components."""
    settings_from: str = ""
    """Name of the variant (or `base`) whose settings this one was written as a change of."""
    changed: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    """Dotted key -> (value there, value here), for each setting that differs from those of `settings_from`."""

    @property
    def label(self) -> str:
        """Return `<variant>/seed<k>`, the run's name for humans."""
        return f"{self.variant}/seed{self.seed}"


@dataclass(frozen=True)
class Concern:
    """What the study as planned does not show, or shows wrongly; as `harness plan` says it."""

    code: str
    """One of `harness.spec.lint.CODES`."""
    variants: tuple[str, ...]
    """Variants that it is about."""
    text: str
    """What is so, and why it matters."""
    remedy: str
    """What would resolve it, and how many runs that takes."""


@dataclass(frozen=True)
class Plan:
    """A study's runs in an order in which each comes after the run it starts from."""

    study: str
    question: str
    reference: str
    """Name of the variant that the others are compared with."""
    margin: float
    """Differences of miou_dataset smaller than this do not matter to the study's author (fraction)."""
    runs: tuple[Run, ...]
    epoch: Which = "best"
    """Which of a run's trained epochs is compared."""
    split: JudgedSplit | None = None
    """The split that verdicts are given on, as the spec names it; None leaves it to `harness.judged.primary_split`."""
    spec_text: str = ""
    """The spec as written."""
    command: str = ""
    """Command line that makes this plan."""
    component_keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Component -> dotted keys that it sets."""
    left_out: tuple[str, ...] = ()
    """Combinations that a design makes and a component's rule forbids: a sentence for each."""
    kind: Literal["study", "tuning"] = "study"
    """Whether the runs are the study itself, or trials of the search before it."""
    looks: tuple[int, ...] = ()
    """Numbers of seeds at which the study's author looks at the results, ascending; empty where none are declared."""
    expected: float = DEFAULT_EXPECTED
    """Size of the differences of miou_dataset that the study's author expects before it (fraction)."""
    concerns: tuple[Concern, ...] | None = None
    """What the plan does not show, most serious first, as found with its data; None where nobody has looked yet: in
    plans of older versions, and in those that were put together from others."""

    def combinations(self, family: str, design: str | None = None) -> dict[frozenset[str], str]:
        """Return combination -> variant, of one family: all, or those of one of its designs.

        A combination is the set of the components that are on, of those that are not on, or off, throughout the family.
        """
        runs = [run for run in self.runs if run.family == family]
        levels = {name: {run.components[name] for run in runs} for run in runs[:1] for name in run.components}
        return {
            frozenset(name for name, on in run.components.items() if on and len(levels[name]) == 2): run.variant
            for run in runs
            if design is None or design in run.design
        }

    @property
    def variants(self) -> tuple[str, ...]:
        """Return the variants' names in the order of the spec."""
        return tuple(dict.fromkeys(run.variant for run in self.runs))


@dataclass(frozen=True)
class Origin:
    """Where the user's command was given, if that is another machine than the one that computes."""

    command: tuple[str, ...]
    git: Mapping[str, Any] | None
    """State of the repository there, as provenance tells it."""


@dataclass(frozen=True)
class Machine:
    """Where a run is computed. Nothing here may change a number on CPU."""

    device: str = "cpu"
    """A torch device, such as `cpu` or `cuda:0`."""
    cache: bool = True
    """Whether images are decoded and resized once and kept on disk for all runs; else each time they are asked for."""
    resident: bool = True
    """Whether a GPU that has room for a split's images holds them."""
    origin: Origin | None = None


@dataclass(frozen=True)
class Progress:
    """One finished epoch of one run. Epoch 0 is the evaluation of the weights that a run begins with: its start."""

    epoch: int
    epochs: int
    """Epochs this run will train at most."""
    metrics: Mapping[str, float]
    """Named as in MLflow: `train/loss`, `val/loss`, `val/miou_dataset`, `val/iou/<class>`, `lr/<group>`, ..."""
    improved: bool
    """Whether this is the best epoch so far, of those that the run trained; of a run of 0 epochs, epoch 0."""
    time_ms: int
    """Wall clock when the epoch ended, milliseconds since 1970."""

    def to_dict(self) -> dict[str, Any]:
        """Return the record as one line of a run's journal."""
        return {**vars(self), "metrics": dict(self.metrics)}


COUNTS_VERSION = 1


@dataclass(frozen=True)
class Counts:
    """Confusion matrices of single images, sparse: for triple k, `pixels[k]` pixels of image `image[k]` whose label is
    class `true[k]` and which were predicted as class `predicted[k]`. Triples are unique; ignored pixels are absent.
    """

    image_K: npt.NDArray[np.int32]
    true_K: npt.NDArray[np.int16]
    predicted_K: npt.NDArray[np.int16]
    pixels_K: npt.NDArray[np.int64]
    images: tuple[str, ...]
    """Name of each image."""
    groups: tuple[str, ...]
    """For each image, the unit that may be resampled: its city, drive or clip block."""
    classes: tuple[str, ...]

    def confusion_CC(self) -> npt.NDArray[np.int64]:
        """Return the confusion matrix summed over images: rows are true classes, columns predicted ones (pixels)."""
        num_classes = len(self.classes)
        flat = np.zeros(num_classes * num_classes, np.int64)
        np.add.at(flat, self.true_K.astype(np.int64) * num_classes + self.predicted_K, self.pixels_K)
        return flat.reshape(num_classes, num_classes)

    def confusion_NCC(self) -> npt.NDArray[np.int64]:
        """Return one dense confusion matrix for each image (pixels)."""
        num_classes = len(self.classes)
        dense = np.zeros((len(self.images), num_classes, num_classes), np.int64)
        dense[self.image_K, self.true_K, self.predicted_K] = self.pixels_K
        return dense


@dataclass(frozen=True)
class Examples:
    """A few validation images [H, W, 3] with truth and prediction [H, W], uint8, for pictures; 255 is ignored."""

    names: tuple[str, ...]
    images: tuple[npt.NDArray[np.uint8], ...]
    labels: tuple[npt.NDArray[np.uint8], ...]
    predictions: tuple[npt.NDArray[np.uint8], ...]


@dataclass(frozen=True)
class Predictions:
    """More validation images than `Examples`, evenly spaced, packed; `harness.predictions` unpacks them one by one."""

    names: tuple[str, ...]
    packed: bytes = field(repr=False)
    """The file `evaluation/predictions.npz`."""


@dataclass(frozen=True)
class RunResult:
    """What became of a run. Only a finished run has counts."""

    run_id: str
    status: Status
    reason: str = ""
    """Why it failed, was skipped or was pruned, in words for the user."""
    history: tuple[Progress, ...] = ()
    best_epoch: int | None = None
    """The best of the epochs that the run trained; 0 for a run of 0 epochs."""
    counts: Mapping[str, Counts] = field(default_factory=dict)
    """Split name -> counts of the best epoch."""
    last_counts: Mapping[str, Counts] = field(default_factory=dict)
    """Split name -> counts of the last epoch; results of older versions have none."""
    start_counts: Mapping[str, Counts] = field(default_factory=dict)
    """Split name -> counts of the weights that a warm-started run began with; results of older versions have none."""
    regions: Mapping[str, Mapping[str, Counts]] = field(default_factory=dict)
    """Split name -> region (border, interior, a third of the height) -> counts in it; older results have none."""
    contract: Mapping[str, Any] = field(default_factory=dict)
    """What must agree before two results are compared: split hashes, size, ignore rule, taxonomy, selection."""
    examples: Examples | None = None
    predictions: Predictions | None = None
    """Of the best checkpoint on the validation split; older results have none."""
    colours: tuple[tuple[int, int, int], ...] = ()
    """Colour of each class, red green blue."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    """Wall time spent training and evaluating, over all attempts."""
