"""Which runs may start, and what becomes of those whose parent is lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.execute.events import Ended
from harness.records import Run, RunResult, Status
from harness.runs.folder import RunFolder, is_finished, load_result, read_progress, save_result


class Scheduler:
    """Runs that are neither under way nor at their end, each after the run it starts from."""

    def __init__(self, runs: Sequence[Run], folders: Mapping[str, RunFolder]) -> None:
        self._waiting = list(runs)
        self._folders = folders
        known = {run.id for run in runs}
        self._status: dict[str, Status] = {
            id_: "finished" for id_, folder in folders.items() if id_ not in known and is_finished(folder)
        }

    def __len__(self) -> int:
        return len(self._waiting)

    def ready(self) -> list[Run]:
        """Return the runs that may start now."""
        return [run for run in self._waiting if run.start is None or self._status.get(run.start.run_id) == "finished"]

    def wants(self, start: Path) -> bool:
        """Tell whether a run that waits starts from these weights."""
        return any(self.start_file(run) == start for run in self._waiting)

    def start_file(self, run: Run) -> Path | None:
        """Return where the weights are that a run starts from."""
        return self._folders[run.start.run_id].weights(run.start.which) if run.start else None

    def take(self, run: Run) -> None:
        """Note that a run is under way."""
        self._waiting.remove(run)

    def put_back(self, run: Run) -> None:
        """Note that a run has to start again; it is the first in turn."""
        self._waiting.insert(0, run)

    def end(self, run: Run, result: RunResult) -> Ended:
        """Note how a run ended; those that start from it follow."""
        self._status[run.id] = result.status
        return Ended(run, result)

    def fail(self, run: Run, reason: str) -> Ended:
        """Keep that a run has failed."""
        folder = self._folders[run.id]
        result = RunResult(run.id, "failed", reason, history=read_progress(folder))
        save_result(folder, result)
        return self.end(run, result)

    def skip_lost(self) -> Iterator[Ended]:
        """Keep that the runs whose parent is lost are skipped."""
        for run in list(self._waiting):
            if run.start is not None and self._status.get(run.start.run_id) in ("failed", "skipped"):
                self._waiting.remove(run)
                parent = load_result(self._folders[run.start.run_id])
                became = f"{parent.status}: {parent.reason}" if parent else "not finished"
                result = RunResult(run.id, "skipped", f"the run it starts from ({run.start.run_id}) {became}")
                save_result(self._folders[run.id], result)
                yield self.end(run, result)
