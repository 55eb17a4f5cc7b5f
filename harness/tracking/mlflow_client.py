"""The connection to MLflow: its client, experiments, runs and files, and finding a run by what a person has at hand."""

from __future__ import annotations

import functools
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from harness.errors import InputError, did_you_mean
from harness.files import locked
from harness.tracking.mlflow_guard import GuardedClient, explain, guarded, silence
from harness.tracking.protocol import StoreError
from harness.tracking.relocation import ARTIFACTS, StoreLocation, adopt, local_path
from harness.tracking.server import find_uri, is_server, make_database, mlflow_command, sqlite_file

QUIET = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # the default waits four minutes for a server that is down
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # stdout is for results
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
"""What MLflow is told by its environment, unless the user has told it something else."""

CONNECT_S = 5
"""How long a database server may take to answer."""

PATIENCE_S = 20
"""How long a local database may be locked by others before the store counts as failing; MLflow waits as long."""


MODELS = "models:/"
PAGE = 1000
"""Runs, or models, of an answer at most."""


class Connection:
    """MLflow at `tracking_uri`, else at MLFLOW_TRACKING_URI, else in a database below `root`.

    Methods raise StoreError for whatever MLflow, its database or the network raise. `say` is told what was changed in
    the database of a store that was copied or moved.
    """

    def __init__(self, root: Path, tracking_uri: str | None, say: Callable[[str], None] = lambda text: None) -> None:
        self.root = root.resolve()
        self.uri = find_uri(root, tracking_uri)
        self._say = say
        file = sqlite_file(self.uri)
        self._location = StoreLocation(file, self.root) if file else None

    @functools.cached_property
    def client(self) -> Any:
        """Connect. The first connection makes the database, which two processes at once must not do."""
        return GuardedClient(self._connect())

    @guarded
    def _connect(self) -> Any:
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        silence()
        from mlflow import MlflowClient

        silence()  # MLflow's own settings are those of its import
        _refuse_silent_database(self.uri)
        with self.lock() if self._location else nullcontext():
            if self._location:
                make_database(self._location.database, lambda uri: MlflowClient(uri).search_experiments())
                # Read once from it: where that fails, MLflow would try for two minutes, and not say why.
                with closing(sqlite3.connect(self._location.database, timeout=PATIENCE_S)) as database:
                    database.execute("SELECT count(*) FROM sqlite_master").fetchone()
                if done := adopt(self._location):
                    self._say(done)
            client = MlflowClient(tracking_uri=self.uri)
            client.search_experiments(max_results=1)
        return client

    def lock(self) -> AbstractContextManager[bool]:
        """Hold, while the block runs, the lock under which this machine's processes make experiments and runs."""
        return self._location.lock() if self._location else locked(self.root / ".lock")

    def files(self, uri: str) -> Any:
        """Return MLflow's access to the files of a run or of a model, whose address is `uri`.

        Those of a local database are looked for where `StoreLocation.resolve` says.
        """
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        return GuardedClient(guarded(get_artifact_repository)(self.place_of(uri), tracking_uri=self.uri))

    def place_of(self, uri: str) -> str:
        """Return the address of the files of a run or of a model, where the database says that they are at `uri`."""
        return self._location.resolve(uri) if self._location else uri

    def experiments(self) -> list[Any]:
        """Return the experiments that are harness's studies."""
        return [item for item in self.client.search_experiments() if item.tags.get("harness.kind") == "study"]

    def find_experiment(self, study: str) -> str | None:
        """Return the id of a study's experiment.

        Raises:
            InputError: the experiment of this name is deleted, or is not harness's.
        """
        found = self.client.get_experiment_by_name(study)
        if found is None:
            return None
        if found.name != study:
            raise StoreError("the tracking store fails: its server does not answer as MLflow's does")
        if found.lifecycle_stage != "active":
            restore = mlflow_command(self.uri, "experiments", "restore", "-x", str(found.experiment_id))
            raise InputError(
                f"study '{study}': MLflow keeps a deleted experiment of this name; give the study another name, or"
                f" restore the experiment: {restore}"
            )
        if found.tags.get("harness.kind") != "study":
            raise InputError(f"study '{study}': MLflow has an experiment of this name that is not a study; rename one")
        return str(found.experiment_id)

    def make_experiment(self, study: str) -> str:
        """Make a study's experiment; return the id of the one that another machine made in the same moment."""
        location = None if is_server(self.uri) else (self.root / ARTIFACTS / study).as_uri()
        tags = {"harness.kind": "study"}
        try:
            return str(self.client.create_experiment(study, artifact_location=location, tags=tags))
        except StoreError:
            other = self.find_experiment(study)
            if other is None:
                raise
            return other

    def search(self, query: str, *experiment_ids: str) -> list[Any]:
        """Return all runs of some experiments that match a query."""
        found: list[Any] = []
        token: str | None = None
        while True:
            page = self.client.search_runs(list(experiment_ids), query, max_results=PAGE, page_token=token)
            found += page
            if not (token := page.token):
                return found

    def find_one(self, experiment_id: str, query: str) -> Any | None:
        """Return the run that matches a query; of several, the oldest."""
        found = self.search(query, experiment_id)
        return min(found, key=lambda run: (run.info.start_time, run.info.run_id), default=None)

    def find_or_make(self, experiment_id: str, query: str, tags: Mapping[str, str], name: str) -> Any:
        """Return the run that matches a query, made with these tags and name where there is none.

        On this machine a lock keeps it single. Where two machines make one in the same moment, both keep the older.
        """
        with self.lock():
            found = self.find_one(experiment_id, query)
            if found is not None:
                return found
            own = self.client.create_run(experiment_id, tags=dict(tags), run_name=name)
            oldest = self.find_one(experiment_id, query) or own
            if oldest.info.run_id != own.info.run_id:
                self.client.delete_run(own.info.run_id)
            return oldest

    def is_on_this_disk(self, uri: str) -> bool:
        """Tell whether the files at `uri` are on a disk of this machine, and no server has them for others."""
        return not is_server(self.uri) and local_path(self.place_of(uri)) is not None

    def log_linked(self, uri: str, path: Path, inside: str) -> None:
        """Keep a large file in a folder of the artifacts at `uri`: on the same disk as a link, no second copy."""
        place = local_path(self.place_of(uri))
        if place is not None and not is_server(self.uri):
            with suppress(OSError):  # another disk, or one that knows no links
                (place / inside).mkdir(parents=True, exist_ok=True)
                (place / inside / path.name).unlink(missing_ok=True)
                (place / inside / path.name).hardlink_to(path)
                return
        self.files(uri).log_artifact(str(path), inside)

    @contextmanager
    def artifacts(self, found: Any, wanted: Sequence[str]) -> Iterator[Path]:
        """Yield a folder with those artifacts of a run that exist: the store's own where it is on this disk."""
        if (folder := local_path(self.place_of(found.info.artifact_uri))) is not None:
            yield folder
            return
        files = self.files(found.info.artifact_uri)
        with tempfile.TemporaryDirectory() as place:
            for name in {item.path for item in files.list_artifacts()}.intersection(wanted):
                files.download_artifacts(name, place)
            yield Path(place)


