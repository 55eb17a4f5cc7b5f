"""Strict YAML as a frozen tree in which each value knows its file, line, column and key path.

Stricter than YAML 1.1, so that a spec means what it looks like: no duplicate keys, no second document, no tags, no
merge keys, no anchors and aliases (a variant's `like` does their work, in sight), no values that YAML reads otherwise
than they look (the message has a spelling that works), at most 30 levels.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import yaml
from yaml.events import AliasEvent, CollectionStartEvent, ScalarEvent

from harness.errors import ESCAPES, InputError, describe_missing, did_you_mean

DEEPEST = 30
LONGEST = 10_000
"""Items of one list: numbers of a spec's longest, its seeds."""
MOST_VALUES = 100_000
"""Values and keys of a whole spec; reading so many takes some seconds."""
SHOWN_CHARACTERS = 60

Where = Callable[[int, int], str]
"""Line and column, from 1 -> how an error names the place."""
Scalar = None | bool | int | float | str
Read = TypeVar("Read")

YAML_TAGS = "tag:yaml.org,2002:"
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"([-+]?)([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+][0-9]+)?")
_EXPONENT = re.compile(r"([-+]?)([0-9]+\.?[0-9]*|\.[0-9]+)[eE]([-+]?)([0-9]+)")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")
_SHOWN_DIGITS = 40
_WORDS_FOR_TRUTH = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
_UNUSED = {
    "merge": "merge keys (<<) are not used in specs; write the settings out, or use `like`",
    "timestamp": "YAML reads {0} as a date; write '{0}' in quotes for the text",
    "value": "YAML gives {0} a meaning of its own; write '{0}' in quotes for the text",
}
"""Kind of scalar that no spec holds -> what to do about it."""


@dataclass(frozen=True)
class Node:
    """A value of a spec and where it stands."""

    value: Scalar | tuple[Node, ...] | Mapping[str, Node]
    where: str
    """Place of the value, such as `study.yaml:3:10`, or the option that gave it."""
    key_where: str
    """Place of its key; the value's own place where it has no key."""
    path: str
    """Key path as written, joined by dots."""

    def error(self, problem: str) -> InputError:
        """Return an error that points at this value."""
        return InputError(_message(self.where, self.path, problem))

    def key_error(self, problem: str) -> InputError:
        """Return an error that points at this value's key."""
        return InputError(_message(self.key_where, self.path, problem))

    def mapping(self) -> Mapping[str, Node]:
        """Return the keys and values below. Raises InputError where the value is no mapping."""
        if not isinstance(self.value, Mapping):
            raise self.error(f"{self.shown()} was given; it must be a mapping, such as {{}} or {{key: value}}")
        return self.value

    def items(self) -> tuple[Node, ...]:
        """Return the items of a list. Raises InputError where the value is no list."""
        if not isinstance(self.value, tuple):
            raise self.error(f"{self.shown()} was given; it must be a list, such as [{self.shown()}]")
        return self.value

    def text(self) -> str:
        """Return the value as text. Raises InputError where it is none, or is empty."""
        if not isinstance(self.value, str) or not self.value.strip():
            is_scalar = not isinstance(self.value, str | tuple | Mapping) and self.value is not None
            hint = f"; write '{self.shown()}' in quotes" if is_scalar else ""
            raise self.error(f"{self.shown()} was given; it must be text{hint}")
        return self.value

    def fields(self, known: Sequence[str], required: Sequence[str] = ()) -> Mapping[str, Node]:
        """Return a mapping's entries after checking that no key is unknown and none that is required is missing."""
        entries = self.mapping()
        for key, entry in entries.items():
            if key not in known:
                raise entry.key_error(f"there is no such key; {did_you_mean(key, known)}")
        for key in required:
            if key not in entries:
                raise self.error(f"the key '{key}' is missing; required here: {', '.join(required)}")
        return entries

    def holding(self, entries: Mapping[str, Node]) -> Node:
        """Return a mapping of these entries that stands where this value stands."""
        return replace(self, value=MappingProxyType(dict(entries)))

    def plain(self) -> Any:
        """Return the value as dicts, lists and scalars."""
        if isinstance(self.value, Mapping):
            return {key: entry.plain() for key, entry in self.value.items()}
        if isinstance(self.value, tuple):
            return [item.plain() for item in self.value]
        return self.value

    def shown(self) -> str:
        """Return the value as one short line for messages."""
        line = json.dumps(self.plain(), ensure_ascii=False)
        return line if len(line) <= SHOWN_CHARACTERS else f"{line[: SHOWN_CHARACTERS - 3]}..."


def _message(where: str, path: str, problem: str) -> str:
    message = f"{where}: {path}: {problem}" if path else f"{where}: {problem}"
    return message.replace("\n", "\\n")  # one line, whatever text it quotes


