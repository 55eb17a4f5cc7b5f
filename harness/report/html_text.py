"""The Markdown of a report as HTML: sections, tables that can be sorted and tell exact values, charts for pictures.

The words are those of `report.md`, so the two pages cannot disagree. Raw HTML is let through for the few tags that the
Markdown's own template writes; whatever else looks like HTML is shown as text.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

SUMMARY = re.compile(r"<details><summary>(.*)</summary>\s*", re.DOTALL)
PLAIN_TAGS = ("</details>", "<br>")
BREAKS = re.compile(r"(?<=,) | (?=\()")
BRACKETS = re.compile(r"\([^()]*\)")
REFERENCE = " (reference)"


@dataclass(frozen=True)
class Tip:
    """What a cell tells when it is pointed at, and how it is coloured."""

    text: str = ""
    look: str = ""
    """CSS class, such as `gain`."""
    heat: float | None = None
    """Strength of the class's colour, 0 to 1."""


Tips = Mapping[tuple[str, str], Tip]
"""(Name of the row, name of the column) -> tip; both as they are read."""


@dataclass(frozen=True)
class Section:
    """One part of the page under a heading; texts are HTML."""

    anchor: str
    title: str
    body: str


@dataclass(frozen=True)
class Page:
    """The page in parts; texts are HTML."""

    question: str
    lead: str
    """What stands before the first heading."""
    sections: tuple[Section, ...]


@dataclass(frozen=True)
class Extras:
    """What HTML has beyond Markdown."""

    pictures: Mapping[str, str] = field(default_factory=dict)
    """File name of a figure -> HTML that takes its place."""
    tips: Mapping[str, Tips] = field(default_factory=dict)
    """A table's Markdown -> tips for its cells."""


def convert(text: str, extras: Extras) -> Page:
    """Return a report's Markdown as HTML."""
    writer = MarkdownIt("commonmark", {"html": True}, renderer_cls=_Renderer).enable("table")
    tokens = writer.parse(text)
    _dress_tables(tokens, text.splitlines(), extras.tips)
    tokens = list(_replace_pictures(tokens, extras.pictures))
    starts = [place for place, token in enumerate(tokens) if token.type == "heading_open" and token.tag == "h2"]
    ends = [*starts[1:], len(tokens)]

    def render(part: Sequence[Token]) -> str:
        return str(writer.renderer.render(part, writer.options, {}))

    lead = tokens[: starts[0] if starts else len(tokens)]
    quote_end = next((place + 1 for place, token in enumerate(lead) if token.type == "blockquote_close"), 0)
    question = next((token for token in lead[:quote_end] if token.type == "inline" and token.level > 1), None)
    return Page(
        question=render([question]) if question else "",
        lead=render(lead[quote_end:]),
        sections=tuple(
            Section(f"part-{number}", render([tokens[start + 1]]), render(tokens[start + 3 : end]))
            for number, (start, end) in enumerate(zip(starts, ends, strict=True), 1)
        ),
    )


def _replace_pictures(tokens: Sequence[Token], pictures: Mapping[str, str]) -> Iterator[Token]:
    """Yield the tokens, each paragraph that is only a picture replaced by what the page has for it."""
    skip = 0
    for place, token in enumerate(tokens):
        if skip:
            skip -= 1
            continue
        children = (tokens[place + 1].children or []) if token.type == "paragraph_open" else []
        if len(children) == 1 and children[0].type == "image":
            name = str(children[0].attrs["src"]).removeprefix("figures/")
            yield Token("ready", "", 0, content=pictures.get(name, ""))
            skip = 2
        else:
            yield token


def _dress_tables(tokens: Sequence[Token], lines: Sequence[str], tips: Mapping[str, Tips]) -> None:
    """Give each table a caption, its first column the role of row headings, and its cells their tips."""
    heading = caption = ""
    for place, token in enumerate(tokens):
        if token.type == "inline":
            before = tokens[place - 1].type
            heading = token.content if before == "heading_open" else heading
            caption = read(token) if before in ("heading_open", "paragraph_open") else caption
        if found := SUMMARY.fullmatch(token.content) if token.type == "html_block" else None:
            caption = html.unescape(found[1]).replace("\\", "")
        if token.type == "table_open" and token.map:
            end = next(i for i in range(place, len(tokens)) if tokens[i].type == "table_close")
            source = "\n".join(lines[token.map[0] : token.map[1]]).rstrip()
            token.meta["caption"] = caption
            _dress_table(tokens[place:end], tips.get(source, {}))


def _dress_table(tokens: Sequence[Token], tips: Tips) -> None:
    columns: list[str] = []
    row, column = "", 0
    for place, token in enumerate(tokens):
        if token.type in ("th_open", "td_open") and "right" in str(token.attrs.pop("style", "")):
            token.attrs["class"] = "number"
        if token.type == "tr_open":
            column = 0
        elif token.type == "th_open":
            token.attrs["scope"] = "col"
            columns.append(read(tokens[place + 1]))
            _keep_brackets(tokens[place + 1])
        elif token.type == "td_open":
            text = read(tokens[place + 1])
            if column == 0:
                row = text.removesuffix(REFERENCE)
                token.tag = tokens[place + 2].tag = "th"
                token.attrs["scope"] = "row"
            else:
                _dress_cell(token, tips.get((row, columns[column]), Tip()))
                _let_break(tokens[place + 1])
            column += 1


def _dress_cell(token: Token, tip: Tip) -> None:
    if tip.text:
        token.attrs["title"] = tip.text
    if tip.look:
        token.attrs["class"] = f"{token.attrs.get('class', '')} {tip.look}".strip()
    if tip.heat is not None:
        token.attrs["style"] = f"--heat:{tip.heat:.2f}"


def _keep_brackets(head: Token) -> None:
    """Keep what stands in brackets on one line."""
    for child in head.children or ():
        child.content = BRACKETS.sub(lambda found: found[0].replace(" ", "\N{NO-BREAK SPACE}"), child.content)


def _let_break(cell: Token) -> None:
    """Let a line of numbers break before a bracket and after a comma, and nowhere else."""
    children: list[Token] = []
    for child in cell.children or ():
        pieces = BREAKS.split(child.content) if child.type == "text" else []
        children += [Token("text", "", 0, content=pieces[0]) if pieces else child]
        for piece in pieces[1:]:
            children += [Token("ready", "", 0, content=" <wbr>"), Token("text", "", 0, content=piece)]
    cell.children = children


def read(token: Token) -> str:
    """Return the words of an inline token, without emphasis and escapes."""
    return "".join(child.content for child in token.children or ())


class _Renderer(RendererHTML):
    """HTML of single tokens where it differs from CommonMark's; each method is named as the token's type."""

    def ready(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return tokens[idx].content

    def html_block(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        content = tokens[idx].content
        if found := SUMMARY.fullmatch(content):
            inner = MarkdownIt("commonmark", {"html": False}).renderInline(found[1])
            return f"<details><summary>{inner}</summary>\n"
        return content if content.strip() in PLAIN_TAGS else f"<p>{html.escape(content)}</p>"

    def html_inline(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        content = tokens[idx].content
        return content if content in PLAIN_TAGS else html.escape(content)

    def table_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        caption = html.escape(str(tokens[idx].meta.get("caption", "")))
        return f'<div class="scroll"><table>\n<caption class="unseen">{caption}</caption>\n'

    def table_close(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return "</table></div>\n"
