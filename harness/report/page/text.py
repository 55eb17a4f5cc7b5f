"""Pieces of Markdown: escaped text, code, tables, and numbers as readers want them (percent, few decimals)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

import yaml
from pydantic import JsonValue

from harness.report.study.record import Estimate

SPECIAL = re.compile(r"[\\`*\[\]|#~$!]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
NOTHING = "–"
SENTENCE_STARTS = ("each", "the", "val", "counted")
"""Words of our own that sentences begin with; anything else there is the name of a variant."""


def escape(text: str) -> str:
    """Return a user's text so that Markdown and HTML show it as it is, on one line."""
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return SPECIAL.sub(lambda found: f"\\{found.group()}", plain)


def code(text: str) -> str:
    """Return a text as code that may stand in a table."""
    plain = " ".join(text.split()).replace("|", "\\|")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", plain)), default=0))
    pad = " " if plain.startswith("`") or plain.endswith("`") else ""
    return f"{fence}{pad}{plain}{pad}{fence}" if plain else NOTHING


def fenced(text: str, language: str) -> str:
    """Return a block of code, whatever backticks are in it."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def setting(value: JsonValue) -> str:
    """Return a setting's value as a spec would write it on one line, as code."""
    if value is None:
        return NOTHING
    flow = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=1 << 20)
    return code(flow.removesuffix("\n").removesuffix("\n...").strip())


def table(header: Sequence[str], rows: Iterable[Sequence[str]], numeric_from: int = 1) -> str:
    """Return a table of ready Markdown cells; columns from `numeric_from` on are set to the right."""
    rule = [":--" if place < numeric_from else "--:" for place in range(len(header))]
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, rule, *rows))


def decimal(value: float | None, places: int = 1) -> str:
    """Return a number with few decimals."""
    return NOTHING if value is None else _minus(f"{round(value, places) + 0.0:.{places}f}")


def percent(value: float | None, places: int = 1) -> str:
    """Return a fraction as percent, without the sign."""
    return NOTHING if value is None else decimal(100 * value, places)


def points(value: float | None, places: int = 1) -> str:
    """Return a difference of fractions as percentage points, with its sign."""
    return NOTHING if value is None else _minus(f"{round(100 * value, places) + 0.0:+.{places}f}")


def mean_sd(estimate: Estimate | None, write: Callable[[float], str] = percent) -> str:
    """Return `mean ± sd` in percent; the two values of two seeds, the one of one."""
    if estimate is None or estimate.mean is None:
        return NOTHING
    if len(estimate.values) == 2:
        return " and ".join(map(write, estimate.values))
    return write(estimate.mean) + ("" if estimate.sd is None else f" ± {percent(estimate.sd)}")


def difference(estimate: Estimate | None) -> str:
    """Return `mean ± sd` in percentage points, the mean with its sign; of two seeds their two differences."""
    return mean_sd(estimate, points)


def capital(text: str) -> str:
    """Return a text that begins with a capital letter, but not a name: `phase3 differs` stays."""
    first = text.split(" ", 1)[0]
    return text[:1].upper() + text[1:] if first.isalpha() and first in SENTENCE_STARTS else text


def counted(number: int, noun: str) -> str:
    """Return `1 image`, `2 images`, `3 classes`."""
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{number:,} {noun if number == 1 else plural}"


def _minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")