def read_file(path: Path) -> str:
    """Return a spec's text.

    Raises:
        InputError: there is no such file, it cannot be read, or it is not UTF-8.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        if path.parent.is_dir():
            raise InputError(f"{path}: there is no such file; {_specs_nearby(path.parent, path.name)}") from None
        raise InputError(describe_missing(path, "file")) from None
    except IsADirectoryError:
        raise InputError(f"{path}: this is a folder, not a spec; {_specs_nearby(path, '')}") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; give a spec, a text file in YAML") from None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line, column = before.count(b"\n") + 1, len(before.split(b"\n")[-1].decode("utf-8")) + 1
        byte = f"0x{content[error.start]:02x}"
        raise InputError(f"{path}:{line}:{column}: byte {byte} is not UTF-8; save the file as UTF-8") from None


def _specs_nearby(folder: Path, name: str) -> str:
    specs = sorted(entry.name for entry in folder.glob("*.y*ml")) if folder.is_dir() else []
    return f"of the specs in {folder.absolute()}: {did_you_mean(name, specs)}"


def parse_yaml(text: str, where: Where, path: str = "") -> Node:
    """Return the tree of a YAML text; `path` is the key path at which the whole text stands.

    Raises:
        InputError: it is not YAML, or not of the strict kind that specs are written in.
    """
    try:
        composer = _Composer(text, where)
        root = composer.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise InputError(_message(_place(where, mark), path, _explain(error, text, mark))) from None
    except yaml.reader.ReaderError as error:
        line, column = text.count("\n", 0, error.position) + 1, error.position - text.rfind("\n", 0, error.position)
        raise InputError(_message(where(line, column), path, "this character is no part of YAML; remove it")) from None
    except (ValueError, OverflowError):  # PyYAML lets through what chr() and int() say about escapes and directives
        raise InputError(_message(_place(where, composer.get_mark()), path, "YAML cannot be read here")) from None
    if root is None:
        raise InputError(_message(where(1, 1), path, "there is nothing in it; a value or a mapping must be written"))
    return _locate(root, where, path, None)


def parse_file(path: Path) -> Node:
    """Return the tree of a YAML file. Raises InputError as `read_file` and `parse_yaml` do."""
    return parse_yaml(read_file(path), lambda line, column: f"{path}:{line}:{column}")


class _Composer(yaml.SafeLoader):
    """Composes YAML nodes, and refuses what specs are written without."""

    def __init__(self, text: str, where: Where) -> None:
        super().__init__(text)
        self._where = where
        self._depth = 0
        self._values = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        # Refused while it is composed: what is nested too deep would end in Python's own limit of recursion.
        self._values += 1
        if problem := _unwanted(event) or self._excess(index):
            raise InputError(f"{_place(self._where, event.start_mark)}: {problem}")
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def _excess(self, index: Any) -> str | None:
        """Return what there is more of than a spec needs; `index` is the value's place where it is in a list."""
        if self._depth > DEEPEST:
            return f"more than {DEEPEST} levels of nesting; a spec needs fewer"
        if isinstance(index, int) and index >= LONGEST:
            return f"a list goes on after {LONGEST:,} items; write fewer"
        if self._values > MOST_VALUES:
            return f"more than {MOST_VALUES:,} values; divide the study into several specs"
        return None


def _unwanted(event: Any) -> str | None:
    if isinstance(event, AliasEvent) or getattr(event, "anchor", None) is not None:
        return f"anchors and aliases ({event.anchor}) are not used in specs; write the value out, or use `like`"
    if isinstance(event, ScalarEvent | CollectionStartEvent) and event.tag is not None:
        return f"tags ({event.tag.replace(YAML_TAGS, '!!')}) are not used in specs; write the plain value"
    return None


def _place(where: Where, mark: yaml.Mark | None) -> str:
    return where(mark.line + 1, mark.column + 1) if mark else where(1, 1)


def _explain(error: yaml.MarkedYAMLError, text: str, mark: yaml.Mark | None) -> str:
    if "single document" in (error.context or ""):
        return "a second document begins here; a spec is one document, without ---"
    lines = text.splitlines()
    if mark and mark.line < len(lines) and "\t" in lines[mark.line]:
        return "a tab stands in this line; YAML is indented with spaces"
    if error.context == "while scanning a double-quoted scalar" and "escape" in (error.problem or ""):
        cure = "put a text with a backslash, such as the path C:\\data, in single quotes"
        return f"in double quotes a backslash begins an escape; {cure} ({error.problem})"
    account = ", ".join(part for part in (error.context, error.problem) if part)
    return f"this is not valid YAML: {account}"


def _locate(node: yaml.Node, where: Where, path: str, key_where: str | None) -> Node:
    place = _place(where, node.start_mark)
    value: Scalar | tuple[Node, ...] | Mapping[str, Node]
    if isinstance(node, yaml.ScalarNode):
        value = _without_traps(read_scalar, node, place, path)
    elif isinstance(node, yaml.SequenceNode):
        value = tuple(_locate(item, where, join(path, str(index)), None) for index, item in enumerate(node.value))
    else:
        value = MappingProxyType(_locate_entries(node, where, path))
    return Node(value, place, key_where or place, path)


