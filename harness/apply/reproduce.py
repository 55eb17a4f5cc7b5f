"""A recorded run once more: what is different here, and whether the counts come again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.apply.choose import ChosenRun
from harness.apply.recorded_run import import_recorded, read_config
from harness.environment import UNSET, read_environment
from harness.errors import HarnessError, InputError
from harness.execute.events import Ended, Event
from harness.execute.inputs import make_reader
from harness.execute.local import Local
from harness.records import Counts, Machine, Run, RunResult, Start
from harness.runs.folder import RunFolder, is_finished, load_result, require_model_file, run_folder
from harness.runs.provenance import read_provenance
from harness.scores import miou_dataset
from harness.spec.plan import run_id
from harness.spec.plugins import digest_sources, read_sources
from harness.tracking.protocol import Store

GONE = "nothing"
VARIABLE = "environment variable "


@dataclass(frozen=True)
class Change:
    """One thing that is not as it was when the run was recorded."""

    what: str
    recorded: str
    here: str


@dataclass(frozen=True)
class SplitOutcome:
    """What became of one split's counts."""

    split: str
    images: int
    differing: int
    """Images whose confusion matrix is another one; all of them where they are not the same images."""
    delta: float
    """miou_dataset, new minus recorded (fraction)."""

    @property
    def identical(self) -> bool:
        """Tell whether every count came again."""
        return self.differing == 0


@dataclass(frozen=True)
class Rerun:
    """What is to be run, and where."""

    runs: tuple[Run, ...]
    """Each after the run it starts from; the recorded run is the last."""
    folders: Mapping[str, RunFolder]
    """Fresh ones for `runs`; the store's for a run whose weights are taken from there."""
    machine: Machine
    changes: tuple[Change, ...]


def prepare(chosen: ChosenRun, store: Store, folder: Path, *, device: str | None, from_scratch: bool) -> Rerun:
    """Return what running a chosen run again in `folder` takes, and what differs from its record.

    A run that starts from another one's weights takes those from the store; `from_scratch` runs that one again, too.
    `device` is by default the recorded one.

    Raises:
        InputError: data, or the run it starts from, are not at hand.
    """
    runs = [_recorded_run(chosen.folder, chosen.variant)]
    folders = {runs[0].id: run_folder(folder, runs[0].id)}
    while (start := runs[0].start) is not None:
        there = run_folder(store.root, start.run_id)
        if not is_finished(there) and not store.fetch(start.run_id, chosen.study, there):
            raise InputError(f"{chosen.label} starts from run {start.run_id}, which is neither here nor in the store")
        if not from_scratch:
            folders[start.run_id] = there
            break
        runs.insert(0, _recorded_run(there, ""))
        folders[start.run_id] = run_folder(folder, start.run_id)
    recorded = chosen.result.provenance
    machine = Machine(device or recorded.get("device", {}).get("torch", "auto"))
    return Rerun(tuple(runs), folders, machine, _find_changes(recorded, runs[-1], machine))


def run_again(again: Rerun, listen: Callable[[Event], None]) -> RunResult:
    """Train and judge; return what became of the recorded run. `listen` is told each event.

    Raises:
        HarnessError: it did not finish.
    """
    for event in Local(again.machine, jobs=1)(again.runs, again.folders):
        listen(event)
        if isinstance(event, Ended) and event.result.status != "finished":
            raise HarnessError(f"run {event.run.id} did not finish again: {event.result.reason}")
    result = load_result(again.folders[again.runs[-1].id])
    assert result is not None
    return result


def compare_counts(recorded: RunResult, again: RunResult) -> tuple[SplitOutcome, ...]:
    """Return, for each split that was recorded, whether its counts came again."""
    return tuple(_compare(split, counts, again.counts.get(split)) for split, counts in recorded.counts.items())


def _compare(split: str, recorded: Counts, again: Counts | None) -> SplitOutcome:
    total = len(recorded.images)
    if again is None:
        return SplitOutcome(split, total, total, float("nan"))
    delta = miou_dataset(again.confusion_CC()) - miou_dataset(recorded.confusion_CC())
    if (again.images, again.classes) != (recorded.images, recorded.classes):
        return SplitOutcome(split, total, total, delta)
    differs_N = (again.confusion_NCC() != recorded.confusion_NCC()).any(axis=(1, 2))
    return SplitOutcome(split, total, int(np.count_nonzero(differs_N)), delta)


def _recorded_run(folder: RunFolder, variant: str) -> Run:
    result = load_result(folder)
    about = result.provenance.get("run") if result else None
    if result is None or about is None:
        raise InputError(f"{folder.provenance}: does not say what the run was made from; it cannot be run again")
    require_model_file(folder, folder.config)
    import_recorded(folder, result)
    config, start = read_config(folder.config), about["starts_from"]
    return Run(
        id=about["id"],
        variant=variant or about["id"],
        seed=config.seed,
        config=config,
        inputs=about["inputs"],
        start=Start(**start) if start else None,
    )


def _find_changes(recorded: Mapping[str, Any], run: Run, machine: Machine) -> tuple[Change, ...]:
    inputs = dict(make_reader()(run.config))
    here = {**read_provenance(machine), "environment": read_environment(), "device": {"torch": machine.device}}
    before, after = _facts(recorded, run.inputs), _facts(here, inputs)
    before["fingerprint of the run"], after["fingerprint of the run"] = run.id, run_id(run.config, inputs, run.start)
    if plugins := recorded.get("plugins"):
        before["source of plugins"] = plugins["sha256"]
        after["source of plugins"] = digest_sources(read_sources(run.config.plugins))
    none = {key: UNSET if key.startswith(VARIABLE) else GONE for key in [*before, *after]}
    before, after = none | before, none | after
    return tuple(Change(key, before[key], after[key]) for key in none if before[key] != after[key])


def _facts(provenance: Mapping[str, Any], inputs: Mapping[str, str]) -> dict[str, str]:
    """Return what may change a number, as texts; older records do not say which variables were set."""
    git = provenance.get("git") or {}
    dirty = f"with changes {git['diff_sha256'][:12]}" if git.get("dirty") else "without changes"
    return {
        "commit": git.get("commit", "no git repository"),
        "working tree": dirty if git else "no git repository",
        **{key: str(provenance.get(key, GONE)) for key in ("python", "system", "cpu")},
        **{f"package {name}": version for name, version in provenance.get("packages", {}).items()},
        **{f"content of {key}": digest for key, digest in inputs.items()},
        **{f"{VARIABLE}{name}": value for name, value in provenance.get("environment", {}).items()},
        "device": provenance.get("device", {}).get("torch", GONE),
    }
