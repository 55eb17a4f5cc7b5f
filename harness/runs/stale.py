"""What has changed since runs on record were made: settings and data, the source of plugins, the environment.

Results that a change of the spec, or of the data, has left behind are named, and never mixed with the new ones:
`studies/<study>/runs.json` remembers what the study's runs were in all its plans. It needs no tracking store. An edit
of a plugin may be a comment, so it makes no run again by itself; a part's author raises `version` where numbers change.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.environment import differing, read_environment
from harness.errors import InputError, name_some
from harness.files import locked
from harness.fingerprint import canonical, flatten
from harness.records import OWN_FREEZE, Plan, Run
from harness.runs.folder import RunFolder, is_finished, read_signed, run_folder, write_entry
from harness.runs.studies import study_folder
from harness.spec.plugins import digest_sources, read_sources

RUNS = "runs.json"
SHOWN_DIGITS = 12
MOST_LABELS = 6
_LINEAGE = "starts from"


@dataclass(frozen=True)
class Stale:
    """A finished result of a run's variant and seed that was made with something else than the plan says now."""

    label: str
    run_id: str
    """Id of the stale result."""
    differs: Mapping[str, tuple[Any, Any]]
    """Setting, or what was read from disk -> (then, now)."""


def find_stale(root: Path, plan: Plan) -> tuple[Stale, ...]:
    """Return the results below a store's root that a plan's unfinished runs are made again in spite of.

    Of several for one variant and seed, the latest.

    Raises:
        InputError: the record of the study's runs is damaged.
    """
    known = _read(study_folder(root, plan.study) / RUNS)
    found = []
    for run in plan.runs:
        if is_finished(run_folder(root, run.id)):
            continue
        others = [id_ for id_ in known.get(run.label, {}) if id_ != run.id and is_finished(run_folder(root, id_))]
        if others:
            then, now = known[run.label][others[-1]], _facts(run)
            differs = {
                key: (then.get(key), now.get(key))
                for key in dict.fromkeys([*then, *now])
                if canonical(then.get(key)) != canonical(now.get(key))
            }
            found.append(Stale(run.label, others[-1], differs))
    return tuple(found)


def find_superseded(root: Path, plan: Plan) -> dict[str, str]:
    """Return id -> label of the runs that a study once had for a variant and seed which has another one in its plan.

    Raises:
        InputError: the record of the study's runs is damaged.
    """
    known, ids = _read(study_folder(root, plan.study) / RUNS), {run.id for run in plan.runs}
    return {id_: run.label for run in plan.runs for id_ in known.get(run.label, {}) if id_ not in ids}


def runs_remembered(root: Path, study: str) -> frozenset[str]:
    """Return the ids of all runs that a study ever had.

    Raises:
        InputError: the record of the study's runs is damaged.
    """
    return frozenset(id_ for of_label in _read(study_folder(root, study) / RUNS).values() for id_ in of_label)


def remember_runs(root: Path, plan: Plan) -> None:
    """Add a plan's runs to what is known of its study.

    Raises:
        CannotWrite: the store cannot be written.
    """
    # A lock of its own: two processes that add to the record at once would each write it without the other's runs.
    path = study_folder(root, plan.study) / RUNS
    with locked(path.with_name(f".{path.name}.lock")):
        known = _read(path)
        for run in plan.runs:
            of_label = known.setdefault(run.label, {})
            of_label.pop(run.id, None)  # the latest is the last
            of_label[run.id] = _facts(run)
        write_entry(path, known)


def describe_stale(stale: tuple[Stale, ...]) -> tuple[str, ...]:
    """Return a sentence for each kind of difference: which runs it concerns, what differs, and what becomes of it."""
    labels: dict[str, list[str]] = {}
    for item in stale:
        labels.setdefault(describe_difference(item), []).append(item.label)
    return tuple(
        f"{name_some(names, MOST_LABELS)}: trained before {what}; this result is stale and not reported, the run is"
        " made again"
        for what, names in labels.items()
    )


