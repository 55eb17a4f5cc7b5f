"""Which weights of finished runs are kept: those of the best epoch, and those of the last one where a study asks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from harness.errors import InputError
from harness.records import Plan
from harness.runs.folder import RunFolder
from harness.runs.studies import load_study, plan_file, records_lock, studies_here

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
    with records_lock(root):
        if not _is_wanted(root, folder.path.name):
            folder.last.unlink(missing_ok=True)


def _is_wanted(root: Path, run_id: str) -> bool:
    """Tell whether a study on record asks for a run's last weights; one that cannot be read may."""
    for study in studies_here(root):
        if b'"last"' not in plan_file(root, study).read_bytes():  # a plan of thousands of runs takes seconds to read
            continue
        try:
            plan = load_study(root, study)
        except InputError:
            return True
        if plan is not None and run_id in lasts_wanted([plan]):
            return True
    return False
