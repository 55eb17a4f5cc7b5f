"""Names that a spec gives: they stand in file names, tags and options."""

from __future__ import annotations

import re
from collections.abc import Mapping

from harness.strict_yaml.located import Node

SLUG = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
LONGEST_SLUG = 100
"""Characters: file systems and tracking stores take names of 250, and harness puts words around them."""
DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
"""Names that Windows keeps for devices, with any ending: a report or a store may be looked at there."""


def slug_problem(text: str) -> str:
    """Return why a text cannot stand in file names, in words; nothing where it can."""
    if not re.fullmatch(SLUG, text):
        return "a name consists of letters, digits, - _ and ., and begins with a letter, a digit or _"
    if len(text) > LONGEST_SLUG:
        return f"a name has at most {LONGEST_SLUG} characters, and this one {len(text)}"
    return "Windows keeps this name for a device; choose another" if DEVICES.fullmatch(text) else ""


def read_slug(node: Node) -> str:
    """Return a name that can stand in file names. Raises InputError where it cannot."""
    text = node.text()
    if problem := slug_problem(text):
        raise node.error(f"{node.shown()} was given; {problem}")
    return text


def read_named(node: Node) -> Mapping[str, Node]:
    """Return a mapping's entries after checking that each key is a name. Raises InputError where one is not."""
    for name, entry in node.mapping().items():
        if problem := slug_problem(name):
            raise entry.key_error(f"'{name}' was given; {problem}")
    return node.mapping()
