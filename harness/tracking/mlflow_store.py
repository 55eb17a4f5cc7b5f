"""The tracking store in MLflow: an experiment a study, a parent run, a child a run."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import InputError
from harness.files import locked
from harness.records import Plan, Run, RunResult, Status, Which
from harness.runs import folder as on_disk
from harness.runs.folder import RunFolder
from harness.runs.looks import RecordedLook, read_looks
from harness.runs.studies import CHECKPOINTS, PLACE, lasts_wanted, plan_text, read_plan, tell_place
from harness.tracking.mlflow_client import Connection, find_tags
from harness.tracking.payload import differing_keys, epoch_metrics, final_metrics, params_of, tags_of
from harness.tracking.protocol import Attached, NoWeights, Shown, StoreError, is_alive
from harness.tracking.relocation import local_path
from harness.tracking.server import DATABASE, default_uri

MAX_METRICS, MAX_PARAMS = 1000, 100  # that one call may hold
REASON_LENGTH = 5000
DOWNLOADS = 8  # runs whose files are asked for at once
MARK = "val/loss"  # every epoch has it; logged last, it says that all of the epoch is there
MLFLOW_STATUS = dict(finished="FINISHED", failed="FAILED", skipped="FAILED", interrupted="KILLED", pruned="KILLED")
NEEDED_FOR_REPORTS = ("result.json", "journal.jsonl", "provenance.json", "examples.npz", "evaluation")


@contextmanager
def _guarding_disk() -> Iterator[None]:
    """Make StoreErrors of what the disk refuses while the store is used; of what MLflow raises its guard does."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"the tracking store fails: {error}") from error


@dataclass
class _Child:
    """A run's MLflow run as far as this process knows it."""

    mlflow_id: str
    uri: str  # the address of its files
    shown: str  # the value of its tag harness.status
    reason: str
    last_epoch: int | None = None  # None: not asked yet


@dataclass(frozen=True)
class _Open:
    """The study that is being executed."""

    plan: Plan
    experiment_id: str
    parent_id: str
    children: dict[str, _Child]
    keeps_weights: bool
    differing: tuple[str, ...]  # keys of the settings that differ between variants
    lasts_wanted: frozenset[str]  # ids of the runs whose last weights are asked for

    def weights(self, run_id: str) -> tuple[Which, ...]:
        """Return which weights of a run are kept."""
        if not self.keeps_weights:
            return ()
        return ("best", "last") if run_id in self.lasts_wanted else ("best",)


