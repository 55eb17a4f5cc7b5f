"""The tracking store in MLflow: an experiment a study, a parent run, a child a run. No other file knows MLflow."""

from __future__ import annotations

import functools
import json
import logging
import os
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar
from urllib.parse import unquote, urlparse

from harness.errors import InputError
from harness.files import locked
from harness.records import Plan, Run, RunResult, Status
from harness.spec.plan import plan_from_json, plan_to_json
from harness.store.folder import RunFolder, files_to_keep, load_result, read_progress
from harness.store.protocol import StoreError, is_alive
from harness.store.server import default_uri, find_uri, make_database
from harness.store.tracked import epoch_metrics, final_metrics, params_of, tags_of

MAX_METRICS = 1000  # that one call may hold
MLFLOW_STATUS = {"finished": "FINISHED", "failed": "FAILED", "skipped": "FAILED", "interrupted": "KILLED"}
NEEDED_FOR_REPORTS = ("result.json", "journal.jsonl", "provenance.json", "examples.npz", "evaluation")

P = ParamSpec("P")
T = TypeVar("T")


def _guarded(method: Callable[P, T]) -> Callable[P, T]:
    """Turn whatever MLflow, its database or the network raise into a StoreError in one line."""

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            return method(*args, **kwargs)
        except (MlflowException, SQLAlchemyError, OSError) as error:
            text = (str(error).splitlines() or [type(error).__name__])[0]
            raise StoreError(f"the tracking store is not up to date: {text[:300]}") from error

    return call


@dataclass
class _Child:
    """A run's MLflow run as far as this process knows it."""

    mlflow_id: str
    shown: str  # the value of its tag harness.status
    last_epoch: int


