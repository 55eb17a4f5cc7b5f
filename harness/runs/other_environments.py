"""Runs of a plan that were made in an environment which gives other numbers than the one here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from harness.environment import differing, read_environment
from harness.records import Plan
from harness.runs.folder import is_finished, run_folder


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
        recorded = _read_environment(folder.provenance)
        if recorded is not None and (found := differing(recorded, here)):
            told = "; ".join(f"{name}: {then} then, {now} now" for name, (then, now) in found.items())
            labels.setdefault(told, []).append(label)
    for told, names in labels.items():
        runs = f"{names[0]} and {len(names) - 1} other finished runs" if len(names) > 1 else names[0]
        yield (
            f"{runs} of {plan.study}: made with other environment variables that change numbers ({told}); what is"
            " trained now may differ from them for that alone"
        )


def _read_environment(provenance: Path) -> dict[str, str] | None:
    try:
        found: dict[str, str] | None = json.loads(provenance.read_text(encoding="utf-8")).get("environment")
    except (OSError, ValueError, AttributeError, RecursionError):  # gone or damaged: whoever reads its result says so
        return None
    return found
