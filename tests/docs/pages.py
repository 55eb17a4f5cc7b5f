"""Documentation pages, read: their fenced blocks with what is said of each, their links, anchors and inline code.

A comment line above a block, which readers do not see, says how it is tested:
`<!-- not run: REASON -->`; `<!-- file: NAME -->`: the block is that file; `<!-- in: NAME -->`: the block's keys stand
in that spec in place of its own; `<!-- here: A -> B -->`: B is run instead of A (smaller, or another port);
`<!-- exit: N -->`: it ends with that code; `<!-- serves -->`: it runs until the page ends, and answers at its `--port`.
A block of language `text` is what the block before it prints: its words are compared, its numbers are not.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
MARK = re.compile(r"<!-- (not run|file|in|here|exit|serves)(?:: (.*?))? -->")
LANGUAGES = ("bash", "yaml", "python", "text")
_PARSER = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    language: str
    text: str
    line: int
    marks: dict[str, str]
    here: list[tuple[str, str]] = field(default_factory=list)
    """Replacements before it is run."""

    @property
    def shortened(self) -> str:
        """Return the text as it is run."""
        text = self.text
        for before, after in self.here:
            assert before in text, f"line {self.line}: '{before}' is not in the block"
            text = text.replace(before, after)
        return text


@dataclass(frozen=True)
class Page:
    """A page of the documentation."""

    path: Path
    blocks: list[Block]
    code: list[str]
    """Inline code."""
    links: list[str]
    """Targets of links and pictures, without those into the web."""
    anchors: set[str]
    """What a link to a heading of this page may end with."""


def read_page(path: Path) -> Page:
    """Read a page."""
    blocks, code, links, anchors = [], [], [], set()
    marks: list[tuple[str, str]] = []
    tokens = _PARSER.parse(path.read_text())
    for index, token in enumerate(tokens):
        if token.type == "html_block":
            marks += MARK.findall(token.content)
        elif token.type == "fence":
            here = [(before, after) for kind, text in marks if kind == "here" for before, after in [text.split(" -> ")]]
            others = {kind: text for kind, text in marks if kind != "here"}
            blocks.append(Block(token.info, token.content, token.map[0] + 1, others, here))
            marks = []
        elif token.type == "heading_open":
            anchors.add(_slug(tokens[index + 1].content))
        for child in token.children or ():
            if child.type == "code_inline":
                code.append(child.content)
            target = str(child.attrGet("href") or child.attrGet("src") or "")
            if target and not re.match(r"https?://|mailto:", target):
                links.append(target)
    return Page(path, blocks, code, links, anchors)


def _slug(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
