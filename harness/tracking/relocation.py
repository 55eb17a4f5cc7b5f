"""A store that was copied or moved: its files are those below its own root, wherever its database says that they are.

MLflow writes absolute paths into its database, of each experiment, run and model. Where the folder that holds them has
another path now, they lead into the folder that it was copied from, or nowhere.
"""

from __future__ import annotations

import re
import socket
import sqlite3
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from harness.files import locked
from harness.tracking.server import find_uri, sqlite_file

ARTIFACTS = "artifacts"
_OF_STUDY = re.compile(
    rf"(?P<study>.*/{ARTIFACTS}/[^/]+)(?P<inside>/(?:[0-9a-f]{{32}}|models/m-[0-9a-f]{{32}})/artifacts)?", re.DOTALL
)
_STUDIES = """
    SELECT experiments.experiment_id, artifact_location FROM experiments JOIN experiment_tags
    ON experiments.experiment_id = experiment_tags.experiment_id AND key = 'harness.kind' AND value = 'study'
"""
_OF_EXPERIMENT = "experiment_id = :id"
_OF_ITS_RUNS = "run_id IN (SELECT run_uuid FROM runs WHERE experiment_id = :id)"
_ADDRESSES = (
    ("experiments", "artifact_location", _OF_EXPERIMENT),
    ("runs", "artifact_uri", _OF_EXPERIMENT),
    ("logged_models", "artifact_location", _OF_EXPERIMENT),
    ("model_versions", "source", _OF_ITS_RUNS),
    ("model_versions", "storage_location", _OF_ITS_RUNS),
)
"""Table, column that holds paths, and which rows are an experiment's."""
_ROOTS = """
    UPDATE tags SET value = :new WHERE key = 'harness.root' AND value = :old
    AND run_uuid IN (SELECT run_uuid FROM runs WHERE experiment_id = :id)
    AND run_uuid IN (SELECT run_uuid FROM tags WHERE key = 'harness.host' AND value = :host)
"""


@dataclass(frozen=True)
class StoreLocation:
    """Where a local database is, and the folder below which the run folders of its user lie."""

    database: Path
    root: Path

    def lock(self) -> AbstractContextManager[bool]:
        """Hold, while the block runs, the lock under which this machine's processes change the database."""
        return locked(self.database.with_name(".lock"))

    def resolve(self, uri: str) -> str:
        """Return where the files of a study, of a run or of a model are that the database says to be at `uri`.

        They are beside the database that is below the root. Of a database that is apart from the root they are where it
        says; where there is no such folder, or one that has a database of its own beside it, which this one was copied
        from, they are beside this one or below the root. Addresses of others than harness are returned as they are.
        """
        path = local_path(uri)
        found = _OF_STUDY.fullmatch(str(path)) if path is not None else None
        if found is None:
            return uri
        recorded = Path(found["study"])
        beside, mine = (folder.resolve() / ARTIFACTS / recorded.name for folder in (self.database.parent, self.root))
        # A database in the root is the usual case: the files go with it. Of one that is apart from the root, what is
        # there decides: it may have been copied, alone or with its files.
        if beside == mine:
            now = beside
        else:
            known = [folder for folder in (beside, mine) if folder.is_dir()]
            other = recorded.parents[1] / self.database.name  # the database that this one was copied from
            is_copied_from = other.exists() and not other.samefile(self.database)
            now = recorded if not known or (recorded.is_dir() and not is_copied_from) else known[0]
        return f"{now.as_uri()}{found['inside'] or ''}"


def local_path(uri: str) -> Path | None:
    """Return the folder on this disk that a URI of MLflow's means; None where it is elsewhere."""
    parts = urlsplit(uri)
    return Path(unquote(parts.path)) if parts.scheme in ("", "file") else None


def adopt(location: StoreLocation) -> str:
    """Have the database of a copied or moved store name the files that are below its own root; return what was done.

    MLflow's own programs find them then. Only harness's studies are changed, and of them only what names the folder
    that the store was in; in one transaction, or not at all. Nothing is changed where both paths lead to one folder,
    nor while a study is executed here: it may be seen under another path there, in a container for instance. The caller
    holds the store's lock.
    """
    existing = f"file:{quote(str(location.database))}?mode=rw"
    with suppress(sqlite3.Error, OSError), closing(sqlite3.connect(existing, uri=True)) as database:
        studies = [(id_, uri) for id_, uri in database.execute(_STUDIES) if uri and _has_moved(location, uri)]
        if not studies or _is_in_use(location.root):
            return ""
        with database:
            database.execute("BEGIN IMMEDIATE")
            runs = sum(_adopt_study(database, location, id_, uri) for id_, uri in studies)
        old = sorted({str(_root_of(uri)) for _, uri in studies})
        new = _root_of(location.resolve(studies[0][1]))
        return (
            f"{new}: this store was copied or moved from {', '.join(old)}; MLflow's database named the files of {runs}"
            " runs there, and names those below this folder now"
        )
    return ""


def adopt_at(root: Path, tracking_uri: str | None) -> str:
    """Adopt the store that commands below `root` use, where it is a local database; return what was done."""
    file = sqlite_file(find_uri(root, tracking_uri))
    if file is None:
        return ""
    location = StoreLocation(file, root.resolve())
    with location.lock():
        return adopt(location)


def _has_moved(location: StoreLocation, uri: str) -> bool:
    old, new = local_path(uri), local_path(location.resolve(uri))
    if old is None or new is None or old == new:
        return False
    old_root, new_root = old.parents[1], new.parents[1]
    return not (old_root.exists() and new_root.exists() and old_root.samefile(new_root))


def _root_of(uri: str) -> Path:
    """Return the store's folder in which the files of a study, at a local URI, are."""
    path = local_path(uri)
    assert path is not None
    return path.parents[1]


def _is_in_use(root: Path) -> bool:
    """Tell whether a process executes a study below a root, under whatever path it sees it."""
    for path in (root / "studies").glob("*.lock"):
        with locked(path, wait=False) as acquired:
            if not acquired:
                return True
    return False


def _adopt_study(database: sqlite3.Connection, location: StoreLocation, id_: int, uri: str) -> int:
    """Change all that the database says of one study's place; return the number of its runs."""
    for table, column, whose in _ADDRESSES:
        rows = database.execute(f"SELECT rowid, {column} FROM {table} WHERE {whose}", {"id": id_}).fetchall()
        for row, recorded in rows:
            if recorded and (now := location.resolve(recorded)) != recorded:
                database.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (now, row))
    roots = {"old": str(_root_of(uri)), "new": str(_root_of(location.resolve(uri)))}
    database.execute(_ROOTS, {**roots, "id": id_, "host": socket.gethostname()})
    return int(database.execute("SELECT count(*) FROM runs WHERE experiment_id = ?", (id_,)).fetchone()[0])
