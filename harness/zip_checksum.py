"""A checksum inside a zip file, which is what checkpoints are: SHA-256 of all before it, kept as the file's comment.

Who reads the file passes the comment over, `torch.load` among them.
"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import IO

_MARK = b"sha256:"
_LENGTH = len(_MARK) + 64
_CHUNK = 1 << 20


def append_checksum(file: IO[bytes]) -> None:
    """Add its checksum to a zip file that was just written and has no comment."""
    file.seek(-2, 2)
    file.write(_LENGTH.to_bytes(2, "little"))  # a zip file ends with the length of its comment
    digest = _digest_start(file, file.tell())
    file.seek(0, 2)
    file.write(_MARK + digest.encode())


def _digest_start(file: IO[bytes], length: int) -> str:
    """Return the SHA-256 (hexadecimal) of the first bytes of a file."""
    file.seek(0)
    sha = hashlib.sha256()
    while length and (chunk := file.read(min(length, _CHUNK))):
        sha.update(chunk)
        length -= len(chunk)
    return sha.hexdigest()


def find_damage(path: Path) -> str | None:
    """Return what is wrong with a zip file's bytes, in words; None where they are as they were written.

    Files without the SHA-256, of an older harness, are judged by the CRC-32 of what is in the zip file.
    """
    try:
        with path.open("rb") as file:
            start = max(file.seek(0, 2) - _LENGTH, 0)
            file.seek(start)
            end = file.read()
            if end.startswith(_MARK):
                intact = end == _MARK + _digest_start(file, start).encode()
            else:
                intact = end.endswith(b"\0\0") and zipfile.ZipFile(file).testzip() is None  # no comment, cut or whole
    except OSError as error:
        return error.strerror or str(error)
    except Exception:  # noqa: BLE001 - a damaged zip file makes its reader raise errors of any kind
        return "it is cut short, or no checkpoint"
    return None if intact else "its checksum does not match"