def describe_difference(item: Stale) -> str:
    """Return with what else a stale result was made than the plan says now, as the end of a sentence."""
    read = {key.removeprefix("inputs."): pair for key, pair in item.differs.items() if key.startswith("inputs.")}
    settings = {key: pair for key, pair in item.differs.items() if not key.startswith("inputs.") and key != _LINEAGE}
    told = []
    if read.pop(OWN_FREEZE, None):
        told.append("with other weights moving (the model itself keeps some as they are)")
    if read:
        digests = [f"{key} {str(a)[:SHOWN_DIGITS]} then, {str(b)[:SHOWN_DIGITS]} now" for key, (a, b) in read.items()]
        told.append(f"on other data (digest of {'; '.join(digests)})")
    if settings:
        values = [f"{key} {_short(a)} then, {_short(b)} now" for key, (a, b) in settings.items()]
        told.append(f"with other settings ({'; '.join(values)})")
    return " and ".join(told) or "from the weights of another run, or by another version of a part or of harness"


def _short(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _facts(run: Run) -> dict[str, Any]:
    """Return all that a run's id is made of, by dotted key, but for versions of parts."""
    inputs = {f"inputs.{key}": digest for key, digest in run.inputs.items()}
    config = {key: value for key, value in flatten(run.config.to_dict()).items() if key != "plugins"}
    return {**config, **inputs, _LINEAGE: f"{run.start.run_id}@{run.start.which}" if run.start else None}


def _read(path: Path) -> dict[str, dict[str, dict[str, Any]]]:
    try:
        known = read_signed(path)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: damaged ({error}); remove it: stale results are then not named") from None
    return {label: runs for label, runs in known.items() if isinstance(runs, dict)}


def describe_edited(root: Path, plan: Plan) -> tuple[str, ...]:
    """Return a sentence if finished runs of a plan were made with other source of its plugins than is imported here."""
    now: dict[tuple[str, ...], str] = {}
    old = set()
    for run in plan.runs:
        folder, plugins = run_folder(root, run.id), run.config.plugins
        if not plugins or not is_finished(folder):
            continue
        if plugins not in now:
            now[plugins] = digest_sources(read_sources(plugins))
        if _recorded(folder, "plugins", "sha256") not in (None, now[plugins]):
            old.add(run.label)
    if not old:
        return ()
    first, more = min(old), f" and {len(old) - 1} more" if len(old) > 1 else ""
    modules = ", ".join(sorted({name for names in now for name in names}))
    return (
        f"{first}{more}: made with other source of {modules} than is here now, and taken as they are; if a part's "
        "numbers change by the edit, @part(..., version=2) has its runs made again",
    )


def tell_other_environments(root: Path, plan: Plan) -> Iterator[str]:
    """Yield a sentence for each environment in which runs below a store's root were made, and new ones would not be.

    Nothing is told where no run of the plan is left to make, nor of runs whose record does not say.
    """
    folders = {run.label: run_folder(root, run.id) for run in plan.runs}
    finished = {label: folder for label, folder in folders.items() if is_finished(folder)}
    if len(finished) == len(folders):
        return
    here, labels = read_environment(), dict[str, list[str]]()
    for label, folder in finished.items():
        recorded = _recorded(folder, "environment")
        if recorded is not None and (found := differing(recorded, here)):
            told = "; ".join(f"{name}: {then} then, {now} now" for name, (then, now) in found.items())
            labels.setdefault(told, []).append(label)
    for told, names in labels.items():
        runs = f"{names[0]} and {len(names) - 1} other finished runs" if len(names) > 1 else names[0]
        yield (
            f"{runs} of {plan.study}: made with other environment variables that change numbers ({told}); what is"
            " trained now may differ from them for that alone"
        )


def _recorded(folder: RunFolder, *keys: str) -> Any:
    """Return what a run's provenance says; None where it says nothing, or is damaged: who reads its result says so."""
    try:
        found = json.loads(folder.provenance.read_text(encoding="utf-8"))
        for key in keys:
            found = (found or {}).get(key)
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    return found