def _without_traps(read: Callable[[yaml.ScalarNode], Read], node: yaml.ScalarNode, place: str, path: str) -> Read:
    try:
        return read(node)
    except Trap as trap:
        raise InputError(_message(place, path, str(trap))) from None


def _locate_entries(node: yaml.Node, where: Where, path: str) -> dict[str, Node]:
    entries: dict[str, Node] = {}
    for key_node, value_node in node.value:
        place = _place(where, key_node.start_mark)
        if not isinstance(key_node, yaml.ScalarNode):
            raise InputError(_message(place, path, "a key must be text, not a list or a mapping"))
        key = _without_traps(read_key, key_node, place, path)
        if key in entries:
            twice = f"this key is written twice (first: {entries[key].key_where})"
            raise InputError(_message(place, join(path, key), twice))
        entries[key] = _locate(value_node, where, join(path, key), place)
    return entries


def join(path: str, key: str) -> str:
    """Return the key path one level below a path."""
    return f"{path}.{key}" if path else key


class Trap(ValueError):
    """A value that YAML reads otherwise than it looks; the text is the problem in words."""


def read_scalar(node: yaml.ScalarNode) -> Scalar:
    """Return the value of a YAML scalar.

    Raises:
        Trap: it is not what it looks like, or nothing that a spec can hold.
    """
    # PyYAML has resolved the kind by the rules of YAML 1.1. Quoted text is text; plain text that these rules read
    # otherwise than it looks is refused.
    text = str(node.value)
    _refuse_control_characters(text)
    if node.style is not None:
        return text
    if text.lower() in _WORDS_FOR_TRUTH:
        truth = _WORDS_FOR_TRUTH[text.lower()]
        raise Trap(f"YAML 1.1 reads {text} as {truth}; write '{text}' in quotes for the text, or {truth}")
    kind = node.tag.removeprefix(YAML_TAGS)
    if kind in _UNUSED:
        raise Trap(_UNUSED[kind].format(text))
    if kind in ("int", "float") and ":" in text:
        raise Trap(f"YAML 1.1 reads {text} in base 60; write '{text}' in quotes for the text")
    return _READERS[kind](text)


def read_key(node: yaml.ScalarNode) -> str:
    """Return a key. Whole numbers become their digits, so that raw ids of labels need no quotes.

    Raises:
        Trap: the key is neither text nor a whole number.
    """
    key = read_scalar(node)
    if isinstance(key, str) and not key.isprintable():
        raise Trap(f"{key!r} was given; a key is one line of printable characters")
    if isinstance(key, bool) or not isinstance(key, int | str):
        raise Trap(f"a key must be text, and YAML does not read {node.value} as text; write '{node.value}' in quotes")
    return str(key)


def _refuse_control_characters(text: str) -> None:
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t":
            sign, name = ESCAPES.get(character, ("", ""))
            cure = f"in double quotes {sign} stands for {name}; put a path in single quotes" if sign else "remove it"
            raise Trap(f"the text holds the character U+{ord(character):04X}, which a spec cannot hold; {cure}")


def _read_text(text: str) -> str:
    if exponent := _EXPONENT.fullmatch(text):
        # The spelling that YAML 1.1 reads as a number has a dot, and a sign before the exponent.
        sign, mantissa, exponent_sign, digits = exponent.groups()
        whole, _, fraction = mantissa.partition(".")
        dotted = f"{sign}{whole or '0'}.{fraction or '0'}e{exponent_sign or '+'}{digits}"
        raise Trap(f"YAML 1.1 reads {text} as text; write {dotted} for the number, or '{text}' for the text")
    if _LEADING_ZERO.fullmatch(text):
        raise Trap(_about_zero(text))
    return text


def _about_zero(text: str) -> str:
    number = re.sub(r"^([-+]?)0+(?=[0-9])", r"\1", text)
    return f"YAML 1.1 reads numbers that begin with 0 as octal; write {number} for the number, or '{text}' for the text"


def _read_integer(text: str) -> int:
    if _INTEGER.fullmatch(text):
        return int(text)
    if _LEADING_ZERO.fullmatch(text):
        raise Trap(_about_zero(text))
    shown = text if len(text) <= _SHOWN_DIGITS else f"{text[:_SHOWN_DIGITS]}..."
    raise Trap(f"{shown} is no plain whole number; write it in decimal digits (18 at most), without _")


def _read_float(text: str) -> float:
    if not _FLOAT.fullmatch(text):
        raise Trap(f"{text} is no plain finite number; write it like 0.001 or 1.0e-3, without _")
    if not math.isfinite(float(text)):
        raise Trap(f"{text} is too large for a number")
    return float(text)


def _read_null(text: str) -> None:
    if not text:
        raise Trap("nothing is written here; write {} for no settings, or null for no value")


_READERS: Mapping[str, Callable[[str], Scalar]] = {
    "str": _read_text,
    "bool": lambda text: text.lower() == "true",
    "int": _read_integer,
    "float": _read_float,
    "null": _read_null,
}
