"""The counts of a run on its own disk: of its best epoch, with regions, of its last epoch and of its start."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.counts import load_counts, save_counts
from harness.files import write_text
from harness.records import Counts, RunResult

LAST, START = "last", "start"  # folders beside the best epoch's counts


def save_evaluations(folder: Path, result: RunResult) -> dict[str, Any]:
    """Write all counts of a result, each kind with its contract; return what `load_evaluations` needs to know of them.

    Raises:
        CannotWrite: the disk is full or not writable.
    """
    _save(folder, result.counts, result.contract)
    for checkpoint, counts in ((LAST, result.last_counts), (START, result.start_counts)):
        _save(folder / checkpoint, counts, result.contract and {**result.contract, "checkpoint": checkpoint})
    for split, by_region in result.regions.items():
        for region, part in by_region.items():
            save_counts(_region(folder, split, region), part)
    return {
        "splits": list(result.counts),
        LAST: list(result.last_counts),
        START: list(result.start_counts),
        "regions": {split: list(by_region) for split, by_region in result.regions.items()},
    }


def load_evaluations(folder: Path, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a RunResult that `save_evaluations` wrote; what older versions did not keep is empty.

    Raises:
        InputError: a file is gone or damaged.
    """
    contract = folder / "contract.json"
    return {
        "counts": _load(folder, entry["splits"]),
        "last_counts": _load(folder / LAST, entry.get(LAST, ())),
        "start_counts": _load(folder / START, entry.get(START, ())),
        "regions": {
            split: {region: load_counts(_region(folder, split, region)) for region in names}
            for split, names in entry.get("regions", {}).items()
        },
        "contract": json.loads(contract.read_text(encoding="utf-8")) if contract.exists() else {},
    }


def _save(folder: Path, counts: Mapping[str, Counts], contract: Mapping[str, Any]) -> None:
    for split, item in counts.items():
        save_counts(folder / f"{split}.npz", item)
    if counts and contract:
        write_text(folder / "contract.json", json.dumps(contract, indent=2, ensure_ascii=False))


def _load(folder: Path, splits: Iterable[str]) -> dict[str, Counts]:
    return {split: load_counts(folder / f"{split}.npz") for split in splits}


def _region(folder: Path, split: str, region: str) -> Path:
    return folder / "regions" / f"{split}-{region}.npz"
