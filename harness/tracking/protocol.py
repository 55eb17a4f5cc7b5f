"""What the rest of harness asks of a tracking store: a mirror of the run folders that may be behind, never ahead."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal, Protocol

from harness.errors import HarnessError
from harness.files import locked
from harness.records import Plan, Run, RunResult, Status
from harness.runs.folder import RunFolder, is_running, run_folder
from harness.runs.looks import RecordedLook

Shown = Status | Literal["running"]
"""What a store shows of a run."""
Attached = Literal["report", "looks"]
"""What is kept with a study."""


class StoreError(HarnessError):
    """The tracking store did not take or give something. What the runs wrote on their own disk is untouched."""


class NoWeights(HarnessError):
    """A tracking store on the same disk has a run's files without its weights, and these are gone or damaged here."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"{folder}: the run's weights are gone or damaged; harness run trains the run again")


class Store(Protocol):
    """A tracking store. Every method may raise StoreError, and may be called again until it succeeds."""

    @property
    def root(self) -> Path:
        """Return the folder below which the run folders lie."""

    @property
    def uri(self) -> str:
        """Return where the store is; it may hold a password."""

    def open_study(self, plan: Plan) -> None:
        """Show a study as running, with its spec and plan; show as killed whatever only seems to run."""

    def mirror(self, run: Run, folder: RunFolder, status: Shown) -> bool:
        """Bring what the store shows of a run up to what its folder holds; tell whether the store lacked something.

        Doing it twice changes nothing.
        """

    def close_study(self, status: Status) -> None:
        """Show the study that was opened as ended."""

    def fetch(self, run_id: str, study: str, folder: RunFolder) -> bool:
        """Bring a run that was finished elsewhere into its folder here; tell whether the store had it.

        Raises NoWeights where it has the rest alone: the folder stays as it is.
        """

    def load_plan(self, study: str) -> Plan | None:
        """Return the plan a study was last run with."""

    def load_results(self, study: str, run_ids: Collection[str]) -> dict[str, RunResult]:
        """Return what became of those of some runs that the store knows, from what the store itself keeps."""

    def find(self, name: str) -> Mapping[str, str] | None:
        """Return the tags of a run: by its id in the store, its harness id, or a `models:/` URI of what it logged.

        None where there is no such run. Raises InputError for a URI that leads to no model, or to another's.
        """

    def studies(self) -> tuple[str, ...]:
        """Return the names of the studies in the store."""

    def attach(self, study: str, folder: Path, place: Attached) -> None:
        """Keep the files of a folder with a study, beside those of other names that are there."""

    def load_looks(self, study: str) -> tuple[RecordedLook, ...]:
        """Return the looks that are kept with a study, the earliest first."""


def study_lock(root: Path, study: str) -> Path:
    """Return the file that processes executing a study hold a shared lock on."""
    return root.resolve() / "studies" / f"{study}.lock"


def is_alive(root: Path, tags: Mapping[str, str]) -> bool:
    """Tell whether a process on this machine works on the run or study with these tags.

    While some process executes the study, a run may be its own although no process of the run has begun yet.
    """
    if tags.get("harness.kind") == "run" and is_running(run_folder(root, tags["harness.id"])):
        return True
    with locked(study_lock(root, tags["harness.study"]), wait=False) as acquired:
        return not acquired
