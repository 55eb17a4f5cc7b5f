"""Canonical form of a value -> a short id. Two equal values have one id, whatever order or machine they come from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ID_LENGTH = 12


def canonical(value: Any) -> str:
    """Return JSON with sorted keys and the shortest text of each number (1 and 1.0 stay different)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(value: Any) -> str:
    """Return the SHA-256 (hexadecimal) of a value's canonical form."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def fingerprint(value: Any) -> str:
    """Return the first hexadecimal digits of the SHA-256 of a value's canonical form."""
    return digest(value)[:ID_LENGTH]


def digest_bytes(parts: Iterable[bytes]) -> str:
    """Return the SHA-256 (hexadecimal) of byte strings one after another."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(part)
    return sha.hexdigest()


def digest_file(path: Path) -> str:
    """Return the SHA-256 (hexadecimal) of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return dotted key -> value for nested mappings; a list is a single value."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
