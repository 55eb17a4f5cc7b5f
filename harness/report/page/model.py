"""A page as data. Sections of a report make it, and two renderers write it: Markdown and HTML.

Texts are inline Markdown (`**bold**`, `code`, links); what users wrote is escaped before it enters them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Tone = Literal["gain", "loss", "same", "open", "rise"]
"""How a cell is coloured: by a verdict, or by the direction of its number."""


@dataclass(frozen=True)
class Cell:
    """One cell of a table."""

    text: str
    exact: str | None = None
    """What stands behind a rounded number: plain text, several lines where there is more to tell."""
    tone: Tone | None = None
    heat: float | None = None
    """Strength of the colour, 0 to 1; None for a verdict, which has one strength."""


Row = Sequence[Cell | str]
"""Cells as sections write them; a text among them shows no rounded number."""


@dataclass(frozen=True)
class Heading:
    """A heading; those of level 2 begin the sections of the page."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    is_small: bool = False


@dataclass(frozen=True)
class Bullets:
    """A list without numbers."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Code:
    """Lines of code; the text is plain."""

    text: str
    language: str


@dataclass(frozen=True)
class Table:
    """A table whose first column names the rows; columns from `numeric_from` on are set to the right."""

    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numeric_from: int = 1
    caption: str = ""
    """Plain text above the table. HTML reads what stands before the table to the blind where there is none."""


@dataclass(frozen=True)
class Fragment:
    """Ready HTML, such as a chart."""

    html: str


@dataclass(frozen=True)
class Figure:
    """A picture in a file beside the page."""

    file: str
    alt: str
    instead: tuple[Block | Fragment, ...] | None = None
    """What HTML shows in place of the picture; None where it shows the picture."""


@dataclass(frozen=True)
class Details:
    """Blocks that are folded away below a line."""

    summary: str
    blocks: tuple[Block, ...]


Block = Heading | Text | Bullets | Code | Table | Figure | Details


@dataclass(frozen=True)
class Page:
    """A whole page."""

    title: str
    blocks: tuple[Block, ...]
    question: str = ""
    """What the page answers."""


def make_table(header: Sequence[str], rows: Iterable[Row], numeric_from: int = 1, caption: str = "") -> Table:
    """Return a table."""
    cells = tuple(tuple(Cell(cell) if isinstance(cell, str) else cell for cell in row) for row in rows)
    return Table(tuple(header), cells, numeric_from, caption)


def make_list(intro: str, items: Iterable[str]) -> Iterator[Block]:
    """Yield what introduces a list and the list; nothing where it has no item."""
    if found := tuple(items):
        yield from [Text(intro)] * bool(intro)
        yield Bullets(found)


def walk(blocks: Iterable[Block | Fragment]) -> Iterator[Block | Fragment]:
    """Yield all blocks, also those that are folded away or stand in place of a picture."""
    for block in blocks:
        yield block
        if isinstance(block, Details):
            yield from walk(block.blocks)
        if isinstance(block, Figure):
            yield from walk(block.instead or ())
