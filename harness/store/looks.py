"""Looks at a study: which runs were complete when `harness run` came to its end, each such set kept once.

Each look is a file below `studies/<study>/looks/`, named by its content, so that what two machines keep is merged by
putting the files together. Only ids of runs are in it: variants and seeds are those of the plan that is reported.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from harness.errors import InputError
from harness.fingerprint import fingerprint
from harness.judged import judged_results
from harness.records import Plan, RunResult
from harness.spec.starts import name_start
from harness.stats.looks import Taken
from harness.store.checks import read_entry, write_entry
from harness.store.studies import study_folder

LOOK_VERSION = 1
FEWEST_SEEDS = 2
"""Of a pair of variants, below which nothing can be called: with fewer they were not looked at."""


@dataclass(frozen=True)
class RecordedLook:
    """A moment at which a study was looked at."""

    runs: frozenset[str]
    """Ids of the runs that were complete."""
    time_ms: int
    """Wall clock, milliseconds since 1970: it orders looks and says nothing else."""


def looks_folder(root: Path, study: str) -> Path:
    """Return where a study's looks are kept below the store's root."""
    return study_folder(root, study) / "looks"


def read_looks(folder: Path) -> tuple[RecordedLook, ...]:
    """Return the looks that are kept in a folder, the earliest first; none where there is no folder.

    Raises:
        InputError: a file is damaged, or of another version.
    """
    return merge_looks(_read(path) for path in folder.glob("*.json"))


def write_looks(folder: Path, looks: Iterable[RecordedLook]) -> None:
    """Keep looks in a folder; those that are there already are left as they are.

    Raises:
        CannotWrite: the folder cannot be written.
    """
    for look in looks:
        path = folder / f"{fingerprint(sorted(look.runs))}.json"
        if not path.exists():
            write_entry(path, {"version": LOOK_VERSION, "time_ms": look.time_ms, "runs": sorted(look.runs)})


def merge_looks(looks: Iterable[RecordedLook]) -> tuple[RecordedLook, ...]:
    """Return looks by content, the earliest first; of two at the same runs the earlier."""
    found: dict[frozenset[str], RecordedLook] = {}
    for look in sorted(looks, key=lambda look: (look.time_ms, sorted(look.runs))):
        found.setdefault(look.runs, look)
    return tuple(found.values())


def taken_looks(plan: Plan, looks: Iterable[RecordedLook]) -> Taken:
    """Return the complete seeds of each pair of a plan's variants at the looks at these very runs.

    A pair's look is at the seeds of the plan of which both runs had been complete. Runs with other ids, such as those
    before a setting was edited, are not looked at again. It is one look more only where the pair had new seeds. The
    training of a warm-started variant is a pair with its start: (`dice`, `baseline@best`).
    """
    first = {run.variant: run for run in reversed(plan.runs)}
    pairs = [(pair, pair) for pair in combinations(plan.variants, 2)]
    starts = {name: name_start(plan, run) for name, run in first.items()}
    pairs += [((name, start), (name, name)) for name, start in starts.items() if start is not None]
    taken: dict[tuple[str, str], tuple[tuple[int, ...], ...]] = {}
    for look in looks:
        complete = {name: frozenset[int]() for name in plan.variants}
        for run in plan.runs:
            if run.id in look.runs:
                complete[run.variant] |= {run.seed}
        for pair, (one, other) in pairs:
            seeds, earlier = complete[one] & complete[other], taken.get(pair, ())
            if len(seeds) >= FEWEST_SEEDS and not any(seeds <= set(before) for before in earlier):
                taken[pair] = (*earlier, tuple(sorted(seeds)))
    return taken


def new_look(plan: Plan, results: Mapping[str, RunResult], known: Iterable[RecordedLook]) -> tuple[RecordedLook, ...]:
    """Return the look at what is complete now, as one entry; nothing where it is no other than those known.

    A run that failed is not complete, so its seed is not among those of its pairs.
    """
    known = tuple(known)
    judged = judged_results(plan, results)
    complete = {run.id for run in plan.runs if run.id in judged and judged[run.id].counts}
    look = RecordedLook(frozenset(complete), time.time_ns() // 1_000_000)
    return () if taken_looks(plan, (*known, look)) == taken_looks(plan, known) else (look,)


def _read(path: Path) -> RecordedLook:
    try:
        entry = read_entry(path)
        if entry["version"] == LOOK_VERSION:
            return RecordedLook(frozenset(entry["runs"]), int(entry["time_ms"]))
        problem = f"version {entry['version']}; this harness reads version {LOOK_VERSION}"
    except (InputError, KeyError, TypeError, ValueError):
        problem = "damaged; put a whole copy back, or remove it: the study then counts one look less"
    raise InputError(f"{path}: {problem}")
