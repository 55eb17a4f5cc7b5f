"""Dotted keys: changes of the settings in `base`, applied in the order written. Nothing is merged."""

from __future__ import annotations

from collections.abc import Mapping

from harness.errors import did_you_mean
from harness.records import SEVERAL, SINGLE
from harness.registry import KINDS
from harness.strict_yaml.located import Node

SECTIONS = (*KINDS, "train", "evaluate")


def apply_changes(tree: Node, changes: Node) -> Node:
    """Return the settings with the changes of one `set` (a mapping of dotted keys) applied in the order written.

    Raises:
        InputError: a key leads nowhere, removes what is not there, or undoes one written before it.
    """
    seen: list[str] = []
    for key, value in changes.mapping().items():
        undone = next((earlier for earlier in seen if earlier.startswith(f"{key}.")), None)
        if undone:
            raise value.key_error(f"this undoes {undone}, written before it; write the whole part first")
        seen.append(key)
        tree = apply_change(tree, key, value)
    return tree


def apply_change(tree: Node, key: str, value: Node) -> Node:
    """Return the settings with the value at one dotted key replaced; null removes a term of loss or augment.

    Raises:
        InputError: the key leads nowhere, or removes what is not there.
    """
    section, *below = key.split(".")
    if section not in SECTIONS:
        raise value.key_error(f"there is no section '{section}' to set; {did_you_mean(section, SECTIONS)}")
    if not all(below):
        raise value.key_error("a dot must stand between two names, as in optimizer.lr")
    if below == ["name"] and section in SINGLE:
        raise value.key_error(f"a part is replaced as a whole: write {section}: {{name: {value.plain()}}}")
    if not below:
        if value.value is None:
            example = f"{section}: {{}}" if section not in SINGLE else f"{section}: {{name: ...}}"
            raise value.error(f"a section cannot be removed; replace it with {example}")
        return _with_entry(tree, section, value)
    current = tree.mapping().get(section) or value.holding({})
    changed = _change_term(current, section, below, value) if section in SEVERAL else _change(current, below, value)
    return _with_entry(tree, section, changed)


def overlap(key: str, other: str) -> bool:
    """Return whether two dotted keys set the same thing, or one sets a part of what the other sets."""
    return f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}.")


def _change_term(current: Node, section: str, below: list[str], value: Node) -> Node:
    """Add, replace, remove or change a term of loss or augment."""
    term, *inside = below
    terms = current.mapping()
    if term not in terms and (inside or value.value is None):
        written = f"; add it with {section}.{term}: {{{'.'.join(inside)}: {value.shown()}}}" if inside else ""
        raise value.key_error(f"{section} has no term '{term}' here ({did_you_mean(term, terms)}){written}")
    if inside:
        return _with_entry(current, term, _change(terms[term], inside, value))
    if value.value is None:
        return current.holding({name: terms[name] for name in terms if name != term})
    return _with_entry(current, term, value)


def _change(current: Node, below: list[str], value: Node) -> Node:
    key, *inside = below
    if not isinstance(current.value, Mapping):
        raise value.key_error(f"there is nothing to set below {current.path}, which is {current.shown()}")
    if inside:
        value = _change(current.value.get(key) or value.holding({}), inside, value)
    return _with_entry(current, key, value)


def _with_entry(node: Node, key: str, value: Node) -> Node:
    return node.holding({**node.mapping(), key: value})
