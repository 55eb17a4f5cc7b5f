"""What of a run is shown in the tracking store, as plain names and values; knows no MLflow."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from harness import records
from harness.fingerprint import flatten
from harness.judged import counts_at, is_inherited
from harness.records import Plan, Progress, Run, RunResult
from harness.scores import all_scores

PARAM_LENGTH = 500
CLASS_NAME_LENGTH = 200
IOU_PREFIX = "val/iou/"
JOURNAL_ONLY = (records.GROUP_PREFIX, records.SHOWN_PREFIX, records.SHOWN_SHARE_PREFIX, records.WEIGHT_SHARE_PREFIX)
"""Beginnings of metrics, one for each class or group, of little use as curves: kept in the journal alone."""
HEADLINE = (
    "data.name",
    "data.size",
    "model.name",
    "model.freeze",
    "optimizer.name",
    "optimizer.lr",
    "schedule.name",
    "train.epochs",
    "train.batch_size",
    "seed",
)
"""Settings shown for every run, whether or not they differ within the study."""


def differing_keys(plan: Plan) -> tuple[str, ...]:
    """Return the dotted keys of settings that differ between the variants of a plan."""
    first_of = {run.variant: run for run in reversed(plan.runs)}
    flat = [flatten(run.config.to_dict()) for run in reversed(first_of.values())]
    keys = dict.fromkeys(key for settings in flat for key in settings)
    return tuple(key for key in keys if len({repr(settings.get(key)) for settings in flat}) > 1)


def params_of(run: Run, differing: Sequence[str]) -> dict[str, str]:
    """Return the settings worth a column: what differs within the study, and the headline ones."""
    mine = flatten(run.config.to_dict())
    shown = {key: mine.get(key) for key in dict.fromkeys([*HEADLINE, *differing]) if key != "plugins"}
    terms = {kind: ", ".join(term.name for term in getattr(run.config, kind)) or "none" for kind in ("loss", "augment")}
    return {key: _short(value) for key, value in {**shown, **terms}.items()}


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= PARAM_LENGTH else f"{text[: PARAM_LENGTH - 1]}…"


def tags_of(plan: Plan, run: Run) -> dict[str, str]:
    """Return the tags by which a run is found: study, variant, seed, ids, and each component on or off."""
    return {
        "harness.kind": "run",
        "harness.study": plan.study,
        "harness.variant": run.variant,
        "harness.seed": str(run.seed),
        "harness.id": run.id,
        "harness.parent_id": run.start.run_id if run.start else "",
        **{f"harness.component.{name}": "on" if on else "off" for name, on in run.components.items()},
    }


def metric_names(names: Iterable[str]) -> dict[str, str]:
    """Return name -> a name the store accepts, different for different names.

    A class may be called anything; a metric may only have letters, digits, `_`, `-`, `.`, space and `:` after the last
    slash, and no path that leads elsewhere.
    """
    accepted: dict[str, str] = {}
    for name in names:
        prefix, last = (IOU_PREFIX, name[len(IOU_PREFIX) :]) if name.startswith(IOU_PREFIX) else ("", name)
        safe = name if not prefix else prefix + (re.sub(r"[^\w\-. :]", "_", last)[:CLASS_NAME_LENGTH].strip(".") or "_")
        numbered, number = safe, 2
        while numbered in accepted.values():
            numbered, number = f"{safe}_{number}", number + 1
        accepted[name] = numbered
    return accepted


def epoch_metrics(progress: Progress) -> dict[str, float]:
    """Return an epoch's metrics by accepted names, without those that the journal alone keeps."""
    names = metric_names(name for name in progress.metrics if not name.startswith(JOURNAL_ONLY))
    return {accepted: progress.metrics[name] for name, accepted in names.items()}


def final_metrics(result: RunResult) -> dict[str, float]:
    """Return the metrics of the best and the last epoch, and their scores on the other splits.

    Where the best epoch of an older result is not one that the run trained, there are only those of the last one.
    """
    epochs = {progress.epoch: progress for progress in result.history}
    # Both epochs with the same names below `best/` and `last/`; val is among the epoch's own metrics already.
    chosen = {"last": (max(epochs), counts_at(result, "last"))}
    if result.best_epoch is not None and not is_inherited(result):
        chosen["best"] = result.best_epoch, result.counts
    metrics: dict[str, float] = {}
    for which, (epoch, by_split) in chosen.items():
        metrics |= {f"{which}/{key}": value for key, value in epoch_metrics(epochs[epoch]).items()}
        for split, counts in by_split.items():
            if split != "val":
                metrics |= {f"{which}/{split}/{name}": value for name, value in all_scores(counts).items()}
        metrics[f"{which}/epoch"] = float(epoch)
    return metrics
