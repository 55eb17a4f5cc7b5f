"""Page -> HTML: one file that loads nothing, with tables that can be sorted, exact values, charts for pictures."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from harness.report.page import model
from harness.report.page.viewer import TEMPLATES, png_uri

MOST_FIGURE_BYTES = 3_000_000
"""Figures beyond this sum are named instead of embedded."""
BREAKS = re.compile(r"(?<=,) | (?=\()")
BRACKETS = re.compile(r"\([^()]*\)")
SMALL, NUMBER, HEAT = ' class="small"', ' class="number"', ' class="heat"'


def render_html(page: model.Page, folder: Path) -> str:
    """Return the page; figures are read below `folder`. The same page and figures give the same text.

    Nothing is loaded from elsewhere: styles, script and pictures are in the page.

    Raises:
        OSError: a figure cannot be read.
    """
    templates = files("harness.report") / "templates"
    style, script = ((templates / name).read_text(encoding="utf-8").strip() for name in ("report.css", "report.js"))
    pictures, blocks = _embed(page, folder), page.blocks
    # The contents list what begins with a heading of level 2; what stands before the first one is the answer.
    heads = {k: block.text for k, block in enumerate(blocks) if isinstance(block, model.Heading) and block.level == 2}
    ends = [*heads, len(blocks)]
    return TEMPLATES.get_template("report.html.j2").render(
        title=_plain(page.title),
        question=_inline(page.question),
        lead=_render(blocks[: ends[0]], "", pictures),
        sections=[
            (_inline(heads[start]), _render(blocks[start + 1 : end], _plain(heads[start]), pictures))
            for start, end in pairwise(ends)
        ],
        style=style,
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _embed(page: model.Page, folder: Path) -> dict[str, str]:
    """Return file -> HTML for the pictures that nothing stands in place of."""
    found, spent = {}, 0
    for block in model.walk(page.blocks):
        if isinstance(block, model.Figure) and block.instead is None:
            label, data = escape(_plain(block.alt)), (folder / block.file).read_bytes()
            spent += len(data)
            if spent <= MOST_FIGURE_BYTES:
                found[block.file] = f'<figure class="picture"><img src="{png_uri(data)}" alt="{label}"></figure>'
            else:
                found[block.file] = f"<p>{label}: {escape(block.file)}, too large for this page.</p>"
    return found


def _render(blocks: Iterable[model.Block | model.Fragment], caption: str, pictures: Mapping[str, str]) -> str:
    """Return blocks as HTML; `caption` is what was said last, which is what a table without a caption is about."""
    parts = []
    for block in blocks:
        match block:
            case model.Table():
                parts.append(_table(block, caption))
            case model.Figure(file, _, instead):
                parts.append(pictures[file] if instead is None else _render(instead, caption, pictures))
            case model.Details(summary, inside):
                body = _render(inside, _plain(summary), pictures)
                parts.append(f"<details><summary>{_inline(summary)}</summary>\n{body}\n</details>")
            case model.Fragment(html):
                parts.append(html)
            case _:
                parts.append(_words(block))
                caption = _plain(block.items[-1] if isinstance(block, model.Bullets) else block.text)
    return "\n".join(parts)


def _words(block: model.Heading | model.Text | model.Bullets | model.Code) -> str:
    match block:
        case model.Heading(text, level):
            return f"<h{level}>{_inline(text)}</h{level}>"
        case model.Text(text, is_small):
            return f"<p{SMALL if is_small else ''}>{_inline(text)}</p>"
        case model.Bullets(items):
            return "\n".join(["<ul>", *(f"<li>{_inline(item)}</li>" for item in items), "</ul>"])
        case model.Code(text, language):
            return f'<pre><code class="language-{language}">{escape(text.rstrip())}\n</code></pre>'


def _table(table: model.Table, caption: str) -> str:
    is_hot = any(cell.heat is not None for row in table.rows for cell in row)
    titled = f"<caption><span>{escape(table.caption)}</span></caption>"
    titled = titled if table.caption else f'<caption class="unseen">{escape(caption)}</caption>'
    head = "".join(
        f'<th scope="col"{NUMBER if place >= table.numeric_from else ""}>{_inline(text, _keep_brackets)}</th>'
        for place, text in enumerate(table.header)
    )
    rows = "\n".join(
        f"<tr>{''.join(_cell(cell, place, place >= table.numeric_from) for place, cell in enumerate(row))}</tr>"
        for row in table.rows
    )
    return (
        f'<div class="scroll"><table{HEAT if is_hot else ""}>\n{titled}\n<thead>\n<tr>{head}</tr>\n</thead>\n'
        f"<tbody>\n{rows}\n</tbody>\n</table></div>"
    )


def _cell(cell: model.Cell, place: int, is_number: bool) -> str:
    """Return one cell; that of the first column is the heading of its row."""
    verdict = "verdict" if cell.tone and cell.heat is None else ""
    looks = " ".join(filter(None, ["number" if is_number else "", verdict, cell.tone]))
    told = f' class="{looks}"' if looks else ""
    told += "" if cell.exact is None else f' title="{escape(cell.exact)}"'
    told += "" if cell.heat is None else f' style="--heat:{cell.heat:.2f}"'
    if place == 0:
        return f'<th{told} scope="row">{_inline(cell.text)}</th>'
    return f"<td{told}>{_inline(cell.text, _let_break)}</td>"


def _keep_brackets(text: str) -> str:
    """Keep what stands in brackets on one line."""
    return BRACKETS.sub(lambda found: found[0].replace(" ", "\N{NO-BREAK SPACE}"), text)


def _let_break(text: str) -> str:
    """Let a line of numbers break before a bracket and after a comma, and nowhere else."""
    return BREAKS.sub(" <wbr>", text)


def _render_text(_: object, tokens: Sequence[Token], place: int, __: object, env: Mapping[str, Any]) -> str:
    fit: Callable[[str], str] = env.get("fit", str)
    return fit(escape(tokens[place].content))


_MARKDOWN = MarkdownIt("commonmark", {"html": False})
_MARKDOWN.add_render_rule("text", _render_text)


def _inline(text: str, fit: Callable[[str], str] = str) -> str:
    """Return inline Markdown as HTML; HTML in it is text. `fit` says where lines may break."""
    return str(_MARKDOWN.renderInline(text, {"fit": fit}))


def _plain(text: str) -> str:
    """Return the words of inline Markdown, without emphasis and escapes."""
    return "".join(token.content for token in _MARKDOWN.parseInline(text)[0].children or ())
