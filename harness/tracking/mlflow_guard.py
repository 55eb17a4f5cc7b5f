"""Whatever MLflow raises is a store that fails: one error, in one line, without passwords."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from harness.errors import HarnessError
from harness.runs.credentials import mask_credentials
from harness.tracking.protocol import StoreError

PACKAGES = {
    "psycopg": "ablation-harness[postgres]",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient",
    "google": "google-cloud-storage",
    "azure": "azure-storage-blob",
    "botocore": "boto3",
}
"""Module that MLflow or SQLAlchemy imports when an address asks for it -> what to install, where its name differs."""
MESSAGE_LENGTH = 300
_SAYS_ENOUGH = ("MlflowException", "OperationalError", "OSError")

Call = TypeVar("Call", bound=Callable[..., Any])


def silence() -> None:
    """Keep what MLflow and its libraries log from the user: what fails is raised, and told once."""
    for name in ("mlflow", "alembic", "sqlalchemy.engine", "sqlalchemy.pool", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def guarding() -> Iterator[None]:
    """Turn whatever MLflow raises within it, but for harness's own errors, into a StoreError."""
    try:
        yield
    except HarnessError:
        raise
    except Exception as error:  # MLflow, its plugins and drivers raise what they like
        raise StoreError(f"the tracking store fails: {explain(error)}") from error


def guarded(call: Call) -> Call:
    """Return a function of MLflow's that is called within `guarding`."""
    return guarding()(call)


class GuardedClient:
    """An object of MLflow's, each of whose methods is guarded."""

    def __init__(self, subject: Any) -> None:
        self._subject = subject

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._subject, name)
        return guarded(found) if callable(found) else found


def explain(error: BaseException) -> str:
    """Return what went wrong with a store in one line, and what to do where that is known."""
    text = str(error)
    if missing := _missing_package(error):
        return missing
    if "Max retries exceeded" in text or "Connection aborted" in text:
        return "its server does not answer"
    if "database is locked" in text:
        return "another process keeps its database locked"
    if "file is not a database" in text or "disk image is malformed" in text:
        return "its database is damaged; move it away, and harness sync makes it anew from the run folders"
    if any(f"error code {code}" in text for code in (401, 403)):
        return (
            "its server refuses this user; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or"
            " MLFLOW_TRACKING_TOKEN"
        )
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    # MLflow's own errors say enough in their first line; of others the type belongs to the message.
    kinds = {kind.__name__ for kind in type(error).__mro__}
    shown = first if first and kinds.intersection(_SAYS_ENOUGH) else f"{type(error).__name__}: {first}".rstrip(": ")
    return mask_credentials(shown)[:MESSAGE_LENGTH]


def _missing_package(error: BaseException) -> str:
    """Return what to install where an error, or the one behind it, says that a module is not installed."""
    behind: BaseException | None = error
    while behind is not None:
        if found := re.search(r"No module named '([\w.]+)'", str(behind)):
            module = found[1].partition(".")[0]
            return f"it needs the package {module}: pip install '{PACKAGES.get(module, module)}'"
        behind = behind.__cause__ or behind.__context__
    return ""