class MlflowStore:
    """A store in MLflow: at `tracking_uri`, else at MLFLOW_TRACKING_URI, else in a database below `root`."""

    def __init__(self, root: Path, tracking_uri: str | None = None) -> None:
        self._root = root.resolve()
        self.uri = find_uri(root, tracking_uri)
        self._plan: Plan | None = None
        self._experiment_id = ""
        self._parent_id = ""
        self._children: dict[str, _Child] = {}
        self._folders = {"harness.host": socket.gethostname(), "harness.root": str(self._root)}

    @property
    def root(self) -> Path:
        """Return the folder below which the run folders lie."""
        return self._root

    @functools.cached_property
    def _client(self) -> Any:
        """Connect. The first connection makes the database, which two processes at once must not do."""
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # the default waits four minutes a call
        from mlflow import MlflowClient

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)
        with locked(self._root / ".lock"):
            if self.uri == default_uri(self._root):
                make_database(self._root / "mlflow.db", lambda uri: MlflowClient(uri).search_experiments())
            client = MlflowClient(tracking_uri=self.uri)
            client.search_experiments(max_results=1)
        return client

    @_guarded
    def open_study(self, plan: Plan) -> None:
        """Show a study as running, with its spec and plan; show as killed whatever only seems to run."""
        self._reap()
        self._plan, self._children = plan, {}
        with locked(self._root / ".lock"):
            self._experiment_id = self._find_experiment(plan.study) or self._make_experiment(plan.study)
            parent = self._find_parent(self._experiment_id)
            if parent is None:
                tags = {"harness.kind": "study", "harness.study": plan.study}
                parent = self._client.create_run(self._experiment_id, tags=tags, run_name=plan.study)
        self._parent_id = parent.info.run_id
        for key, value in {**self._folders, "harness.status": "running"}.items():
            self._client.set_tag(self._parent_id, key, value)
        self._client.update_run(self._parent_id, status="RUNNING")
        self._client.log_text(self._parent_id, plan.spec_text, "spec.yaml")
        self._client.log_text(self._parent_id, json.dumps(plan_to_json(plan), indent=1), "plan.json")
        for found in self._search(self._experiment_id, "tags.`harness.kind` = 'run'"):
            self._children[found.data.tags["harness.id"]] = self._child_of(found)

    @_guarded
    def mirror(self, run: Run, folder: RunFolder, status: Status | Literal["running"]) -> None:
        """Bring what the store shows of a run up to what its folder holds. Doing it twice changes nothing."""
        if not self._parent_id:
            raise StoreError("the tracking store is not up to date: it could not be opened for this study")
        child = self._children.get(run.id) or self._make_child(run)
        if child.shown == "finished":
            return
        if status == "running" != child.shown:
            self._show(child, "running")
            self._client.update_run(child.mlflow_id, status="RUNNING")
        for progress in read_progress(folder):
            if progress.epoch > child.last_epoch:
                self._log_metrics(child, epoch_metrics(progress), progress.epoch, progress.time_ms)
                child.last_epoch = progress.epoch
        if status != "running":
            self._end(child, run, folder, status)

    def _end(self, child: _Child, run: Run, folder: RunFolder, status: Status) -> None:
        result = load_result(folder)
        if status == "finished" and result is not None:
            self._log_metrics(child, final_metrics(result), 0, result.history[-1].time_ms)
        assert self._plan is not None
        starts = {(item.start.run_id, item.start.which) for item in self._plan.runs if item.start}
        for path in files_to_keep(folder, with_last=(run.id, "last") in starts):
            inside = path.parent.relative_to(folder.path).as_posix()
            self._client.log_artifact(child.mlflow_id, str(path), None if inside == "." else inside)
        if result is not None and result.reason:
            self._client.set_tag(child.mlflow_id, "harness.reason", result.reason[:5000])
        self._client.set_terminated(child.mlflow_id, MLFLOW_STATUS[status])
        self._show(child, status)  # last: a run is shown as finished when all of it is there

    def _show(self, child: _Child, status: str) -> None:
        self._client.set_tag(child.mlflow_id, "harness.status", status)
        child.shown = status

    def _log_metrics(self, child: _Child, metrics: dict[str, float], step: int, time_ms: int) -> None:
        """Log in as few calls as MLflow takes. The journal's time makes a replay an exact duplicate, which it drops."""
        from mlflow.entities import Metric

        last = sorted(
            metrics, key=lambda name: name == "val/loss"
        )  # by it `_child_of` knows that all of a step is there
        entries = [Metric(name, float(metrics[name]), time_ms, step) for name in last]
        for first in range(0, len(entries), MAX_METRICS):
            self._client.log_batch(child.mlflow_id, metrics=entries[first : first + MAX_METRICS])

    def _make_child(self, run: Run) -> _Child:
        from mlflow.entities import Param

        assert self._plan is not None
        with locked(self._root / ".lock"):
            found = self._search(self._experiment_id, f"tags.`harness.id` = '{run.id}'")
            if not found:
                tags = {**tags_of(self._plan, run), **self._folders, "mlflow.parentRunId": self._parent_id}
                found = [self._client.create_run(self._experiment_id, tags=tags, run_name=run.label)]
                params = [Param(key, value) for key, value in params_of(self._plan, run).items()]
                for first in range(0, len(params), 100):
                    self._client.log_batch(found[0].info.run_id, params=params[first : first + 100])
        self._children[run.id] = child = self._child_of(found[0])
        return child

    def _child_of(self, found: Any) -> _Child:
        mlflow_id, metrics = found.info.run_id, found.data.metrics
        logged = self._client.get_metric_history(mlflow_id, "val/loss") if "val/loss" in metrics else []
        last = max((point.step for point in logged), default=-1)
        return _Child(mlflow_id, found.data.tags.get("harness.status", ""), last)

    @_guarded
    def close_study(self, status: Status) -> None:
        """Show the study that was opened as ended."""
        self._client.set_tag(self._parent_id, "harness.status", status)
        self._client.set_terminated(self._parent_id, MLFLOW_STATUS[status])

    @_guarded
    def fetch(self, run_id: str, study: str, folder: RunFolder) -> bool:
        """Bring a run that was finished elsewhere into its folder here; tell whether the store had it."""
        found = self._find_run(run_id, study)
        if found is None or found.data.tags.get("harness.status") != "finished" or folder.result.exists():
            return False
        with locked(folder.lock), tempfile.TemporaryDirectory(dir=self._root) as place:
            whole = Path(self._client.download_artifacts(found.info.run_id, "", dst_path=place))
            files = [path for path in whole.rglob("*") if path.is_file()]
            for path in sorted(files, key=lambda item: item.name == folder.result.name):  # the result comes last
                target = folder.path / path.relative_to(whole)
                target.parent.mkdir(parents=True, exist_ok=True)
                path.replace(target)
        return True

    @_guarded
    def load_plan(self, study: str) -> Plan | None:
        """Return the plan a study was last run with."""
        experiment_id = self._find_experiment(study)
        parent = self._find_parent(experiment_id) if experiment_id else None
        if parent is None:
            return None
        with self._artifacts(parent, ("plan.json",)) as place:
            return plan_from_json(json.loads((place / "plan.json").read_text()))

    @_guarded
    def load_result(self, run_id: str, study: str) -> RunResult | None:
        """Return what became of a run, from what the store itself keeps."""
        found = self._find_run(run_id, study)
        if found is None or found.data.tags.get("harness.status") not in MLFLOW_STATUS:
            return None
        with self._artifacts(found, NEEDED_FOR_REPORTS) as place:
            return load_result(RunFolder(place))

    @_guarded
    def studies(self) -> tuple[str, ...]:
        """Return the names of the studies in the store."""
        return tuple(item.name for item in self._experiments())

    @_guarded
    def attach_report(self, study: str, folder: Path) -> None:
        """Keep a written report with the study."""
        experiment_id = self._find_experiment(study)
        parent = self._find_parent(experiment_id) if experiment_id else None
        if parent is not None:
            self._client.log_artifacts(parent.info.run_id, str(folder), "report")

    def _experiments(self) -> list[Any]:
        return [item for item in self._client.search_experiments() if item.tags.get("harness.kind") == "study"]

    def _find_experiment(self, study: str) -> str | None:
        """Return the id of a study's experiment.

        Raises:
            InputError: the experiment of this name is deleted, or is not harness's.
        """
        found = self._client.get_experiment_by_name(study)
        if found is None:
            return None
        if found.lifecycle_stage != "active":
            raise InputError(
                f"study '{study}': MLflow keeps a deleted experiment of this name; restore it "
                f"(mlflow experiments restore -x {found.experiment_id}), or give the study another name"
            )
        if found.tags.get("harness.kind") != "study":
            raise InputError(f"study '{study}': MLflow has an experiment of this name that is not a study; rename one")
        return str(found.experiment_id)

    def _make_experiment(self, study: str) -> str:
        is_local = self.uri == default_uri(self._root)
        location = (self._root / "artifacts" / study).as_uri() if is_local else None
        return str(self._client.create_experiment(study, artifact_location=location, tags={"harness.kind": "study"}))

    def _find_parent(self, experiment_id: str) -> Any | None:
        return next(iter(self._search(experiment_id, "tags.`harness.kind` = 'study'")), None)

    def _find_run(self, run_id: str, study: str) -> Any | None:
        experiment_id = self._find_experiment(study)
        return (
            next(iter(self._search(experiment_id, f"tags.`harness.id` = '{run_id}'")), None) if experiment_id else None
        )

    def _search(self, experiment_id: str, query: str) -> list[Any]:
        found: list[Any] = []
        token: str | None = None
        while True:
            page = self._client.search_runs([experiment_id], filter_string=query, max_results=1000, page_token=token)
            found += page
            token = page.token
            if not token:
                return found

    @contextmanager
    def _artifacts(self, found: Any, wanted: Sequence[str]) -> Iterator[Path]:
        """Yield a folder with those artifacts of a run that exist: the store's own where it is on this disk."""
        uri = urlparse(found.info.artifact_uri)
        if uri.scheme in ("", "file"):
            yield Path(unquote(uri.path))
            return
        there = {item.path for item in self._client.list_artifacts(found.info.run_id)}
        with tempfile.TemporaryDirectory() as place:
            for name in there.intersection(wanted):
                self._client.download_artifacts(found.info.run_id, name, dst_path=place)
            yield Path(place)

    def _reap(self) -> None:
        """Show as killed what is shown as running, was started here, and is run by no process any more."""
        for experiment in self._experiments():
            for found in self._search(experiment.experiment_id, "attributes.status = 'RUNNING'"):
                tags = found.data.tags
                if any(tags.get(key) != value for key, value in self._folders.items()):
                    continue
                if not is_alive(self._root, tags):
                    self._client.set_tag(found.info.run_id, "harness.status", "interrupted")
                    self._client.set_terminated(found.info.run_id, "KILLED")
