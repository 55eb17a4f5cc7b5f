"""The studies on this disk: spec and plan of each, and which weights they ask for.

A report, and a later delivery, need spec and plan when the store is gone. Of finished runs, the weights of the best
epoch are kept, and those of the last one where a study asks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from pathlib import Path

from harness.errors import InputError
from harness.files import locked, write_text
from harness.records import Plan, RunResult
from harness.runs.folder import RunFolder, read_signed, signed
from harness.spec.plan_json import plan_from_json, plan_to_json
from harness.stats.looks import Taken

REPORTED = "reported"
"""Digest of what the last report was written from."""


def study_folder(root: Path, study: str) -> Path:
    """Return where a study's spec and plan are kept below the store's root."""
    return root.resolve() / "studies" / study


def plan_file(root: Path, study: str) -> Path:
    """Return where a study's plan is kept."""
    return study_folder(root, study) / "plan.json"


def records_lock(root: Path) -> AbstractContextManager[bool]:
    """Hold the lock under which studies come on record, and under which what none of them asks for goes."""
    return locked(root.resolve() / "studies" / ".lock")


def save_study(root: Path, plan: Plan) -> None:
    """Write a study's spec and plan.

    Raises:
        InputError: the folder cannot be written.
    """
    try:
        # The plan comes last: by it a study is on record, and then its spec is there.
        with records_lock(root):
            write_text(study_folder(root, plan.study) / "spec.yaml", plan.spec_text)
            write_text(plan_file(root, plan.study), plan_text(plan))
    except OSError as error:
        raise InputError(
            f"{root}: runs cannot be kept here ({error.strerror}); make it writable, or name another folder with --root"
        ) from None


def plan_text(plan: Plan) -> str:
    """Return a plan as it is kept: JSON that carries its own checksum."""
    return json.dumps(signed(plan_to_json(plan)), separators=(",", ":"))


def read_plan(path: Path) -> Plan:
    """Return the plan in a file that holds `plan_text`; those of an older harness have no checksum.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: it is damaged, or of another version.
    """
    try:
        return plan_from_json(read_signed(path))
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(path) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: damaged ({error}); harness run writes it again") from None


def load_study(root: Path, study: str) -> Plan | None:
    """Return the plan with which a study was last run here, or None.

    Raises:
        InputError: the file is damaged, or of another version.
    """
    try:
        return read_plan(plan_file(root, study))
    except FileNotFoundError:
        return None


def is_reported(root: Path, plan: Plan, results: Mapping[str, RunResult], taken: Taken, report: Path) -> bool:
    """Whether a study's report, in this file, was written to its end from this plan, these results and these looks."""
    try:
        noted = (study_folder(root, plan.study) / REPORTED).read_bytes()
        return noted == _reported(plan, results, taken, report).encode()
    except OSError:
        return False


def note_report(root: Path, plan: Plan, results: Mapping[str, RunResult], taken: Taken, report: Path) -> None:
    """Keep in mind that a study's report is written; where that cannot be kept it will be written again."""
    with suppress(OSError):
        write_text(study_folder(root, plan.study) / REPORTED, _reported(plan, results, taken, report))


def _reported(plan: Plan, results: Mapping[str, RunResult], taken: Taken, report: Path) -> str:
    """Return a digest of a report, as read by people and programs, and of what it was written from: an id stands for a
    run's numbers.
    """
    statuses = {id_: result.status for id_, result in sorted(results.items())}
    written = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (report, report.with_suffix(".json"))]
    finished = {(run.variant, run.seed) for run in plan.runs if statuses.get(run.id) == "finished"}
    looks = [
        ({name: dict(seeds) for name, seeds in look.complete.items()}, look.is_whole)
        for look in taken
        if finished != {(name, seed) for name, seeds in look.complete.items() for seed in seeds}
    ]  # without the one at what is there now, which changes no report
    told = [plan_text(replace(plan, command="")), statuses, looks, str(report.resolve()), written]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def studies_here(root: Path) -> tuple[str, ...]:
    """Return the names of the studies that were run here."""
    return tuple(sorted(path.parent.name for path in (root.resolve() / "studies").glob("*/plan.json")))


CHECKPOINTS = "checkpoints"
PLACE = f"{CHECKPOINTS}/where.txt"
"""Among a run's files in a tracking store that keeps no weights: where they are."""


def tell_place(root: Path, folder: RunFolder) -> str:
    """Return where a run's weights are, for a store that does not keep them; stores may be moved."""
    return (
        f"{folder.best.relative_to(root.resolve()).as_posix()}\n"
        "is where the weights of the best epoch are, below the folder of harness's --root (tag harness.root).\n"
        "To have them here too: harness sync --upload-weights\n"
    )


def lasts_wanted(plans: Iterable[Plan]) -> frozenset[str]:
    """Return the ids of the runs whose last weights some studies ask for.

    A study that compares last epochs asks for those of all its runs, another one for those that its runs start from.
    """
    wanted: set[str] = set()
    for plan in plans:
        wanted |= {run.start.run_id for run in plan.runs if run.start and run.start.which == "last"}
        wanted |= {run.id for run in plan.runs if plan.epoch == "last"}
    return frozenset(wanted)


def drop_last(folder: RunFolder) -> None:
    """Remove the last weights of a run that has just finished, unless a study on record asks for them."""
    root = folder.path.parents[1]
    # Under the lock no study comes on record between the look at all plans and the removal.
    with records_lock(root):
        if not _is_wanted(root, folder.path.name):
            folder.last.unlink(missing_ok=True)


def _is_wanted(root: Path, run_id: str) -> bool:
    """Tell whether a study on record asks for a run's last weights; one that cannot be read may."""
    # A plan of thousands of runs takes seconds to read, and need not be where it does not say "last".
    paths = [plan_file(root, study) for study in studies_here(root)]
    try:
        return run_id in lasts_wanted(read_plan(path) for path in paths if b'"last"' in path.read_bytes())
    except InputError:
        return True
