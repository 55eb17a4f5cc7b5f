"""The report as data: everything that the Markdown, the tables and the figures say, and what it rests on.

Scores and differences are fractions; `null` stands for a value that nothing defines (a class absent from the ground
truth, a standard deviation of one value). `python -m harness.report.study.record` prints the JSON Schema.
"""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from harness.records import Concern, Which
from harness.report.diagnosis.records import Diagnosis
from harness.report.evidence.records import Evidence
from harness.report.study.base import Record
from harness.report.study.claims import BandComparison, Claim, Comparison, FamilyAttribution, Floor, Ranking
from harness.stats.verdicts import CORRECTION

REPORT_VERSION = 2
"""Format 1 named the adjusted p-value `p_holm`, and no correction."""

SeedStatus = Literal["finished", "failed", "skipped", "interrupted", "pruned", "missing", "unjudged"]
"""`unjudged`: finished by an older version of harness that kept no counts of what the run itself trained."""
ByName = dict[str, float | None]


class Estimate(Record):
    """One number over seeds: every single value, their mean and their standard deviation."""

    mean: float | None
    """Mean over the seeds listed; null without any."""
    sd: float | None
    """Sample standard deviation (divisor n - 1); null with fewer than two seeds."""
    seeds: tuple[int, ...]
    """Seeds behind the mean, in the order of `values`."""
    values: tuple[float, ...]


class Difference(Estimate):
    """A score minus the reference's, paired by seed: only seeds that both have."""

    within_spread: bool
    """True where the numbers do not even suggest a direction: fewer than two seeds, seeds that disagree about the sign,
    or a mean no larger than its standard deviation. False describes these seeds; it is not a verdict."""


class Change(Record):
    """One setting that differs from another variant's; null stands for a setting that is not there."""

    key: str
    """Dotted key of the setting."""
    before: JsonValue
    """Value in the other variant."""
    value: JsonValue


class Epoch(Record):
    """One epoch of one run; metrics are named as in the tracking store, those of single classes left out."""

    epoch: int
    """0 is the evaluation of the weights that a run begins with; it is never the best of a run that trains."""
    improved: bool
    metrics: ByName


class SeedResult(Record):
    """One run: a variant with one seed."""

    seed: int
    run_id: str
    status: SeedStatus
    reason: str
    """Why there is no result; empty for a finished run."""
    starts_from: str | None
    """The run whose weights this one starts from, such as `baseline/seed0@best`; null for a fresh start."""
    best_epoch: int | None
    """The best of the epochs that it trained; 0 where it trained none."""
    epochs_trained: int
    epochs_planned: int
    scores: dict[str, ByName]
    """Split -> score -> value, of the weights of the epoch that the study compares."""
    last: ByName
    """Score -> value on the validation split after the last epoch."""
    iou_class: dict[str, ByName]
    """Split -> class -> intersection over union, of the same weights."""
    images_per_s: float | None
    """Training speed: median over epochs."""
    minutes: float
    """Wall time of training and evaluation, all attempts together."""
    epochs: tuple[Epoch, ...]


class Delta(Record):
    """Differences of one variant against the reference."""

    scores: dict[str, dict[str, Difference]]
    """Split -> score -> difference."""
    iou_class: dict[str, dict[str, Difference]]
    """Split -> class -> difference."""


class VariantSummary(Record):
    """One variant over its seeds."""

    name: str
    slug: str
    """The name as it stands in file names."""
    starts_from: str | None
    """Variant and epoch whose weights the runs start from, seed to seed, such as `baseline@best`."""
    settings_from: str
    """Variant whose settings this one was written as a change of; empty for the reference."""
    changed: tuple[Change, ...]
    """Settings that differ from those of `settings_from`."""
    compared_with: str | None
    """The reference; null for the reference itself."""
    differs: tuple[Change, ...]
    """Settings that differ from the reference's: all of them together stand behind `delta`."""
    components: dict[str, bool]
    evaluated_only: bool
    """Whether it trains nothing: its scores are those of given weights, and no verdict on a recipe is given."""
    same_runs_as: tuple[str, ...]
    """Other variants that are the very same runs: computed once, shown under each name."""
    seeds: tuple[SeedResult, ...]
    scores: dict[str, dict[str, Estimate]]
    """Split -> score -> mean over finished seeds."""
    iou_class: dict[str, dict[str, Estimate]]
    """Split -> class -> mean over the finished seeds."""
    delta: Delta | None
    """Null for the reference, and where the two cannot be compared."""
    images_per_s: Estimate
    minutes: Estimate


