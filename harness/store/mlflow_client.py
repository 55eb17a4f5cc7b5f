"""The connection to MLflow: its client, experiments, runs and files. Only the files `mlflow_*` know MLflow."""

from __future__ import annotations

import functools
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from urllib.parse import unquote, urlparse

from harness.errors import InputError
from harness.files import locked
from harness.store.protocol import StoreError
from harness.store.provenance import mask_credentials
from harness.store.server import find_uri, is_server, make_database, sqlite_file

QUIET = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # the default waits four minutes for a server that is down
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # stdout is for results
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
"""What MLflow is told by its environment, unless the user has told it something else."""

CONNECT_S = 5
"""How long a database server may take to answer."""

P = ParamSpec("P")
T = TypeVar("T")


def guarded(method: Callable[P, T]) -> Callable[P, T]:
    """Turn whatever MLflow, its database or the network raise into a StoreError in one line, without passwords."""

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            return method(*args, **kwargs)
        except (MlflowException, SQLAlchemyError, OSError) as error:
            raise StoreError(f"the tracking store fails: {_explain(error)}") from error

    return call


def _explain(error: Exception) -> str:
    text = str(error)
    if "Max retries exceeded" in text or "Connection aborted" in text:
        return "its server does not answer"
    if any(f"error code {code}" in text for code in (401, 403)):
        return (
            "its server refuses this user; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or"
            " MLFLOW_TRACKING_TOKEN"
        )
    first = (text.splitlines() or [type(error).__name__])[0]
    return mask_credentials(first)[:300]


class Connection:
    """MLflow at `tracking_uri`, else at MLFLOW_TRACKING_URI, else in a database below `root`.

    Methods raise what MLflow raises; `guarded` makes StoreErrors of it.
    """

    def __init__(self, root: Path, tracking_uri: str | None) -> None:
        self.root = root.resolve()
        self.uri = find_uri(root, tracking_uri)

    @functools.cached_property
    def client(self) -> Any:
        """Connect. The first connection makes the database, which two processes at once must not do."""
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient

        for name in ("mlflow", "alembic", "urllib3"):
            logging.getLogger(name).setLevel(logging.ERROR)
        _refuse_silent_database(self.uri)
        with nullcontext() if is_server(self.uri) else self.lock():
            if file := sqlite_file(self.uri):
                make_database(file, lambda uri: MlflowClient(uri).search_experiments())
            client = MlflowClient(tracking_uri=self.uri)
            client.search_experiments(max_results=1)
        return client

    def lock(self) -> AbstractContextManager[bool]:
        """Hold, while the block runs, the lock under which this machine's processes make experiments and runs."""
        return locked((sqlite_file(self.uri) or self.root / "mlflow.db").with_name(".lock"))

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
        if found.lifecycle_stage != "active":
            raise InputError(
                f"study '{study}': MLflow keeps a deleted experiment of this name; restore it "
                f"(mlflow experiments restore -x {found.experiment_id}), or give the study another name"
            )
        if found.tags.get("harness.kind") != "study":
            raise InputError(f"study '{study}': MLflow has an experiment of this name that is not a study; rename one")
        return str(found.experiment_id)

    def make_experiment(self, study: str) -> str:
        """Make a study's experiment; return the id of the one that another machine made in the same moment."""
        from mlflow.exceptions import MlflowException

        location = None if is_server(self.uri) else (self.root / "artifacts" / study).as_uri()
        tags = {"harness.kind": "study"}
        try:
            return str(self.client.create_experiment(study, artifact_location=location, tags=tags))
        except MlflowException:
            other = self.find_experiment(study)
            if other is None:
                raise
            return other

    def search(self, experiment_id: str, query: str) -> list[Any]:
        """Return all runs of an experiment that match a query."""
        found: list[Any] = []
        token: str | None = None
        while True:
            page = self.client.search_runs([experiment_id], filter_string=query, max_results=1000, page_token=token)
            found += page
            token = page.token
            if not token:
                return found

    def find_one(self, experiment_id: str, query: str) -> Any | None:
        """Return the run that matches a query; of several, the oldest."""
        return min(self.search(experiment_id, query), key=_age, default=None)

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

    @contextmanager
    def artifacts(self, found: Any, wanted: Sequence[str]) -> Iterator[Path]:
        """Yield a folder with those artifacts of a run that exist: the store's own where it is on this disk."""
        uri = urlparse(found.info.artifact_uri)
        if uri.scheme in ("", "file"):
            yield Path(unquote(uri.path))
            return
        there = {item.path for item in self.client.list_artifacts(found.info.run_id)}
        with tempfile.TemporaryDirectory() as place:
            for name in there.intersection(wanted):
                self.client.download_artifacts(found.info.run_id, name, dst_path=place)
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
        text = _explain(error)
        for piece in _password_pieces(uri):
            text = text.replace(piece, "***")
        raise StoreError(f"the tracking store fails: {text}") from None


def _password_pieces(uri: str) -> list[str]:
    """Return the password in a URI, in pieces: of one with an @ that is not escaped, a part is taken for the host."""
    user_and_password = uri.partition("://")[2].rpartition("@")[0]
    return [piece for piece in user_and_password.partition(":")[2].split("@") if piece]


def _age(found: Any) -> tuple[int, str]:
    return found.info.start_time, found.info.run_id