class MlflowStore:
    """A store in MLflow: at `tracking_uri`, else at MLFLOW_TRACKING_URI, else in a database below `root`.

    Weights are kept in it where its files are elsewhere, for other machines to fetch, or with `upload_weights`.
    """

    def __init__(
        self,
        root: Path,
        tracking_uri: str | None = None,
        say: Callable[[str], None] = lambda text: None,
        *,
        upload_weights: bool = False,
    ) -> None:
        self._mlflow = Connection(root, tracking_uri, say)
        self.root, self.uri = self._mlflow.root, self._mlflow.uri
        self._upload_weights = upload_weights
        self._study: _Open | None = None
        self._folders = {"harness.host": socket.gethostname(), "harness.root": str(self.root)}

    @property
    def _client(self) -> Any:
        return self._mlflow.client

    @_guarding_disk()
    def open_study(self, plan: Plan) -> None:
        """Show a study as running, with its spec and plan; show as killed whatever only seems to run."""
        self._reap()
        self._study = None  # where opening fails, no run is mirrored into the study of before
        experiment_id = self._mlflow.find_experiment(plan.study)
        if experiment_id is None:
            with self._mlflow.lock():
                experiment_id = self._mlflow.find_experiment(plan.study) or self._mlflow.make_experiment(plan.study)
        tags = {"harness.kind": plan.kind, "harness.study": plan.study}
        parent = self._mlflow.find_or_make(experiment_id, f"tags.`harness.kind` = '{plan.kind}'", tags, plan.study)
        parent_id = parent.info.run_id
        self._tag(parent_id, {**self._folders, "harness.status": "running"})
        self._client.update_run(parent_id, status="RUNNING")
        self._keep_texts(parent.info.artifact_uri, {"spec.yaml": plan.spec_text, "plan.json": plan_text(plan)})
        children = self._mlflow.search("tags.`harness.kind` = 'run'", experiment_id)
        tagged = [found for found in children if "harness.id" in found.data.tags]  # people may change tags
        known = {found.data.tags["harness.id"]: _child_of(found) for found in tagged}
        keeps_weights = self._upload_weights or not self._mlflow.is_on_this_disk(parent.info.artifact_uri)
        asked = (differing_keys(plan), lasts_wanted([plan]))
        self._study = _Open(plan, experiment_id, parent_id, known, keeps_weights, *asked)

    def _keep_texts(self, uri: str, texts: Mapping[str, str]) -> None:
        with tempfile.TemporaryDirectory() as place:
            for name, text in texts.items():
                (Path(place) / name).parent.mkdir(exist_ok=True)
                (Path(place) / name).write_text(text, encoding="utf-8")
            self._mlflow.files(uri).log_artifacts(place)

    @_guarding_disk()
    def mirror(self, run: Run, folder: RunFolder, status: Shown) -> bool:
        """Bring what the store shows of a run up to what its folder holds; tell whether the store lacked something.

        Doing it twice changes nothing.
        """
        child = self._opened.children.get(run.id) or self._make_child(run)
        if child.shown == "finished":
            # In a store that was copied without them, the files of a finished run are kept again.
            is_lacking = not self._has_files(child.uri) and on_disk.is_finished(folder)
            if is_lacking:
                self._keep_files(child, run, folder)
            return (self._upload_weights and self._add_weights(child, run, folder)) or is_lacking
        # After a restart the store itself says how far it came: an epoch is never logged twice.
        if child.last_epoch is None:
            logged = self._client.get_metric_history(child.mlflow_id, MARK)
            child.last_epoch = max((point.step for point in logged), default=-1)
        epochs = [progress for progress in on_disk.read_progress(folder) if progress.epoch > child.last_epoch]
        if status == "running" != child.shown:
            self._show(child, "running")
            self._client.update_run(child.mlflow_id, status="RUNNING")
        for progress in epochs:
            self._log_metrics(child, epoch_metrics(progress), progress.time_ms, progress.epoch)
            child.last_epoch = progress.epoch
        # Epochs are all that a running run adds. A run that another study of this store has finished is not ended
        # again.
        if status == "running" or self._is_finished_by_another(child):
            return bool(epochs)
        result = on_disk.load_result(folder)
        reason = result.reason[:REASON_LENGTH] if result is not None else ""
        if not epochs and (child.shown, child.reason) == (status, reason):
            return False
        self._end(child, run, folder, status, result)
        return True

    def _end(self, child: _Child, run: Run, folder: RunFolder, status: Status, result: RunResult | None) -> None:
        if status == "finished" and result is not None:
            self._log_metrics(child, final_metrics(result), result.history[-1].time_ms, step=0)
        self._keep_files(child, run, folder)
        reason = result.reason[:REASON_LENGTH] if result is not None else ""
        if reason != child.reason:
            self._client.set_tag(child.mlflow_id, "harness.reason", reason)
            child.reason = reason
        self._client.set_terminated(child.mlflow_id, MLFLOW_STATUS[status])
        self._show(child, status)  # last: a run is shown as finished when all of it is there

    def _keep_files(self, child: _Child, run: Run, folder: RunFolder) -> None:
        files = self._mlflow.files(child.uri)
        for path in on_disk.files_to_keep(folder):
            inside = path.parent.relative_to(folder.path).as_posix()
            files.log_artifact(str(path), None if inside == "." else inside)
        if self._opened.weights(run.id):
            self._add_weights(child, run, folder)
        elif folder.best.exists():
            self._keep_texts(child.uri, {PLACE: tell_place(self.root, folder)})

    def _add_weights(self, child: _Child, run: Run, folder: RunFolder) -> bool:
        """Keep those weights of a run that the store is to keep; tell whether it lacked any."""
        wanted = [path for path in map(folder.weights, self._opened.weights(run.id)) if path.exists()]
        files = self._mlflow.files(child.uri)
        there = {item.path for item in files.list_artifacts(CHECKPOINTS)} if wanted else set()
        lacking = [path for path in wanted if f"{CHECKPOINTS}/{path.name}" not in there]
        for path in lacking:
            self._mlflow.log_linked(child.uri, path, CHECKPOINTS)
        if lacking and PLACE in there:
            files.delete_artifacts(PLACE)
        return bool(lacking)

    def _is_finished_by_another(self, child: _Child) -> bool:
        if self._client.get_run(child.mlflow_id).data.tags.get("harness.status") == "finished":
            child.shown = "finished"
        return child.shown == "finished"

    @property
    def _opened(self) -> _Open:
        if self._study is None:
            raise StoreError("the tracking store could not be opened for this study")
        return self._study

    def _show(self, child: _Child, status: str) -> None:
        self._tag(child.mlflow_id, {**self._folders, "harness.status": status})
        child.shown = status

    def _tag(self, mlflow_id: str, tags: dict[str, str]) -> None:
        from mlflow.entities import RunTag

        self._client.log_batch(mlflow_id, tags=[RunTag(key, value) for key, value in tags.items()])

    def _log_metrics(self, child: _Child, metrics: dict[str, float], time_ms: int, step: int) -> None:
        """Log in as few calls as MLflow takes. The journal's time makes a replay an exact duplicate, which it drops."""
        from mlflow.entities import Metric

        names = sorted(metrics, key=lambda name: name == MARK)
        entries = [Metric(name, float(metrics[name]), time_ms, step) for name in names]
        for first in range(0, len(entries), MAX_METRICS):
            self._client.log_batch(child.mlflow_id, metrics=entries[first : first + MAX_METRICS])

    def _make_child(self, run: Run) -> _Child:
        from mlflow.entities import Param

        study = self._opened
        tags = {**tags_of(study.plan, run), **self._folders, "mlflow.parentRunId": study.parent_id}
        found = self._mlflow.find_or_make(study.experiment_id, f"tags.`harness.id` = '{run.id}'", tags, run.label)
        if not found.data.params:
            params = [Param(key, value) for key, value in params_of(run, study.differing).items()]
            for first in range(0, len(params), MAX_PARAMS):
                self._client.log_batch(found.info.run_id, params=params[first : first + MAX_PARAMS])
        study.children[run.id] = child = _child_of(found)
        return child

    @_guarding_disk()
    def close_study(self, status: Status) -> None:
        """Show the study that was opened as ended."""
        self._tag(self._opened.parent_id, {"harness.status": status})
        self._client.set_terminated(self._opened.parent_id, MLFLOW_STATUS[status])

    @_guarding_disk()
    def fetch(self, run_id: str, study: str, folder: RunFolder) -> bool:
        """Bring a run that was finished elsewhere into its folder here; tell whether the store had it.

        Raises:
            InputError: what the store has of it is damaged.
        """
        found = self._find_finished(run_id, study)
        if found is None or on_disk.is_finished(folder) or not self._has_files(found.info.artifact_uri):
            return False
        # All of it is brought to a folder beside, and checked there: what is damaged never stands in the run's own.
        with locked(folder.lock), tempfile.TemporaryDirectory(dir=self.root) as place:
            whole = Path(self._mlflow.files(found.info.artifact_uri).download_artifacts("", place))
            try:
                on_disk.require_whole(RunFolder(whole))
            except InputError as error:
                told = str(error).replace(f"{whole}/", "").split("; ")[0]
                raise InputError(
                    f"run {run_id} of {study}, as the tracking store keeps it: {told}; harness run makes the run again"
                ) from None
            (whole / PLACE).unlink(missing_ok=True)
            _require_weights(RunFolder(whole), found, folder)
            files = [path for path in whole.rglob("*") if path.is_file()]
            for path in sorted(files, key=lambda item: item.name == folder.result.name):  # the result comes last
                target = folder.path / path.relative_to(whole)
                target.parent.mkdir(parents=True, exist_ok=True)
                path.replace(target)
        return True

    def _has_files(self, uri: str) -> bool:
        """Tell whether a finished run's files are at an address; those that a server keeps are not asked for."""
        place = local_path(self._mlflow.place_of(uri))
        return place is None or RunFolder(place).result.exists()

    def _find_finished(self, run_id: str, study: str) -> Any | None:
        """Return a run that was finished; of the study that is open, without a question for each run that is not."""
        if self._study is not None and self._study.plan.study == study:
            child = self._study.children.get(run_id)
            return self._client.get_run(child.mlflow_id) if child is not None and child.shown == "finished" else None
        experiment_id = self._mlflow.find_experiment(study)
        found = self._mlflow.find_one(experiment_id, f"tags.`harness.id` = '{run_id}'") if experiment_id else None
        return found if found is not None and found.data.tags.get("harness.status") == "finished" else None

    @_guarding_disk()
    def load_plan(self, study: str) -> Plan | None:
        """Return the plan a study was last run with."""
        parent = self._find_parent(study)
        if parent is None:
            return None
        with self._mlflow.artifacts(parent, ("plan.json",)) as place:
            return read_plan(place / "plan.json") if (place / "plan.json").exists() else None

    @_guarding_disk()
    def load_results(self, study: str, run_ids: Collection[str]) -> dict[str, RunResult]:
        """Return what became of those of some runs that the store knows, from what the store itself keeps."""
        experiment_id = self._mlflow.find_experiment(study) if run_ids else None
        if experiment_id is None:
            return {}
        runs = self._mlflow.search("tags.`harness.kind` = 'run'", experiment_id)
        ended = [found for found in runs if found.data.tags.get("harness.status") in MLFLOW_STATUS]
        wanted = [found for found in ended if found.data.tags.get("harness.id") in run_ids]
        with ThreadPoolExecutor(DOWNLOADS) as pool:
            results = list(pool.map(self._load_result, wanted))
        return {result.run_id: result for result in results if result is not None}

    def _load_result(self, found: Any) -> RunResult | None:
        with self._mlflow.artifacts(found, NEEDED_FOR_REPORTS) as place:
            return on_disk.load_result(RunFolder(place))

    @_guarding_disk()
    def find(self, name: str) -> Mapping[str, str] | None:
        """Return the tags of a run: by its MLflow id, its harness id, or a `models:/` URI of what it logged."""
        return find_tags(self._mlflow, name)

    @_guarding_disk()
    def studies(self) -> tuple[str, ...]:
        """Return the names of the studies in the store."""
        return tuple(item.name for item in self._mlflow.experiments())

    @_guarding_disk()
    def attach(self, study: str, folder: Path, place: Attached) -> None:
        """Keep the files of a folder with a study, beside those of other names that are there."""
        if (parent := self._find_parent(study)) is not None:
            self._mlflow.files(parent.info.artifact_uri).log_artifacts(str(folder), place)

    @_guarding_disk()
    def load_looks(self, study: str) -> tuple[RecordedLook, ...]:
        """Return the looks that are kept with a study, the earliest first."""
        if (parent := self._find_parent(study)) is None:
            return ()
        with self._mlflow.artifacts(parent, ("looks",)) as place:
            return read_looks(place / "looks")

    def _find_parent(self, study: str) -> Any | None:
        experiment_id = self._mlflow.find_experiment(study)
        return self._mlflow.find_one(experiment_id, "tags.`harness.kind` = 'study'") if experiment_id else None

    def _reap(self) -> None:
        """Show as killed what is shown as running, was started here, and is run by no process any more."""
        for experiment in self._mlflow.experiments():
            for found in self._mlflow.search("attributes.status = 'RUNNING'", experiment.experiment_id):
                tags = found.data.tags
                if any(tags.get(key) != value for key, value in self._folders.items()):
                    continue
                if not is_alive(self.root, tags):
                    self._tag(found.info.run_id, {"harness.status": "interrupted"})
                    self._client.set_terminated(found.info.run_id, "KILLED")


def _require_weights(whole: RunFolder, found: Any, folder: RunFolder) -> None:
    """See that what a store keeps of a run has its weights; else take them from the folder on this machine it is of.

    Raises:
        NoWeights: they are not there either, or damaged.
    """
    tags = found.data.tags
    origin = on_disk.run_folder(Path(tags["harness.root"]), tags["harness.id"])
    if not whole.best.exists() and tags["harness.host"] == socket.gethostname() and origin.best.exists():
        whole.best.parent.mkdir(exist_ok=True)
        shutil.copyfile(origin.best, whole.best)
    if not whole.best.exists() or on_disk.find_model_damage(whole, whole.best):
        raise NoWeights(folder.path)


def local_store(root: Path) -> MlflowStore | None:
    """Return the store in the database below a root folder, if there is one."""
    return MlflowStore(root, default_uri(root)) if (root / DATABASE).exists() else None


def _child_of(found: Any) -> _Child:
    shown, reason = (found.data.tags.get(f"harness.{name}", "") for name in ("status", "reason"))
    return _Child(found.info.run_id, found.info.artifact_uri, shown, reason)
