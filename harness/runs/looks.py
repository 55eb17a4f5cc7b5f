"""Looks at a study: which runs were complete when `harness run` came to its end, each such set kept once.

Each look is a file below `studies/<study>/looks/`, named by its content, so that what two machines keep is merged by
putting the files together. Runs are in it, by id and by what they counted: variants and seeds are those of the plan
that is reported. Which of its runs were seeds of one variant is noted too, for runs that the plan no longer has.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import InputError
from harness.fingerprint import fingerprint
from harness.judged import digest_counts, judged_results
from harness.records import Plan, RunResult
from harness.runs.folder import read_entry, write_entry
from harness.runs.studies import study_folder
from harness.stats.looks import FEWEST_SEEDS, Taken, TakenLook

LOOK_VERSION = 1


@dataclass(frozen=True)
class RecordedLook:
    """A moment at which a study was looked at."""

    runs: Mapping[str, str]
    """Id of each run that was complete -> digest of its counts; empty where an older version kept none."""
    time_ms: int
    """Wall clock, milliseconds since 1970: it orders looks and says nothing else."""
    seeds: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """Id of each run -> name of its variant at that time, and seed; empty where an older version kept none."""


def looks_folder(root: Path, study: str) -> Path:
    """Return where a study's looks are kept below the store's root."""
    return study_folder(root, study) / "looks"


def read_looks(folder: Path) -> tuple[RecordedLook, ...]:
    """Return the looks that are kept in a folder, the earliest first; none where there is no folder.

    Raises:
        InputError: a file is damaged, or of another version.
    """
    return merge_looks(_read(path) for path in folder.glob("*.json"))


def known_here(root: Path, plan: Plan) -> Taken:
    """Return the looks at a plan's runs that are kept on this disk, below the store's root."""
    return taken_looks(plan, read_looks(looks_folder(root, plan.study)))


def write_looks(folder: Path, looks: Iterable[RecordedLook]) -> None:
    """Keep looks in a folder; those that are there already are left as they are.

    Raises:
        CannotWrite: the folder cannot be written.
    """
    for look in looks:
        path = folder / f"{fingerprint(dict(look.runs))}.json"
        if not path.exists():
            runs = dict(sorted(look.runs.items()))
            seeds = {key: list(look.seeds[key]) for key in sorted(look.seeds)}
            write_entry(path, {"version": LOOK_VERSION, "time_ms": look.time_ms, "runs": runs, "seeds": seeds})


def merge_looks(looks: Iterable[RecordedLook]) -> tuple[RecordedLook, ...]:
    """Return looks by content, the earliest first; of two at the same runs the earlier."""
    found: dict[frozenset[tuple[str, str]], RecordedLook] = {}
    for look in sorted(looks, key=lambda look: (look.time_ms, sorted(look.runs.items()))):
        found.setdefault(frozenset(look.runs.items()), look)
    return tuple(found.values())


def taken_looks(plan: Plan, looks: Iterable[RecordedLook]) -> Taken:
    """Return the looks at a plan's very runs: of each, the seeds of which each variant was complete.

    Runs with other ids, such as those before a setting was edited, are not looked at again. A look that had such
    runs is not whole: it was one, and cannot be worked out as it was. Seeds that the plan leaves out are of the variant
    that has the others of that look. Looks at which no variant had several seeds are left out: nothing could be called
    there.
    """
    taken, planned = [], {run.id for run in plan.runs}
    for look in looks:
        complete: dict[str, dict[int, str]] = {}
        for run in plan.runs:
            # Seeds that were seen then and are not planned now belong to the look, so that leaving a bad seed out does
            # not make an unseen look of an old one.
            if run.id in look.runs:
                own = complete.setdefault(run.variant, {})
                own |= _left_out(look, run.id, planned) | {run.seed: look.runs[run.id]}
        if any(len(seeds) >= FEWEST_SEEDS for seeds in complete.values()):
            taken.append(TakenLook(complete, is_whole=look.runs.keys() <= planned))
    return tuple(taken)


def _left_out(look: RecordedLook, run: str, planned: Set[str]) -> dict[int, str]:
    """Return seed -> digest of those runs of a look that were of the same variant as one, and are not planned."""
    name, _ = look.seeds.get(run, ("", 0))
    others = {key: seed for key, (variant, seed) in look.seeds.items() if variant == name and key not in planned}
    return {seed: look.runs[key] for key, seed in others.items()}


def new_look(plan: Plan, results: Mapping[str, RunResult], known: Iterable[RecordedLook]) -> tuple[RecordedLook, ...]:
    """Return the look at what is complete now, as one entry; nothing where it is no other than those known.

    A run that failed is not complete, so its seed is not among those of its pairs. Fewer runs than an earlier look had
    are no look of their own.
    """
    # Old is also a look of which the same runs, and more, were seen before: nothing new was seen in it.
    known, judged = tuple(known), judged_results(plan, results)
    counted = {id_: result for id_, result in judged.items() if result.counts}
    complete = {run.id: digest_counts(counted[run.id]) for run in plan.runs if run.id in counted}
    is_old = any(all(look.runs.get(key) in ("", digest) for key, digest in complete.items()) for look in known)
    seeds = {run.id: (run.variant, run.seed) for run in plan.runs if run.id in complete}
    look = RecordedLook(complete, time.time_ns() // 1_000_000, seeds)
    return () if is_old or not taken_looks(plan, (look,)) else (look,)


def _read(path: Path) -> RecordedLook:
    try:
        entry = read_entry(path)
        if entry["version"] == LOOK_VERSION:
            runs = entry["runs"]
            runs = runs if isinstance(runs, dict) else dict.fromkeys(runs, "")
            seeds = {key: (name, seed) for key, (name, seed) in entry.get("seeds", {}).items()}
            return RecordedLook(runs, int(entry["time_ms"]), seeds)
        problem = f"version {entry['version']}; this harness reads version {LOOK_VERSION}"
    except (InputError, KeyError, TypeError, ValueError):
        problem = "damaged; put a whole copy back, or remove it: the study then counts one look less"
    raise InputError(f"{path}: {problem}")
