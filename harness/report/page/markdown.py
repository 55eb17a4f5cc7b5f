"""Page -> Markdown."""

from __future__ import annotations

from harness.report.page.model import Block, Bullets, Code, Details, Figure, Heading, Page, Table, Text
from harness.report.page.text import fenced, table


def render_markdown(page: Page) -> str:
    """Return the page. The same page gives the same text."""
    question = [f"> {page.question}"] if page.question else []
    return "\n\n".join([f"# {page.title}", *question, *map(_render, page.blocks)]) + "\n"


def _render(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {text}"
        case Text(text):
            return text
        case Bullets(items):
            return "\n".join(f"- {item}" for item in items)
        case Code(text, language):
            return fenced(text, language)
        case Table(header, rows, numeric_from):
            return table(header, [[cell.text for cell in row] for row in rows], numeric_from)
        case Figure(file, alt):
            return f"![{alt}]({file})"
        case Details(summary, blocks):
            return "\n\n".join([f"<details><summary>{summary}</summary>", *map(_render, blocks), "</details>"])
