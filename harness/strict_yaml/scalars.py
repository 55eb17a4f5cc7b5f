"""Single values of a spec. What YAML 1.1 reads otherwise than it looks is refused, with a spelling that works."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Mapping

import yaml

from harness.errors import ESCAPES

Scalar = None | bool | int | float | str

YAML_TAGS = "tag:yaml.org,2002:"
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"([-+]?)([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+][0-9]+)?")
_EXPONENT = re.compile(r"([-+]?)([0-9]+\.?[0-9]*|\.[0-9]+)[eE]([-+]?)([0-9]+)")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")
_SHOWN_CHARACTERS = 40
_TRUTH = {"true": True, "false": False}
_WORDS_FOR_TRUTH = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
_SPECIAL = {
    "timestamp": "reads {0} as a date",
    "value": "gives {0} a meaning of its own",
}


class Trap(ValueError):
    """A value that YAML reads otherwise than it looks; the text is the problem in words."""


def read_scalar(node: yaml.ScalarNode) -> Scalar:
    """Return the value of a YAML scalar.

    Raises:
        Trap: it is not what it looks like, or nothing that a spec can hold.
    """
    text = str(node.value)
    _refuse_control_characters(text)
    if node.style is not None:
        return text
    if text.lower() in _WORDS_FOR_TRUTH:
        truth = _WORDS_FOR_TRUTH[text.lower()]
        raise Trap(f"YAML 1.1 reads {text} as {truth}; write '{text}' in quotes for the text, or {truth}")
    kind = node.tag.removeprefix(YAML_TAGS)
    if kind == "merge":
        raise Trap("merge keys (<<) are not used in specs; write the settings out, or use `like`")
    if kind in _SPECIAL:
        raise Trap(f"YAML {_SPECIAL[kind].format(text)}; write '{text}' in quotes for the text")
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
    exponent = _EXPONENT.fullmatch(text)
    if exponent:
        raise Trap(f"YAML 1.1 reads {text} as text; write {_dotted(exponent)} for the number, or '{text}' for the text")
    if _LEADING_ZERO.fullmatch(text):
        raise Trap(_about_zero(text))
    return text


def _dotted(exponent: re.Match[str]) -> str:
    """Return the spelling of a number with an exponent that YAML 1.1 reads as a number: dot and sign are needed."""
    sign, mantissa, exponent_sign, digits = exponent.groups()
    whole, _, fraction = mantissa.partition(".")
    return f"{sign}{whole or '0'}.{fraction or '0'}e{exponent_sign or '+'}{digits}"


def _about_zero(text: str) -> str:
    number = re.sub(r"^([-+]?)0+(?=[0-9])", r"\1", text)
    return f"YAML 1.1 reads numbers that begin with 0 as octal; write {number} for the number, or '{text}' for the text"


def _read_truth(text: str) -> bool:
    return _TRUTH[text.lower()]


def _read_integer(text: str) -> int:
    if _INTEGER.fullmatch(text):
        return int(text)
    if ":" in text:
        raise Trap(f"YAML 1.1 reads {text} in base 60; write '{text}' in quotes for the text")
    if _LEADING_ZERO.fullmatch(text):
        raise Trap(_about_zero(text))
    shown = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
    raise Trap(f"{shown} is no plain whole number; write it in decimal digits (18 at most), without _")


def _read_float(text: str) -> float:
    if ":" in text:
        raise Trap(f"YAML 1.1 reads {text} in base 60; write '{text}' in quotes for the text")
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
    "bool": _read_truth,
    "int": _read_integer,
    "float": _read_float,
    "null": _read_null,
}
