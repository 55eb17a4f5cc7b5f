"""What a plan's runs will take of the disk, as far as earlier runs of the same networks tell; needs no torch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.files import describe_bytes
from harness.fingerprint import canonical
from harness.records import Run
from harness.runs.folder import RunFolder, is_finished, run_folder
from harness.runs.studies import plan_file, studies_here
from harness.tracking.garbage import folder_bytes

STATES = 3
"""Checkpoints to go on from that a run has while it writes one."""
STATE_WEIGHTS = 4
"""Such a checkpoint / weights, at most: the newest weights, the best ones, and two moments of the optimizer."""
READ_BYTES = 20_000_000
"""Plans of earlier studies larger than this are not read: planning is to take a moment."""


@dataclass(frozen=True)
class DiskForecast:
    """What runs that are to do will take."""

    runs: int
    known: int
    """Runs of a network that was trained here before; the others are not counted."""
    kept_bytes: int
    """When they are finished, with what a local tracking store has of them."""
    resume_bytes: int
    """The most that one run takes beside that while it is under way."""
    free_bytes: int

    @property
    def fits(self) -> bool:
        """Tell whether the disk has room for one run after another."""
        return self.kept_bytes + self.resume_bytes <= self.free_bytes

    @property
    def in_words(self) -> str:
        """Return it as a sentence for the user; nothing where nothing is known."""
        if not self.known:
            return ""
        which = f"{self.runs} runs to do" if self.known == self.runs else f"{self.known} of {self.runs} runs to do"
        text = (
            f"disk: {which} keep about {describe_bytes(self.kept_bytes)}, by earlier runs of the same networks, and up "
            f"to {describe_bytes(self.resume_bytes)} more for each that is under way; "
            f"{describe_bytes(self.free_bytes)} are free"
        )
        return text if self.fits else f"{text}: they will not fit; harness gc may free some, or give another --root"


def free_bytes(root: Path) -> int:
    """Return the free bytes of the disk that a store's root is on, or will be."""
    place = root.resolve()
    return shutil.disk_usage(next(folder for folder in (place, *place.parents) if folder.exists())).free


def foresee_disk(root: Path, to_do: Sequence[Run], lasts_wanted: Collection[str]) -> DiskForecast:
    """Return what runs will take below a store's root; `lasts_wanted` holds those that keep their last weights too."""
    unique = {run.id: run for run in to_do}
    kinds = {id_: _network_of(run.config.model.model_dump()) for id_, run in unique.items()}
    wanted, earlier = set(kinds.values()), dict[str, RunFolder]()
    for kind, id_ in _trained_here(root):
        folder = run_folder(root, id_)
        if kind in wanted - earlier.keys() and is_finished(folder) and folder.best.exists():
            earlier[kind] = folder
        if len(earlier) == len(wanted):
            break
    weights = {kind: folder.best.stat().st_size for kind, folder in earlier.items()}
    known = [id_ for id_, kind in kinds.items() if kind in earlier]
    # A run's files without weights, twice for the tracking store has them too, and the best weights.
    kept = {
        kind: 2 * (folder_bytes(folder.path) - folder_bytes(folder.best.parent)) + weights[kind]
        for kind, folder in earlier.items()
    }
    return DiskForecast(
        runs=len(unique),
        known=len(known),
        kept_bytes=sum(kept[kinds[id_]] + weights[kinds[id_]] * (id_ in lasts_wanted) for id_ in known),
        resume_bytes=STATES * STATE_WEIGHTS * max(weights.values(), default=0),
        free_bytes=free_bytes(root),
    )


def _network_of(model: Mapping[str, Any]) -> str:
    """Return what is the same for networks of one size: the model with its settings, but where its weights are from."""
    settings = {key: value for key, value in model["settings"].items() if key not in ("weights", "freeze")}
    return canonical([model["name"], settings])


def _trained_here(root: Path) -> Iterator[tuple[str, str]]:
    """Yield network and id of the runs of the studies on record."""
    for study in studies_here(root):
        path = plan_file(root, study)
        if path.stat().st_size <= READ_BYTES:
            try:
                runs = json.loads(path.read_bytes())["runs"]
                yield from [(_network_of(run["config"]["model"]), str(run["id"])) for run in runs]
            except (ValueError, KeyError, TypeError):
                continue  # a damaged record: other commands say so
