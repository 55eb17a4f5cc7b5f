"""What is known of a study: what lies in the run folders here, and for the rest what the store keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.errors import InputError, did_you_mean
from harness.records import Plan, RunResult
from harness.runs.folder import load_result, run_folder
from harness.runs.looks import RecordedLook, looks_folder, merge_looks, new_look, read_looks, write_looks
from harness.runs.studies import load_study, studies_here
from harness.tracking.protocol import Store, StoreError
from harness.tracking.server import sync_command


def find_study(store: Store, study: str, warn: Callable[[str], None]) -> tuple[Plan, dict[str, RunResult]]:
    """Return a study's plan, and run id -> result of those that have ended.

    The store's plan is the one that was run last, wherever that was. `warn` is told when the store fails and the
    folders here must do.

    Raises:
        InputError: there is no such study.
        StoreError: the store fails, and the study was never run here.
    """
    try:
        plan = store.load_plan(study)
    except StoreError as error:
        if (plan := load_study(store.root, study)) is None:
            raise
        warn(f"{error}; what follows is from the folders in {store.root} alone")
        return plan, _read_folders(store, plan)
    plan = plan or load_study(store.root, study)
    if plan is None:
        known = sorted({*store.studies(), *studies_here(store.root)})
        raise InputError(f"the store of {store.root.absolute()} has no study '{study}'; {did_you_mean(study, known)}")
    return plan, find_results(store, plan, warn)


def find_plan(store: Store, study: str) -> Plan | None:
    """Return the plan that a study was last run with: the store's, else the one that is kept here.

    Raises:
        StoreError: the store fails, and the study was never run here.
    """
    try:
        plan = store.load_plan(study)
    except StoreError:
        if (plan := load_study(store.root, study)) is None:
            raise
    return plan or load_study(store.root, study)


def find_results(store: Store, plan: Plan, warn: Callable[[str], None]) -> dict[str, RunResult]:
    """Return run id -> result of a plan's runs that have ended, here or as the store knows them.

    `warn` is told when the store fails and the folders here must do.
    """
    here = _read_folders(store, plan)
    lacking = {run.id for run in plan.runs if run.id not in here or here[run.id].status != "finished"}
    try:
        stored = store.load_results(plan.study, lacking) if lacking else {}
    except StoreError as error:
        warn(f"{error}; what follows is from the folders in {store.root} alone")
        stored = {}
    return {**stored, **here, **{id_: item for id_, item in stored.items() if item.status == "finished"}}


def find_looks(store: Store, study: str, warn: Callable[[str], None]) -> tuple[RecordedLook, ...]:
    """Return the looks at a study that are known here or to the store, the earliest first.

    `warn` is told when the store fails and the files here must do.
    """
    stored = _ask_looks(store, study, warn) or ()
    return merge_looks((*read_looks(looks_folder(store.root, study)), *stored))


def record_look(
    store: Store, plan: Plan, results: Mapping[str, RunResult], warn: Callable[[str], None]
) -> tuple[RecordedLook, ...]:
    """Record that what is complete of a study was looked at, once; return all looks at it.

    `warn` is told when the store fails: the look is then kept here, and the next call, or `harness sync`, delivers it.

    Raises:
        CannotWrite: the look cannot be kept.
    """
    folder, stored = looks_folder(store.root, plan.study), _ask_looks(store, plan.study, warn)
    known = merge_looks((*read_looks(folder), *(stored or ())))
    looks = (*known, *new_look(plan, results, known))
    write_looks(folder, looks)
    if stored is not None and len(looks) > len(stored):
        try:
            store.attach(plan.study, folder, "looks")
        except StoreError as error:
            sync = sync_command(store.root, store.uri, plan.study)
            warn(f"{error}; the look is kept in {folder}, and {sync} brings it to the store")
    return looks


def _ask_looks(store: Store, study: str, warn: Callable[[str], None]) -> tuple[RecordedLook, ...] | None:
    """Return the looks that the store holds; None where it fails."""
    try:
        return store.load_looks(study)
    except StoreError as error:
        warn(f"{error}; looks at {study} that were taken elsewhere are not counted")
        return None


def _read_folders(store: Store, plan: Plan) -> dict[str, RunResult]:
    found = {run.id: load_result(run_folder(store.root, run.id)) for run in plan.runs}
    return {id_: result for id_, result in found.items() if result is not None}
