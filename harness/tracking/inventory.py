"""What lies in a store: its studies, their runs, and the bytes of both."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from harness.records import Plan
from harness.runs.folder import is_finished, run_folder
from harness.runs.stale import find_superseded
from harness.tracking.garbage import Garbage


@dataclass(frozen=True)
class StudyRecord:
    """One study as it is on the disk."""

    study: str
    runs: int
    """In its plan."""
    finished: int
    bytes: int
    """Of the folders of its runs; a run of several studies is counted in each."""
    stale: int
    """Runs made with other settings or data than the study has now."""


@dataclass(frozen=True)
class Inventory:
    """What a store holds."""

    studies: tuple[StudyRecord, ...]
    runs: int
    """Folders of runs, of whatever study."""
    bytes: int
    """Of all that lies below the store's root."""
    removable_bytes: int
    """What `harness gc` frees."""
    free_bytes: int
    """Of the disk."""


def take_inventory(root: Path, plans: tuple[Plan, ...], garbage: tuple[Garbage, ...]) -> Inventory:
    """Return what lies below a store's root, given the plans on record and what can go."""
    sizes = {path.name: folder_bytes(path) for path in (root / "runs").glob("*") if path.is_dir()}
    stale = {item.path.name for item in garbage if item.kind == "stale run"}
    return Inventory(
        studies=tuple(_record(root, plan, sizes, stale) for plan in plans),
        runs=len(sizes),
        bytes=folder_bytes(root),
        removable_bytes=sum(item.bytes for item in garbage),
        free_bytes=shutil.disk_usage(root).free,
    )


def _record(root: Path, plan: Plan, sizes: dict[str, int], stale: set[str]) -> StudyRecord:
    ids = {run.id for run in plan.runs}
    return StudyRecord(
        study=plan.study,
        runs=len(ids),
        finished=sum(is_finished(run_folder(root, id_)) for id_ in ids),
        bytes=sum(sizes.get(id_, 0) for id_ in ids),
        stale=len(stale.intersection(find_superseded(root, plan))),
    )


def folder_bytes(folder: Path) -> int:
    """Return the bytes of all files below a folder, a file with several names there once."""
    states = [path.lstat() for path in folder.rglob("*") if path.is_file()]
    return sum({(state.st_dev, state.st_ino): state.st_size for state in states}.values())
