"""Names that a spec gives: they stand in file names, tags and options."""

from __future__ import annotations

import re
from collections.abc import Mapping

from harness.strict_yaml.located import Node

SLUG = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
SLUG_IN_WORDS = "a name consists of letters, digits, - _ and ., and begins with a letter, a digit or _"


def read_slug(node: Node) -> str:
    """Return a name that can stand in file names. Raises InputError where it cannot."""
    text = node.text()
    if not re.fullmatch(SLUG, text):
        raise node.error(f"{node.shown()} was given; {SLUG_IN_WORDS}")
    return text


def read_named(node: Node) -> Mapping[str, Node]:
    """Return a mapping's entries after checking that each key is a name. Raises InputError where one is not."""
    for name, entry in node.mapping().items():
        if not re.fullmatch(SLUG, name):
            raise entry.key_error(f"'{name}' was given; {SLUG_IN_WORDS}")
    return node.mapping()
