"""Which results may be compared: those whose contracts (split, evaluated size, ignore rule, taxonomy, ...) agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.fingerprint import canonical, flatten

LONGEST = 40
DETAILS = ("classes", "class_of")
"""What a taxonomy's name stands for."""


def flat_texts(value: Mapping[str, Any]) -> dict[str, str]:
    """Return dotted key -> canonical text for nested mappings, in the order of the keys; lists are single values."""
    return {key: item if isinstance(item, str) else canonical(item) for key, item in sorted(flatten(value).items())}


def disagreements(here: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[str, ...]:
    """Return, for each key in which two contracts differ, `<key> is <here>, there <other>`."""
    mine, theirs = flat_texts(here), flat_texts(other)
    if mine.get("taxonomy") != theirs.get("taxonomy"):  # the name says it: its classes differ, of course
        mine, theirs = ({key: text for key, text in flat.items() if key not in DETAILS} for flat in (mine, theirs))
    return tuple(
        f"{key} is {_short(mine.get(key))} here and {_short(theirs.get(key))} there"
        for key in sorted(mine.keys() | theirs.keys())
        if mine.get(key) != theirs.get(key)
    )


def _short(text: str | None) -> str:
    if text is None:
        return "not stated"
    return text if len(text) <= LONGEST else f"{text[:12]}..."
