"""The spec and plan of each study on this disk: what a report, and a later delivery, need when the store is gone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from pathlib import Path

from harness.errors import InputError
from harness.files import locked, write_text
from harness.records import Plan, RunResult
from harness.runs.folder import read_signed, signed
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
        return read_plan(study_folder(root, study) / "plan.json")
    except (FileNotFoundError, NotADirectoryError):
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
