"""The calibration in four short tables, made of benchmarks/calibration.md: `python -m benchmarks.calibration_digest`.

They stand in docs/statistics.md (a test holds them together). Cells that hold several numbers are those of 2, 3, 5 and
10 seeds; of several worlds, or of several rows of one, the worst is shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

ROWS = Path(__file__).with_suffix("").with_name("calibration.md")
Row = dict[str, str]
"""Name of a column -> its cell."""
SEEDS = ("2", "3", "5", "10")
NOTHING = "–"
Pick = Callable[[Sequence[float]], float]
"""`min` or `max`."""


def read_rows(text: str, heading: str) -> list[Row]:
    """Return the rows of the table under a heading of level 2."""
    part = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in part.splitlines() if line[:1] == "|"]
    return [dict(zip(lines[0], cells, strict=True)) for cells in lines[2:]]


def numbers(rows: Sequence[Row], *columns: str) -> list[float]:
    """Return the numbers in some columns, that of a worst comparison, which stands in brackets, left out."""
    cells = [re.sub(r"\(.*\)", "", row[column]) for row in rows for column in columns]
    return [float(number) for cell in cells for number in re.findall(r"\d+\.\d+", cell)]


def worst(rows: Sequence[Row], column: str) -> list[float]:
    """Return the numbers in brackets of a column: the comparison that is covered least."""
    return [float(re.findall(r"\((.*)\)", row[column])[0]) for row in rows]


def short(value: float, digits: int = 3) -> str:
    """Return a share without its leading zero."""
    return f"{value:.{digits}f}".removeprefix("0")


def by_seeds(rows: Sequence[Row], columns: Sequence[str], pick: Pick, digits: int = 3) -> str:
    """Return the least or the largest number in some columns, for each number of seeds."""
    found = [numbers([row for row in rows if row["seeds"] == seeds], *columns) for seeds in SEEDS]
    if not any(found):
        return NOTHING
    return " / ".join(short(pick(shares), digits) if shares else NOTHING for shares in found)


def make_table(head: str, rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, *(f"| {' | '.join(cells)} |" for cells in rows)]
    lines.insert(1, "|---" * (head.count(" | ") + 1) + "|")
    return "\n".join(lines)


def many_worlds(text: str) -> str:
    """Return one row for each number of seeds, over all worlds of the large table."""
    rows, table = read_rows(text, "Many worlds"), []
    for seeds in SEEDS:
        chosen = [row for row in rows if row["seeds"] == seeds]
        column = "covers: variants differ (worst of 3)"
        covered, plain = numbers(chosen, column), numbers(chosen, "plain covers")
        cells = [
            seeds,
            str(len(chosen)),
            f"{short(min(covered))} to {short(max(covered))}",
            short(min(worst(chosen, column))),
            short(max(numbers(chosen, "false calls: headline"))),
            short(max(numbers(chosen, "class table"))) if seeds != "2" else "no verdict",
            f"{short(min(plain))} to {short(max(plain))}",
            short(min(numbers(chosen, "width / plain")), 2),
        ]
        table.append(cells)
    head = (
        "| seeds | worlds | covers | worst comparison | false headline: most | class table: most | plain covers | "
        "width / plain: least |"
    )
    return make_table(head, table)


def few_worlds(text: str) -> str:
    """Return one row for each world of few seeds, few groups and loud references."""
    rows, table = read_rows(text, "Few seeds, few groups, loud references"), []
    for name in dict.fromkeys((row["world"], row["groups"]) for row in rows):
        chosen = [row for row in rows if (row["world"], row["groups"]) == name]
        cells = [
            ", ".join(name),
            by_seeds(chosen, ["covers (worst comparison)"], min),
            by_seeds(chosen, ["false headline: equal, against the truth"], max),
            by_seeds(chosen, ["false class table: equal, against the truth"], max),
            by_seeds(chosen, ["finds 2 points, 5 points"], min, 2),
            by_seeds(chosen, ["finds 2 points, 5 points"], max, 2),
        ]
        table.append(cells)
    head = "| world, groups | covers | false headline | false class table | finds 2 points | finds 5 points |"
    return make_table(head, table)


def chains(text: str) -> str:
    """Return one row for each world of warm starts."""
    rows, table = read_rows(text, "Chains of warm starts"), []
    for name in dict.fromkeys(row["world, groups"] for row in rows):
        chosen = [row for row in rows if row["world, groups"] == name]
        cells = [
            name,
            by_seeds(chosen, ["covers: child less start (worst)"], min),
            by_seeds(chosen, ["two links and more (worst)"], min),
            by_seeds(chosen, ["false headline", "false start -> own training"], max),
            by_seeds(chosen, ["step said to have regressed"], max, 2),
        ]
        table.append(cells)
    head = "| world, groups | covers: child less start | two links and more | false families | finds a step of -2 |"
    return make_table(head, table)


def first_looks(text: str) -> str:
    """Return, for each number of seeds and difference, the world in which an undeclared first look loses most."""
    rows, table = read_rows(text, "First looks"), []
    for seeds in dict.fromkeys(row["looks"] for row in rows):
        cells = []
        for points in dict.fromkeys(row["true difference"] for row in rows):
            chosen = [row for row in rows if (row["looks"], row["true difference"]) == (seeds, points)]
            most = max(chosen, key=lambda row: float(row["lost"]))
            cells.append(f"{short(float(most['single look']))} to {short(float(most['first look']))}")
        table.append([seeds, *cells])
    return make_table("| first look | 1 point | 2 points | 5 points |", table)


DIGESTS: tuple[Callable[[str], str], ...] = (many_worlds, few_worlds, chains, first_looks)


def main() -> None:
    """Print the tables."""
    text = ROWS.read_text(encoding="utf-8")
    print("\n\n".join(digest(text) for digest in DIGESTS))


if __name__ == "__main__":
    main()
