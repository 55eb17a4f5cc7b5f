"""CSV as text. Spreadsheets run a cell that begins like a formula: none of ours does, whatever a class is called."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

Cell = str | int | float | None
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""How cells begin that a spreadsheet runs (OWASP, CSV injection)."""
SPECIAL = frozenset(',"\r\n')
"""What cannot stand in a cell without quotes (RFC 4180)."""


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """Return a table as CSV; an empty cell is a value that nothing defines.

    Text that begins like a formula gets a `'` in front; numbers are written as they are, negative ones too.
    """
    return "".join(",".join(map(_write, row)) + "\n" for row in (header, *rows))


def _write(cell: Cell) -> str:
    if isinstance(cell, str):
        guarded = f"'{cell}" if cell.startswith(FORMULA) else cell
        # Python's own writer leaves a carriage return without quotes, and every reader ends the row there
        return '"' + guarded.replace('"', '""') + '"' if not SPECIAL.isdisjoint(guarded) else guarded
    return "" if cell is None or not math.isfinite(cell) else str(cell)
