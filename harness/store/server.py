"""Where the MLflow store is, and the command that serves its UI."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

from harness.errors import InputError


def find_uri(root: Path, tracking_uri: str | None) -> str:
    """Return the tracking URI: the one given, else MLFLOW_TRACKING_URI, else the database below `root`."""
    return tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or default_uri(root)


def make_database(path: Path, open_at: Callable[[str], object]) -> None:
    """Make the database, whole or not at all: a process killed while its tables are made leaves none of them.

    `open_at` is given a tracking URI and makes the tables there. The caller holds the store's lock.
    """
    if path.exists():
        return
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    open_at(f"sqlite:///{partial}")
    partial.replace(path)
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA journal_mode=WAL")  # the UI reads while runs write


def default_uri(root: Path) -> str:
    """Return the tracking URI of the database below a root folder."""
    return f"sqlite:///{root.resolve()}/mlflow.db"


def make_server_command(root: Path, tracking_uri: str | None, port: int) -> tuple[list[str], dict[str, str]]:
    """Return the command and environment that serve a store's UI to this machine alone.

    Raises:
        InputError: the store is a server already.
    """
    uri = find_uri(root, tracking_uri)
    if uri.startswith(("http://", "https://")):
        raise InputError(f"the tracking store is a server already: open {uri} in a browser")
    arguments = ["--backend-store-uri", uri, "--default-artifact-root", (root.resolve() / "artifacts").as_uri()]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    return [*command, *arguments], {**quiet, **os.environ}