class OwnTraining(Record):
    """What the training of a warm-started variant made of the weights that it started from, on one split."""

    variant: str
    start: str
    """Variant and epoch that it started from, such as `baseline@best`."""
    split: str
    claim: Claim
    """After its own training, less the start, seed by seed; all variants of a split are one family."""
    kept: Estimate
    """miou_dataset of whoever keeps the start with each seed where the score that selects epochs is no higher after
    training."""
    kept_start: tuple[int, ...]
    """The seeds with which that is the start."""


class CommonVariant(Record):
    """One variant in its own label set and in the common one."""

    name: str
    taxonomy: str
    """The label set that it was trained and judged in."""
    classes: int
    own: dict[str, Estimate]
    """Split -> miou_dataset in its own label set."""
    common: dict[str, Estimate]
    """Split -> miou_dataset in the common label set: the same predictions, confusions of merged classes added up."""
    by_merging: dict[str, Difference]
    """Split -> common minus own: what merging does to the score of unchanged predictions."""


class CommonLabels(Record):
    """Variants in different label sets, judged in the one into which all others merge."""

    taxonomy: str
    classes: tuple[str, ...]
    variants: tuple[CommonVariant, ...]


class SplitSummary(Record):
    """What the scores of one split were counted on."""

    name: str
    images: int
    groups: int
    """Units that may be resampled: cities, drives, clip blocks; images where those are independent."""
    pixels: int
    """Pixels with a true class; ignored ones are not counted."""


class ClassTruth(Record):
    """How often a class occurs in a split's ground truth."""

    pixels: int
    share: float


class ClassSummary(Record):
    """One class of the taxonomy."""

    name: str
    colour: tuple[int, int, int] | None
    """Red, green, blue; null where no finished run tells it."""
    truth: dict[str, ClassTruth]
    """Split -> pixels in its ground truth."""


class Fact(Record):
    """One line of provenance, and the runs it holds for."""

    key: str
    value: str
    runs: tuple[str, ...]
    """Labels of the runs; empty when it holds for all that have a provenance."""


class Report(Record):
    """A whole study: what was asked, what was run, what came out."""

    version: Annotated[int, Field(ge=REPORT_VERSION, le=REPORT_VERSION)] = REPORT_VERSION
    study: str
    question: str
    answer: tuple[str, ...]
    """The conclusion in at most three plain sentences."""
    reference: str
    """Variant that the others are compared with."""
    margin: float
    """Differences of miou_dataset smaller than this do not matter to the study's author."""
    epoch: Which
    """Which of the epochs that each run trained is compared."""
    primary: str
    """The split that verdicts are given on; on others there are differences and intervals."""
    command: str
    spec: str
    """The spec as written."""
    correction: str = CORRECTION.name
    """How every `p_adjusted` is adjusted for its family."""
    seeds: tuple[int, ...]
    notes: tuple[str, ...]
    """What a reader must know before the numbers: runs that are absent, results that must not be compared."""
    concerns: tuple[Concern, ...]
    """What the plan does not show, most serious first."""
    splits: tuple[SplitSummary, ...]
    """Validation first, then test."""
    classes: tuple[ClassSummary, ...]
    setup: dict[str, JsonValue]
    """The reference's complete configuration, seed left out."""
    variants: tuple[VariantSummary, ...]
    common: CommonLabels | None
    """Null where all variants have one label set; else differences between variants are those in the common one."""
    comparisons: tuple[Comparison, ...]
    """Each variant against the reference, and against the variant it was written from where that is another one."""
    bands: tuple[BandComparison, ...]
    """What each variant did to dominant and to rare classes, against the reference, on the primary split."""
    own_training: tuple[OwnTraining, ...]
    """For each warm-started variant, what its own training did to its start, on each split."""
    rankings: tuple[Ranking, ...]
    """On the primary split, as all that is judged."""
    floors: tuple[Floor, ...]
    next_runs: tuple[str, ...]
    """What would decide what is open, in sentences."""
    attributions: tuple[FamilyAttribution, ...]
    evidence: tuple[Evidence, ...]
    """Where each variant differs from the reference: regions, moved pixels, images."""
    diagnosis: Diagnosis
    """What stated rules see in the runs, and which classes gained and lost."""
    provenance: tuple[Fact, ...]
    figures: tuple[str, ...]
    """File names below `figures/`."""
    tables: tuple[str, ...]
    """File names below `tables/`."""


def report_schema() -> dict[str, Any]:
    """Return the JSON Schema of `report.json`."""
    return Report.model_json_schema(mode="serialization")


def to_json(value: object) -> str:
    """Return JSON text with sorted keys, indented, ending in a newline; NaN is refused."""
    return json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(to_json(report_schema()))
