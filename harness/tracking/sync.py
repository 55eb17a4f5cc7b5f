"""Delivering studies from the run folders to a tracking store, whenever that is: in order, and each thing once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import InputError, did_you_mean
from harness.files import locked
from harness.records import Plan, Run, Status
from harness.runs.folder import RunFolder, is_running, read_entry, run_folder
from harness.runs.looks import looks_folder, merge_looks, read_looks, write_looks
from harness.runs.studies import load_study, studies_here
from harness.tracking.protocol import NoWeights, Store, study_lock

WORST_FIRST: tuple[Status, ...] = ("interrupted", "failed", "skipped")


@dataclass(frozen=True)
class SyncResult:
    """What became of a study's runs (labels) on their way to a store."""

    study: str
    delivered: tuple[str, ...] = ()
    there: tuple[str, ...] = ()
    """The store had all of them."""
    running: tuple[str, ...] = ()
    """A process works on them, and follows them in the store itself."""
    missing: tuple[str, ...] = ()
    """They have no folder here."""
    refused: tuple[str, ...] = ()
    """What was wrong with a run's files, a sentence each."""

    @property
    def in_words(self) -> str:
        """Return how many runs had which fate, in one line."""
        kinds = {
            "brought to the store": self.delivered,
            "there already": self.there,
            "still running": self.running,
            "not run here": self.missing,
            "refused": self.refused,
        }
        return ", ".join(f"{len(runs)} {kind}" for kind, runs in kinds.items() if runs)


def find_studies(root: Path, source: Store | None, names: Sequence[str]) -> tuple[Plan, ...]:
    """Return the plans of some studies that were run here, or of all.

    `source` is a store whose runs lie below `root`: it knows studies of which no plan was kept here.

    Raises:
        InputError: there is no such study, or none at all.
    """
    known = sorted({*studies_here(root), *(source.studies() if source else ())})
    for name in names:
        if name not in known:
            raise InputError(f"{root} has no study '{name}'; {did_you_mean(name, known)}")
    if not known:
        raise InputError(
            f"{root.absolute()}: there is no study to deliver; name the folder that harness run kept its runs in"
        )
    plans = (load_study(root, name) or (source.load_plan(name) if source else None) for name in names or known)
    return tuple(plan for plan in plans if plan is not None)


def sync_study(plan: Plan, target: Store, source: Store | None = None) -> SyncResult:
    """Bring a study's runs from their folders to a store. Doing it twice changes nothing.

    Runs whose folder is gone are first fetched from `source`, if it has them.

    Raises:
        StoreError: the store fails; what was delivered is there, and the next call goes on.
        InputError: the store has something else in the study's place.
    """
    runs = tuple({run.id: run for run in plan.runs}.values())
    folders = {run.id: run_folder(target.root, run.id) for run in runs}
    outcomes: dict[str, list[str]] = {"delivered": [], "there": [], "running": [], "missing": [], "refused": []}
    damaged = _fetch_gone(plan.study, runs, folders, source) if source is not None else {}
    lock = study_lock(target.root, plan.study)
    # A store that knows more runs of the study keeps its plan: a part of a study must not hide the rest of it.
    stored = target.load_plan(plan.study)
    is_wider = stored is not None and {run.id for run in stored.runs} >= {run.id for run in runs}
    target.open_study(stored if stored is not None and is_wider else plan)
    # Several processes may deliver at once (shared). One that is refused does not stop the others.
    with locked(lock, shared=True):
        for run in runs:
            try:
                if run.id in damaged:
                    raise damaged[run.id]
                outcomes[_deliver(run, folders[run.id], target)].append(run.label)
            except InputError as error:
                outcomes["refused"].append(f"{run.label}: {error}")
        _deliver_looks(plan.study, target, source)
    # The last one to finish closes the study in the store; whoever is not alone leaves that to it.
    with locked(lock, wait=False) as alone:
        if alone:
            target.close_study(_worst(folders[run.id] for run in runs))
    return SyncResult(plan.study, **{name: tuple(entries) for name, entries in outcomes.items()})


def _fetch_gone(
    study: str, runs: Sequence[Run], folders: Mapping[str, RunFolder], source: Store
) -> dict[str, InputError]:
    """Bring runs here whose folders are gone, as far as a store has all of them; return those that it has damaged."""
    damaged: dict[str, InputError] = {}
    for run in runs:
        if folders[run.id].result.exists() or is_running(folders[run.id]):
            continue
        try:
            source.fetch(run.id, study, folders[run.id])
        except NoWeights:
            continue  # it is missing
        except InputError as error:
            damaged[run.id] = error
    return damaged


def _deliver(run: Run, folder: RunFolder, target: Store) -> str:
    """Bring one run up to date, and return its entry in a Delivery."""
    if is_running(folder):
        return "running"
    if not folder.result.exists() and not folder.journal.exists():
        return "missing"
    return "delivered" if target.mirror(run, folder, _read_status(folder)) else "there"


def _deliver_looks(study: str, target: Store, source: Store | None) -> None:
    """Bring to a store the looks at a study that are known here."""
    folder, there = looks_folder(target.root, study), target.load_looks(study)
    write_looks(folder, merge_looks((*there, *(source.load_looks(study) if source else ()))))
    if len(read_looks(folder)) > len(there):  # those of the store are among them
        target.attach(study, folder, "looks")


def _worst(folders: Iterable[RunFolder]) -> Status:
    became: set[Status] = set()
    for folder in folders:
        try:
            became.add(_read_status(folder))
        except InputError:
            became.add("failed")
    return next((status for status in WORST_FIRST if status in became), "finished")


def _read_status(folder: RunFolder) -> Status:
    if not folder.result.exists():
        return "interrupted"
    status: Status = read_entry(folder.result)["status"]
    return status
