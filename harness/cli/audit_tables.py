"""What `harness data audit` prints, and how far it is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from harness.audit.measure import Listener
from harness.audit.page import describe_colours, make_tables, summarise
from harness.audit.run import DataAudit
from harness.cli.tables import PIPE_WIDTH

STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}


def print_audit(found: DataAudit, folder: Path) -> None:
    """Print the findings of an audit, most serious first, then its tables; `folder` is where the rest lies."""
    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False)
    console.print(Text(f"{found.name} {found.audit.root}".strip(), style="bold"))
    for finding in found.findings:
        line = Text(f"{finding.level}: ", style=STYLES[finding.level])
        console.print(line.append(finding.told, style="default"), soft_wrap=True)
    for item in make_tables(found.audit, found.proposals):
        table = Table(title=item.title, title_justify="left")
        for place, text in enumerate(item.header):
            table.add_column(Text(text), justify="right" if place else "left")
        for row in item.rows:
            table.add_row(*(Text(cell) for cell in row))
        console.print(table)
    console.print(Text(describe_colours(found.audit)), soft_wrap=True)
    console.print(Text(f"{summarise(found.findings)}; figures and every file's name: {folder}"), soft_wrap=True)


@contextmanager
def show_reading() -> Iterator[Listener]:
    """Yield a listener that, in a terminal, shows on stderr how many images are read."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("reading images", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
