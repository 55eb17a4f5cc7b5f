"""Where the MLflow store is, and the command that serves its UI."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, unquote

from harness.errors import InputError
from harness.files import DEFAULT_ROOT
from harness.runs.credentials import mask_credentials

LOOPBACK = "127.0.0.1"
END_S = 5.0
"""How long a server that is asked to end may take."""
DATABASE = "mlflow.db"
"""Name of the database below a root folder."""
LONGEST_PATH = 490
"""Bytes of a database's path: SQLite takes 512, with the endings of the files that it makes beside it."""
_SQLITE = re.compile(r"sqlite(?:\+pysqlite)?:///(?P<path>[^?]+)(?:\?.*)?", re.DOTALL)
_OPTIONS = re.compile(r"\w+=[^&/]*(?:&\w+=[^&/]*)*")
_MEANS_MORE = re.compile(r"[%?#\x00-\x1f]")


def find_uri(root: Path, tracking_uri: str | None) -> str:
    """Return the tracking URI: the one given, else MLFLOW_TRACKING_URI, else the database below `root`.

    One of a SQLite file is returned as `database_uri` writes it.

    Raises:
        InputError: it is a folder, in which MLflow keeps runs no more; or no path can be read from it.
    """
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or default_uri(root)
    if "://" not in uri or uri.startswith("file:"):
        raise InputError(
            f"the tracking URI {uri} names no store; write http://host:port for a server, or"
            " sqlite:////absolute/path/mlflow.db"
        )
    file, options = sqlite_file(uri), uri.partition("?")[2]
    if file is None or _OPTIONS.fullmatch(options):
        return uri
    if not options:
        return database_uri(file)
    raise InputError(f"the tracking URI {uri}: after ? come options, NAME=VALUE; in a folder's name write ? as %3F")


def is_server(uri: str) -> bool:
    """Tell whether a tracking URI is that of a server, which makes its own tables and keeps the artifacts."""
    return uri.startswith(("http://", "https://", "databricks"))


def sqlite_file(uri: str) -> Path | None:
    """Return the file of a SQLite database, None for other tracking URIs and for databases in memory."""
    found = _SQLITE.fullmatch(uri)
    return Path(unquote(found["path"])).absolute() if found and found["path"] != ":memory:" else None


def database_uri(file: Path) -> str:
    """Return the URI that SQLAlchemy, and with it MLflow and Optuna, opens a SQLite file by.

    A path with characters that mean something in a URL is escaped, and the driver is named: MLflow takes
    `sqlite:///PATH` for a path that is not escaped, and makes the folder of that name.

    Raises:
        InputError: the path is not UTF-8, or longer than SQLite takes.
    """
    path = str(file)
    try:
        length = len(path.encode())
    except UnicodeEncodeError:
        shown = path.encode(errors="backslashreplace").decode()
        raise InputError(f"{shown}: the folder's name is not UTF-8, which MLflow needs; rename it") from None
    if length > LONGEST_PATH:
        raise InputError(
            f"{path}: this path has {length} bytes, and MLflow's database, SQLite, takes {LONGEST_PATH}; keep the runs"
            " in a folder with a shorter one, or the store on a server (--tracking-uri)"
        )
    return f"sqlite+pysqlite:///{quote(path)}" if _MEANS_MORE.search(path) else f"sqlite:///{path}"


def make_database(path: Path, open_at: Callable[[str], object]) -> None:
    """Make the database, whole or not at all: a process killed while its tables are made leaves none of them.

    `open_at` is given a tracking URI and makes the tables there. The caller holds the store's lock.
    """
    if path.exists():
        return
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    open_at(database_uri(partial))
    partial.replace(path)
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA journal_mode=WAL")  # the UI reads while runs write


def default_uri(root: Path) -> str:
    """Return the tracking URI of the database below a root folder."""
    return database_uri(root.resolve() / DATABASE)


def sync_command(root: Path, uri: str, study: str) -> str:
    """Return the command that brings a study below `root` to the store at `uri`, ready for a shell to run here."""
    words = ["harness", "sync", study]
    if root.resolve() != DEFAULT_ROOT.resolve():
        words += ["--root", str(root)]
    with suppress(InputError):  # a folder that can have no database of its own
        if uri == find_uri(root, None):
            return shlex.join(words)
    return shlex.join([*words, "--tracking-uri", mask_credentials(uri)])


def mlflow_command(uri: str, *arguments: str) -> str:
    """Return a command of MLflow's on the store at `uri`, ready for a shell to run here."""
    program = ["mlflow"] if shutil.which("mlflow") else [sys.executable, "-m", "mlflow"]
    return f"MLFLOW_TRACKING_URI={shlex.quote(mask_credentials(uri))} {shlex.join([*program, *arguments])}"


def refuse_taken_port(port: int) -> None:
    """Check that a server for this machine alone can have a port.

    Raises:
        InputError: it is in use, or only the system may use it.
    """
    with socket.socket() as probe, socket.socket() as other:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            other.bind((LOOPBACK, 0))
            free = other.getsockname()[1]
            raise InputError(
                f"port {port} cannot be used ({error.strerror}); port {free} is free: harness ui --port {free}"
            ) from None


def make_server_command(root: Path, tracking_uri: str | None, port: int) -> tuple[list[str], dict[str, str]]:
    """Return the command and environment that serve a store's UI to this machine alone.

    The URI goes into the environment: it may hold a password, and other users can read a command line.

    Raises:
        InputError: the store is a server already, or a database that this user cannot write.
    """
    uri = find_uri(root, tracking_uri)
    if is_server(uri):
        raise InputError(f"the tracking store is a server already: open {mask_credentials(uri)} in a browser")
    if (file := sqlite_file(uri)) and not file.exists():
        raise InputError(f"{file.absolute()}: no study was run here yet; harness run SPEC makes the store")
    if file and not all(os.access(path, os.W_OK) for path in (file.parent, file)):
        raise InputError(f"{file}: MLflow must write to its database, and it is read-only; serve a copy of the folder")
    command = [sys.executable, "-m", "mlflow", "server", "--host", LOOPBACK, "--port", str(port), "--workers", "1"]
    place = {"MLFLOW_BACKEND_STORE_URI": uri, "MLFLOW_DEFAULT_ARTIFACT_ROOT": (root.resolve() / "artifacts").as_uri()}
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    return command, {**quiet, **os.environ, **place}


def serve(command: list[str], environment: dict[str, str]) -> int:
    """Run a server until it ends, and return its exit code; an interrupt ends it and what it has started.

    It leads a session of its own: a server's processes are several, and one signal reaches them all.
    """
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        return process.wait()
    finally:
        for signum in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError, PermissionError, subprocess.TimeoutExpired):
                os.killpg(process.pid, signum)
                process.wait(END_S)