def _refuse_silent_database(uri: str) -> None:
    """Connect once to a database server: MLflow would try for more than a minute, and name no reason meanwhile."""
    if not uri.startswith(("postgresql", "mysql")):
        return
    from sqlalchemy import create_engine
    from sqlalchemy.exc import SQLAlchemyError

    try:
        engine = create_engine(uri, connect_args={"connect_timeout": CONNECT_S})
        engine.connect().close()
        engine.dispose()
    except SQLAlchemyError as error:
        text = explain(error)
        # The password in pieces: of one with an @ that is not escaped, a part is taken for the host.
        for piece in uri.partition("://")[2].rpartition("@")[0].partition(":")[2].split("@"):
            text = text.replace(piece, "***") if piece else text
        raise StoreError(f"the tracking store fails: {text}") from None


def find_tags(connection: Connection, name: str) -> Mapping[str, str] | None:
    """Return the tags of the run with an MLflow run id, a harness run id, or a `models:/` URI; None without one.

    Raises:
        InputError: the URI leads to no model, or to one that is not of a study.
    """
    mlflow_id = _run_of_model(connection.client, name) if name.startswith(MODELS) else name
    queries = [f"attributes.run_id = '{mlflow_id}'", f"tags.`harness.id` = '{mlflow_id}'"]
    studies = [item.experiment_id for item in connection.experiments()]
    found = [run for query in queries for run in connection.search(query, *studies) if "harness.id" in run.data.tags]
    if not found and name.startswith(MODELS):
        raise InputError(f"{name}: the model was logged by no run of a study in this store (MLflow run {mlflow_id})")
    return dict(found[0].data.tags) if found else None


def _run_of_model(client: Any, uri: str) -> str:
    """Return the MLflow run that a model was logged by: `models:/NAME/VERSION`, `NAME@ALIAS`, or `m-ID`."""
    path = uri.removeprefix(MODELS)
    if path.startswith("m-") and "/" not in path and "@" not in path:
        return str(client.get_logged_model(path).source_run_id)
    name, alias, version = _split(path)
    models = {model.name: model for model in client.search_registered_models(max_results=PAGE)}
    if name not in models:
        raise InputError(f"{uri}: the registry has no model '{name}'; {did_you_mean(name, models)}")
    aliases = {key: str(value) for key, value in models[name].aliases.items()}
    if alias and alias not in aliases:
        raise InputError(f"{uri}: model '{name}' has no alias '{alias}'; {did_you_mean(alias, aliases)}")
    wanted = aliases[alias] if alias else version
    versions = {str(item.version): item for item in client.search_model_versions(f"name = '{name}'")}
    if wanted not in versions:
        known = ", ".join(sorted(versions, key=int)) or "none"
        raise InputError(f"{uri}: model '{name}' has no version '{wanted}'; known: {known}; or models:/{name}@ALIAS")
    return str(versions[wanted].run_id)


def _split(path: str) -> tuple[str, str, str]:
    """Return name, alias and version; one of the last two is empty."""
    if "@" in path:
        name, _, alias = path.rpartition("@")
        return name, alias, ""
    name, _, version = path.rpartition("/")
    return (name, "", version) if name else (path, "", "")
