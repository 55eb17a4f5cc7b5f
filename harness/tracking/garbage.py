"""What lies in a store, and what it can do without.

Garbage is files that no study on record reports, starts from or goes on with, and second copies. Only files that
harness itself writes are ever named here; other files in a run's folder stay, and the folder with them.
"""

from __future__ import annotations

import filecmp
import json
import re
import shutil
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

from harness.errors import InputError
from harness.files import CannotWrite, find_partial, locked, write_text
from harness.fingerprint import ID_LENGTH
from harness.records import Plan
from harness.runs.folder import File, RunFolder, is_finished, is_running, run_folder
from harness.runs.stale import find_superseded, runs_remembered
from harness.runs.studies import CHECKPOINTS, PLACE, lasts_wanted, load_study, records_lock, studies_here, tell_place
from harness.tracking.protocol import Store

Kind = Literal[
    "stale run", "run of no study", "last weights", "second copy of weights", "weights made again", "torn file"
]
OWN_FILES = (
    *(file.name for file in vars(RunFolder).values() if isinstance(file, File)),
    *("checkpoints/*.pt", "evaluation/*.npz", "evaluation/*.json", "again/*", "*.partial"),
)
"""What harness writes into a run's folder; `*` stands for folders too."""
_ID = re.compile(f"[0-9a-f]{{{ID_LENGTH}}}")
TORN_S = 24 * 3600
"""Age at which a half-written file outside the runs is taken for one that a killed process left."""


@dataclass(frozen=True)
class Garbage:
    """Some files that can go together."""

    kind: Kind
    path: Path
    """The file, or the folder that they are in."""
    files: tuple[Path, ...]
    bytes: int
    """What is free when they are gone: files with another link take no room of their own."""
    about: str
    """Label or id of the run; empty for a torn file."""


def plans_on_record(root: Path, store: Store | None) -> tuple[Plan, ...]:
    """Return the plans of the studies that were run here, and of those that the tracking store knows.

    Raises:
        InputError: one is damaged: what it needs is then not known.
        StoreError: the store fails.
    """
    here = studies_here(root)
    plans = [load_study(root, study) for study in here]
    plans += [store.load_plan(study) for study in store.studies() if study not in here] if store else []
    return tuple(plan for plan in plans if plan is not None)


def find_garbage(root: Path, plans: Sequence[Plan]) -> tuple[Garbage, ...]:
    """Return what can go below a store's root, given all plans on record; nothing of a run that a process works on."""
    root = root.resolve()
    # Whole runs come first: of what goes as a whole nothing else is named, but for its copy among the artifacts.
    gone = {item.path: item for item in _unneeded_runs(root, plans)}
    found = list(gone.values())
    folders = {path.name: RunFolder(path) for path in _run_paths(root) if path not in gone}
    free = {id_: folder for id_, folder in folders.items() if not _is_busy(folder)}
    found += _weights(root, free, plans)
    found += _second_copies(root, folders, {path.name for path in gone})
    found += _torn_files(root, free.values())
    return tuple(found)


def remove_garbage(root: Path, store: Store | None) -> tuple[Garbage, ...]:
    """Remove what `find_garbage` finds, and return it. No study comes on record meanwhile.

    Raises:
        InputError: the plan of a study is damaged, or a file cannot be removed.
        StoreError: the tracking store fails.
    """
    # The store is asked before the lock, for it may take long; the disk again under it: a study that came on record in
    # between counts, and none comes while files go.
    plans, done = plans_on_record(root, store), []
    with records_lock(root):
        for item in find_garbage(root, plans_on_record(root, None) + plans):
            with ExitStack() as locks:
                # What is of a run goes under the run's own lock: a process may have taken it up since it was found.
                if item.kind not in ("second copy of weights", "torn file"):
                    lock = run_folder(root, item.path.relative_to(root.resolve() / "runs").parts[0]).lock
                    if not locks.enter_context(locked(lock, wait=False)):
                        continue
                _remove(root, item)
            done.append(item)
    return tuple(done)


def _remove(root: Path, item: Garbage) -> None:
    try:
        for path in item.files:
            path.unlink(missing_ok=True)
        # The innermost folders first, and only those that nothing of somebody else's is left in.
        folders = {folder for path in item.files for folder in path.parents if folder.is_relative_to(item.path)}
        for folder in sorted(folders, key=lambda folder: -len(folder.parts)):
            if not any(folder.iterdir()):
                folder.rmdir()
        # In place of a copy the store says where the weights are, as it does where it never had them.
        if item.kind == "second copy of weights":
            owner = run_folder(root, item.about)
            if owner.best.exists():
                write_text(item.path.parent.parent / PLACE, tell_place(root, owner))
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be removed: {error.strerror}") from None


