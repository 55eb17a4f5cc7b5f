"""One run and its result -> SeedResult; values of single seeds -> mean, standard deviation, paired differences."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping

from harness import records
from harness.report.study.record import ByName, Difference, Epoch, Estimate, SeedResult, SeedStatus
from harness.scores import SCORES, all_scores, iou_class
from harness.spec.plan import start_of

Values = Mapping[int, float | None]
"""Seed -> value; None where nothing defines it."""
CLASS_PREFIXES = ("val/iou/", records.SHOWN_PREFIX, records.SHOWN_SHARE_PREFIX, records.WEIGHT_SHARE_PREFIX)
"""Beginnings of an epoch's metrics that there is one of for each class."""


def make_seed_result(plan: records.Plan, run: records.Run, result: records.RunResult | None) -> SeedResult:
    """Return what became of one run; None stands for a run that has not been started."""
    history = result.history if result else ()
    counts = result.counts if result and result.status == "finished" else {}
    speeds = [item.metrics["train/images_per_s"] for item in history if "train/images_per_s" in item.metrics]
    status: SeedStatus = result.status if result else "missing"
    return SeedResult(
        seed=run.seed,
        run_id=run.id,
        status="unjudged" if status == "finished" and not counts else status,
        reason=result.reason if result else "not run yet",
        starts_from=f"{start_of(plan, run)}/seed{run.seed}@{run.start.which}" if run.start else None,
        best_epoch=result.best_epoch if result else None,
        epochs_trained=history[-1].epoch if history else 0,
        epochs_planned=run.config.train.epochs,
        scores={split: _by_name(all_scores(counts[split])) for split in order_splits(counts)},
        last=_last_scores(result) if result else {},
        iou_class={split: _class_values(counts[split]) for split in order_splits(counts)},
        images_per_s=statistics.median(speeds) if speeds else None,
        minutes=result.seconds / 60 if result else 0.0,
        epochs=tuple(_make_epoch(item) for item in history),
    )


def order_splits(names: Iterable[str]) -> list[str]:
    """Return split names with validation first, then test, then any other."""
    return sorted(set(names), key=lambda name: (name != "val", name != "test", name))


def _by_name(values: Mapping[str, float]) -> ByName:
    return {name: known(value) for name, value in values.items()}


def _class_values(counts: records.Counts) -> ByName:
    values_C = iou_class(counts.confusion_CC()).tolist()
    return _by_name(dict(zip(counts.classes, values_C, strict=True)))


def _last_scores(result: records.RunResult) -> ByName:
    if "val" in result.last_counts:
        return _by_name(all_scores(result.last_counts["val"]))
    last = result.history[-1].metrics if result.history else {}
    return {name: known(last[f"val/{name}"]) for name in SCORES if f"val/{name}" in last}


def _make_epoch(item: records.Progress) -> Epoch:
    metrics = {name: known(value) for name, value in item.metrics.items() if not name.startswith(CLASS_PREFIXES)}
    return Epoch(epoch=item.epoch, improved=item.improved, metrics=metrics)


def known(value: float | None) -> float | None:
    """Return the value, or None where it is NaN or infinite: JSON has no word for those."""
    return value if value is not None and math.isfinite(value) else None


def make_estimate(values: Values) -> Estimate:
    """Return mean and sample standard deviation over the seeds that have a value."""
    present = {seed: value for seed, value in sorted(values.items()) if value is not None}
    mean = statistics.fmean(present.values()) if present else None
    sd = statistics.stdev(present.values()) if len(present) > 1 else None
    return Estimate(mean=mean, sd=sd, seeds=tuple(present), values=tuple(present.values()))


def make_difference(here: Values, reference: Values) -> Difference:
    """Return `here - reference`, paired by seed over the seeds that both have."""
    paired: dict[int, float | None] = {}
    for seed, value in here.items():
        other = reference.get(seed)
        if value is not None and other is not None:
            paired[seed] = value - other
    # A direction is suggested only where all seeds agree on it and the mean stands out of their scatter.
    found = make_estimate(paired)
    one_sided = all(value > 0 for value in found.values) or all(value < 0 for value in found.values)
    beyond = found.mean is not None and found.sd is not None and one_sided and abs(found.mean) > found.sd
    return Difference(**dict(found), within_spread=not beyond)
