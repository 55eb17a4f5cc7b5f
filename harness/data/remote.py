"""Data sets at a URL that fsspec knows (s3://, gs://, https://, ...), copied once to each machine.

The URL is that of a folder (of a web server that lists its folders, too) or of one archive, which is unpacked; where an
archive holds one folder and nothing beside it, that folder counts as its content.

A copy is a folder `remote/<key>` below the user's cache folder; its key is a digest of the URL and of what the store
says of each file (size, and checksum or time of change where it tells): where a file there has changed, the next
program makes a copy anew. A copy appears whole (a partial folder is renamed), with checksums of its files, and is never
changed afterwards: one that is damaged is copied again. It may be deleted while nothing uses it. From there on it is a
folder like any other: digests are those of the same files kept locally, and so are the ids of runs.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from harness.data.digests import cache_folder, find_changed, write_checksums
from harness.errors import InputError, did_you_mean
from harness.files import NO_ROOM, locked, require_room
from harness.fingerprint import digest

_CHECKSUMS = ("ETag", "etag", "checksum", "md5Hash", "content_md5", "CRC")
_TIMES = ("LastModified", "last_modified", "mtime", "created")
"""What stores call the checksum of a file, and the time of its last change."""
_CREDENTIALS = re.compile(r"://[^/@\s]*:[^/@\s]*@")


def is_url(text: Any) -> bool:
    """Tell whether a setting is a URL, and not a path on this machine."""
    return isinstance(text, str) and "://" in text


def fetch(url: str) -> Path:
    """Return the folder with a copy of all that is at a URL, made now where this machine has none.

    Processes that want one copy at once make it once: the others wait. A file:// URL is not copied.

    Raises:
        InputError: there are no files there, they cannot be read, or the disk is too full. Nothing half-written stays.
    """
    listing = _list(url)
    if listing.local is not None:
        return listing.local
    place = cache_folder() / "remote" / listing.key
    if find_changed(place):
        with _explaining(url), locked(place.with_suffix(".lock")):
            # Another process may have made the copy while this one waited for the lock.
            if problem := find_changed(place):
                if place.is_dir():
                    print(f"{url}: the copy here is damaged ({problem})", file=sys.stderr)
                    shutil.rmtree(place)
                _copy(url, listing, place)
    content = place / listing.title
    inside = list(content.iterdir())
    return inside[0] if listing.archive and len(inside) == 1 and inside[0].is_dir() else content


@dataclass(frozen=True)
class _Listing:
    """What is at a URL."""

    files: Mapping[str, str]
    """Path below the URL -> path in its file system."""
    sizes: Mapping[str, int]
    """Path below the URL -> bytes, as far as they are known."""
    key: str
    title: str
    archive: str = ""
    """Its format, as `shutil` names it, if the URL is one of an archive."""
    local: Path | None = None
    """Where the files are, if the URL is a path on this machine."""


@cache  # one process sees one state of the data
def _list(url: str) -> _Listing:
    if _CREDENTIALS.search(url):
        shown = _CREDENTIALS.sub("://***@", url)
        raise InputError(
            f"{shown}: a password in a URL would be kept with every run; leave it out and put it where the library for "
            "this kind of URL looks (environment variables, its own file, ~/.config/fsspec)"
        )
    with _explaining(url):
        system, base = _open(url)
        if "file" in system.protocol:
            return _Listing({}, {}, "", "", local=Path(base))
        found: dict[str, dict[str, Any]] = system.find(base, detail=True)
        if not found:
            system.info(base)  # tells why
    # Names with a question mark are the links by which a web server's list of files is sorted.
    names = {_name_below(base, path, url): path for path in sorted(found) if "?" not in path}
    if not names:
        raise InputError(f"{url}: there are no files there, or they cannot be listed")
    facts = {name: found[path] for name, path in names.items()}
    # Whatever a store tells of a file may betray a change: not all have checksums, and some have no times.
    told = {name: [str(info[key]) for key in (*_CHECKSUMS, *_TIMES) if key in info] for name, info in facts.items()}
    marks = [[name, info.get("size"), told[name]] for name, info in facts.items()]
    return _Listing(
        files=names,
        sizes={name: info["size"] for name, info in facts.items() if info.get("size") is not None},
        key=digest([url.rstrip("/"), marks])[:32],
        title=re.sub(r"[^\w.-]", "_", PurePosixPath(base).name) or "data",
        archive=_find_format(base) if list(found) == [base] else "",
    )


def _find_format(name: str) -> str:
    """Return the format of an archive, as its name tells; empty where it does not."""
    formats = {ending: entry[0] for entry in shutil.get_unpack_formats() for ending in entry[1]}
    return next((format_ for ending, format_ in formats.items() if name.lower().endswith(ending)), "")


def _open(url: str) -> tuple[Any, str]:
    import fsspec

    protocol, known = re.split(r"::|://", url)[0], fsspec.available_protocols()
    if protocol not in known:
        raise InputError(f"{url}: no kind of URL is named '{protocol}'; {did_you_mean(protocol, known)}")
    system, base = fsspec.core.url_to_fs(url)
    return system, base


def _name_below(base: str, path: str, url: str) -> str:
    """Return a file's path below the URL.

    Raises:
        InputError: the URL is this one file, or the file would come to lie outside of the copy.
    """
    below = path.removeprefix(base).strip("/")
    if not below and not _find_format(base):
        raise InputError(f"{url}: this is one file, and no archive; give the URL of a folder or of an archive")
    below = below or PurePosixPath(base).name
    name = unquote(below) if "://" in path else below
    if ".." in PurePosixPath(name).parts:
        raise InputError(f"{url}: a file there is named '{name}', which leads out of its folder")
    return name


def _copy(url: str, listing: _Listing, place: Path) -> None:
    """Copy all files into a partial folder and rename it. Call it only under the lock of `place`."""
    partial = place.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
    content = partial / listing.title
    folder = partial / "archive" if listing.archive else content
    targets = {name: folder / name for name in listing.files}
    total = sum(listing.sizes.values())
    size = f", {total / 1e6:,.1f} MB" if total else ""
    print(f"{url}: copying {len(targets):,} files{size} to {place}", file=sys.stderr)
    require_room(place.parent, total)
    try:
        for target in targets.values():
            target.parent.mkdir(parents=True, exist_ok=True)
        _open(url)[0].get(list(listing.files.values()), [str(target) for target in targets.values()])
        # Some stores end a broken connection as if the file had ended.
        for name, target in targets.items():
            if target.stat().st_size != listing.sizes.get(name, target.stat().st_size):
                raise InputError(f"{url}: {name} was cut short on its way; run again")
        if listing.archive:
            _unpack(folder, content, listing.archive)
        write_checksums(partial, [path for path in content.rglob("*") if path.is_file()])
        partial.rename(place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _unpack(folder: Path, content: Path, format_: str) -> None:
    """Unpack the archive in a folder and remove it; members that lead out are an error (tar) or left out (zip)."""
    content.mkdir()
    # tarfile's filter refuses members and links that lead out; for zip files shutil leaves such members out itself.
    safely: dict[str, Any] = {} if format_ == "zip" else {"filter": "data"}
    (archive,) = folder.iterdir()
    shutil.unpack_archive(archive, content, format_, **safely)
    shutil.rmtree(folder)


@contextmanager
def _explaining(url: str) -> Iterator[None]:
    """Turn whatever the libraries behind fsspec raise into an error for the user."""
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError as error:
        why = f" ({error.__cause__})" if error.__cause__ else ""
        raise InputError(f"{url}: there is nothing there{why}") from None
    except ImportError as error:
        raise InputError(f"{url}: {error} (with pip, on every machine that trains)") from None
    except Exception as error:  # noqa: BLE001 - each kind of URL has a library with errors of its own
        line = (str(error).strip().splitlines() or [""])[0]
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            remedy = f"free some space below {cache_folder()}, or set HARNESS_CACHE=FOLDER to a folder on a larger disk"
            raise InputError(f"{url}: no room for a copy here ({line}); {remedy}") from None
        raise InputError(
            f"{url}: cannot be read: {type(error).__name__}: {line}; credentials are taken from where the library for "
            "this kind of URL looks for them"
        ) from None