def _unneeded_runs(root: Path, plans: Sequence[Plan]) -> list[Garbage]:
    """Return the runs that were made with other settings or data than a study has now, and those of no study."""
    planned = {run.id for plan in plans for run in plan.runs}
    superseded: dict[str, str] = {}
    for plan in plans:
        superseded |= find_superseded(root, plan)
    remembered = {id_ for study in studies_here(root) for id_ in runs_remembered(root, study)}
    searched = any(plan.kind == "tuning" for plan in plans)  # a search's own database knows its trials
    found = []
    for path in _run_paths(root):
        if path.name in planned or _is_busy(RunFolder(path)):
            continue
        if path.name in superseded:
            found.append(_garbage("stale run", path, _own_files(path), superseded[path.name]))
        elif path.name not in remembered and not searched:
            found.append(_garbage("run of no study", path, _own_files(path), path.name))
    return [item for item in found if item.files]


def _weights(root: Path, folders: Mapping[str, RunFolder], plans: Sequence[Plan]) -> Iterator[Garbage]:
    """Yield last weights that no study asks for, and what is left of making runs again for runs that are done."""
    wanted = lasts_wanted(plans)
    starts = [(run.start.run_id, run.id) for plan in plans for run in plan.runs if run.start]
    waited_for = {start for start, id_ in starts if not is_finished(run_folder(root, id_))}
    for id_, folder in folders.items():
        if folder.last.exists() and id_ not in wanted and is_finished(folder):
            yield _garbage("last weights", folder.last, [folder.last], id_)
        again = folder.path / "again"
        if again.is_dir() and id_ not in waited_for:
            yield _garbage("weights made again", again, [path for path in again.rglob("*") if path.is_file()], id_)


def _second_copies(root: Path, folders: Mapping[str, RunFolder], gone: Collection[str]) -> Iterator[Garbage]:
    """Yield what local artifacts hold of weights that are in their run's folder byte for byte, or whose run goes."""
    for copy in sorted((root / "artifacts").rglob(f"{CHECKPOINTS}/*.pt")):
        id_ = _read_id(copy.parent.parent / "result.json")
        own = folders[id_].path / CHECKPOINTS / copy.name if id_ in folders else None
        is_double = (
            own is not None and own.exists() and not own.samefile(copy) and filecmp.cmp(own, copy, shallow=False)
        )
        if is_double or id_ in gone:
            yield _garbage("second copy of weights", copy, [copy], id_)


def _torn_files(root: Path, folders: Iterable[RunFolder]) -> Iterator[Garbage]:
    for folder in folders:
        for path in find_partial(folder.path):
            yield _garbage("torn file", path, [path], "")
    for path in [*root.glob(".*.partial"), *find_partial(root / "studies")]:
        if time.time() - path.stat().st_mtime > TORN_S:
            yield _garbage("torn file", path, [path], "")


def _run_paths(root: Path) -> list[Path]:
    """Return the folders of runs; other things that lie beside them are not harness's."""
    found = sorted((root / "runs").glob("*"))
    return [path for path in found if _ID.fullmatch(path.name) and path.is_dir() and not path.is_symlink()]


def _own_files(folder: Path) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return [path for path in files if any(fnmatch(path.relative_to(folder).as_posix(), own) for own in OWN_FILES)]


def _is_busy(folder: RunFolder) -> bool:
    """Tell whether a process may be working on a run, or on making it again."""
    try:
        return is_running(folder) or is_running(RunFolder(folder.path / "again"))
    except CannotWrite:  # nor could it be removed
        return True


def _read_id(result: Path) -> str:
    try:
        return str(json.loads(result.read_text(encoding="utf-8"))["run_id"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _garbage(kind: Kind, path: Path, files: Sequence[Path], about: str) -> Garbage:
    states = [file.lstat() for file in files]
    return Garbage(kind, path, tuple(files), sum(state.st_size for state in states if state.st_nlink == 1), about)


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
    studies = []
    for plan in plans:
        ids = {run.id for run in plan.runs}
        finished = sum(is_finished(run_folder(root, id_)) for id_ in ids)
        taken = sum(sizes.get(id_, 0) for id_ in ids)
        number_stale = len(stale.intersection(find_superseded(root, plan)))
        studies.append(StudyRecord(plan.study, len(ids), finished, taken, number_stale))
    return Inventory(
        studies=tuple(studies),
        runs=len(sizes),
        bytes=folder_bytes(root),
        removable_bytes=sum(item.bytes for item in garbage),
        free_bytes=shutil.disk_usage(root).free,
    )


def folder_bytes(folder: Path) -> int:
    """Return the bytes of all files below a folder, a file with several names there once."""
    states = [path.lstat() for path in folder.rglob("*") if path.is_file()]
    return sum({(state.st_dev, state.st_ino): state.st_size for state in states}.values())
