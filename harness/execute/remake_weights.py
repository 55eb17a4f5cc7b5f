"""Weights that runs start from and that were not kept: their run is made once more, beside its record, which stays.

A run's id stands for its numbers, so the same weights come again. That they do is checked by what they count.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from harness.errors import name_some
from harness.files import locked
from harness.judged import digest_counts
from harness.records import Run, RunResult, Which
from harness.runs.folder import RunFolder, is_finished, load_result, record_weights

MOST_LABELS = 6


def find_lost_starts(runs: Iterable[Run], folders: Mapping[str, RunFolder]) -> tuple[Run, ...]:
    """Return the finished runs that lack the weights which unfinished ones start from, each after its own start.

    `runs` are given with each after the run it starts from.
    """
    wanted: dict[str, set[Which]] = {}
    lost: list[Run] = []
    for run in reversed(list({run.id: run for run in runs}.values())):
        folder, finished = folders[run.id], is_finished(folders[run.id])
        is_lost = finished and not all(folder.weights(which).exists() for which in wanted.get(run.id, ()))
        if is_lost:
            lost.insert(0, run)
        if run.start is not None and (is_lost or not finished):
            wanted.setdefault(run.start.run_id, set()).add(run.start.which)
    return tuple(lost)


def describe_lost(runs: Sequence[Run]) -> tuple[str, ...]:
    """Return a sentence on runs that are made once more; nothing where there are none."""
    labels = [run.label for run in runs]
    text = (
        f"{name_some(labels, MOST_LABELS)}: finished, but the weights that others start from now were not kept; "
        "trained again for them, with the same numbers"
    )
    return (text,) if labels else ()


def again_folder(folder: RunFolder) -> RunFolder:
    """Return where a run is made once more."""
    return RunFolder(folder.path / "again")


def keep_weights(run: Run, folder: RunFolder, wanted: Collection[Which]) -> str:
    """Move to a run's record the wanted weights that it lacks and that were made again; return what is wrong with them.

    Where they count something else than the record says, none of them are kept.
    """
    again = again_folder(folder)
    with locked(again.lock):
        recorded, made = load_result(folder), load_result(again)
        same = recorded is not None and made is not None and _digests(recorded) == _digests(made)
        for which in wanted if same else ():
            if again.weights(which).exists() and not folder.weights(which).exists():
                folder.weights(which).parent.mkdir(exist_ok=True)
                record_weights(folder, again.weights(which), again.path)
                again.weights(which).replace(folder.weights(which))
        shutil.rmtree(again.path, ignore_errors=True)
    if same:
        return ""
    return (
        f"{run.label}: trained again for its weights it counts something else than its record says (another machine, "
        f"or other versions of libraries?); they are not used. To replace the record: remove the folder {folder.path}"
    )


def _digests(result: RunResult) -> tuple[str, str]:
    return digest_counts(result), digest_counts(replace(result, last_counts={}))
