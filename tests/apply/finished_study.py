"""A small study that is really trained, in this process and once for all test files of a worker."""

import functools
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from harness import api
from harness.apply.choose import ChosenRun, choose
from harness.records import Machine, Plan, RunConfig
from harness.tracking.protocol import Store

SPEC = """
study: small
question: Does a second round help a small network?
base:
  data: {name: desert, size: [48, 64], train_images: 12, val_images: 8, test_images: 2}
  model: {name: unet, base_channels: 4}
  loss: {cross_entropy: {}}
  optimizer: {name: adam, lr: 1.0e-2}
  train: {epochs: 3, batch_size: 4}
variants:
  baseline: {}
  second:
    from: baseline@best
    set: {optimizer.lr: 3.0e-3}
seeds: [0, 1]
compare: {reference: baseline, margin: 0.01}
"""
WINNER = "small/second/seed0@best"


@dataclass(frozen=True)
class Finished:
    """The study and where it was run."""

    place: Path
    store: Store
    uri: str

    def choose_last(self) -> ChosenRun:
        """Return a run at its last weights, which the study does not keep: those of its best epoch stand in."""
        folder = self.choose("small/second/seed0@best").folder
        shutil.copy(folder.best, folder.last)
        return self.choose("small/second/seed0@last")

    def choose(self, name: str = WINNER) -> ChosenRun:
        return choose(name, self.store)


_KEPT: list[tempfile.TemporaryDirectory[str]] = []


@functools.cache
def finished() -> Finished:
    """Return the study, trained on the first call."""
    _KEPT.append(tempfile.TemporaryDirectory())
    place = Path(_KEPT[0].name)
    (place / "small.yaml").write_text(SPEC)
    store = api.open_store(place / "mlruns", f"sqlite:///{place}/mlruns/mlflow.db")
    train_here(api.make_plan(api.load_spec(place / "small.yaml")), store)
    return Finished(place, store, f"sqlite:///{place}/mlruns/mlflow.db")


def train_here(plan: Plan, store: Store) -> None:
    """Train a study in this process: those of the runs would take seconds to start."""
    from harness.execute.events import Ended, Started
    from harness.execute.run import run_one
    from harness.execute.study import execute_plan
    from harness.runs.folder import load_result

    def in_this_process(runs, folders):
        for run in runs:
            yield Started(run)
            start = folders[run.start.run_id].best if run.start else None
            run_one(run, folders[run.id], Machine("cpu"), start, lambda progress: None)
            yield Ended(run, load_result(folders[run.id]))

    for event in execute_plan(plan, plan.runs, store, in_this_process):
        assert not isinstance(event, Ended) or event.result.status == "finished", event


def copy_store(root: Path) -> None:
    """Copy the study's store to a folder that is not there yet.

    By another program: a process that opens and closes a database's file by itself gives up the locks that SQLite holds
    on it, and what it writes afterwards is lost.
    """
    subprocess.run(["cp", "-r", finished().place / "mlruns", root], check=True)


def config_of(tmp_path: Path, model: str) -> RunConfig:
    """Return a run's config with a model written as in a spec."""
    spec = SPEC.replace("{name: unet, base_channels: 4}", model)
    path = tmp_path / "spec.yaml"
    path.write_text(spec.replace("batch_size: 4", "batch_size: 2"))
    return api.make_plan(api.load_spec(path)).runs[0].config
