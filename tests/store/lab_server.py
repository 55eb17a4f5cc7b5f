"""A tracking server as a lab runs it, on loopback: PostgreSQL, and an MLflow server that keeps the artifacts itself.

    python tests/store/lab_server.py        prints the URIs of server and database; Ctrl-C ends both

All of it lies in one folder, which is removed at the end. PostgreSQL refuses to run as root: then the user `postgres`,
who comes with the system's package, owns its folder.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

STARTS_WITHIN_S = 120
QUIET = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


def find_postgres() -> Path | None:
    """Return the folder with the newest PostgreSQL's programs, if the system has one that this user can run."""
    if os.geteuid() == 0 and "postgres" not in {entry.pw_name for entry in pwd.getpwall()}:
        return None
    on_path = shutil.which("initdb")
    folders = [*Path("/usr/lib/postgresql").glob("*/bin"), *([Path(on_path).parent] if on_path else [])]
    usable = [folder for folder in folders if (folder / "initdb").exists() and (folder / "pg_ctl").exists()]
    return max(usable, key=lambda folder: [int(part) for part in folder.parts if part.isdigit()], default=None)


def free_port() -> int:
    """Return a port of this machine that no one uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Run a database server with a password in a folder; yield the URI of its database `mlflow`."""
    programs = find_postgres()
    assert programs is not None
    owner = "postgres" if os.geteuid() == 0 else None
    folder.mkdir()
    if owner:
        shutil.chown(folder, owner, owner)
    password, port, data = secrets.token_hex(8), free_port(), folder / "data"
    (folder / "password").write_text(password)

    def call(*command: str | Path) -> None:
        # A shared pipe would stay open in the server and block us; the log is in the folder.
        with (folder / "log").open("ab") as log:
            subprocess.run(command, check=True, stdout=log, stderr=log, user=owner, group=owner, cwd=folder)

    call(programs / "initdb", "-D", data, "-U", "lab", "--auth", "scram-sha-256", "--pwfile", folder / "password")
    options = f"-h 127.0.0.1 -p {port} -k {folder} -F -c max_connections=200"
    call(programs / "pg_ctl", "-D", data, "-w", "-o", options, "start")
    try:
        import psycopg

        place = {"host": "127.0.0.1", "port": port, "user": "lab", "password": password}
        with psycopg.connect(**place, dbname="postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE mlflow")
        yield f"postgresql://lab:{password}@127.0.0.1:{port}/mlflow"
    finally:
        call(programs / "pg_ctl", "-D", data, "-m", "immediate", "stop")


class LabServer:
    """An MLflow server that can be killed and started again on its port."""

    def __init__(self, database: str, artifacts: Path) -> None:
        self.port = free_port()
        self.database = database
        self.uri = f"http://127.0.0.1:{self.port}"
        self.artifacts = artifacts
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it answers."""
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--workers", "1", "--artifacts-destination", str(self.artifacts)]
        place = {"MLFLOW_BACKEND_STORE_URI": self.database}  # not in the command line, which all users can read
        with self.artifacts.with_name("server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, env={**os.environ, **QUIET, **place}, stdout=log, stderr=log, start_new_session=True
            )
        until = time.monotonic() + STARTS_WITHIN_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(self.artifacts.with_name("server.log").read_text()[-3000:])
            time.sleep(0.2)

    def kill(self) -> None:
        """End it as a power cut does: SIGKILL to all of its processes."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


@contextmanager
def lab_server() -> Iterator[LabServer]:
    """Run the whole: yield the server, started."""
    with tempfile.TemporaryDirectory(prefix="lab-") as place:
        Path(place).chmod(0o755)  # the owner of the database must pass
        with postgres(Path(place) / "postgres") as database:
            server = LabServer(database, Path(place) / "artifacts")
            try:
                server.start()
                yield server
            finally:
                server.kill()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with lab_server() as running, suppress(KeyboardInterrupt):
        print(f"server   {running.uri}\ndatabase {running.database}", flush=True)
        signal.pause()
