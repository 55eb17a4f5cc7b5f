"""What the command line prints for people or, as JSON, for programs: plans, parts, stores and audits of data."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.padding import Padding
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from harness.cli.options import print_json
from harness.execute.disk_forecast import DiskForecast
from harness.execute.probe import Forecast
from harness.files import describe_bytes
from harness.records import Plan, Run
from harness.registry import Part
from harness.spec.plan_json import plan_to_json
from harness.spec.reference import type_text
from harness.tracking.garbage import Garbage, Inventory

if TYPE_CHECKING:
    from harness.audit.measure import Listener
    from harness.audit.run import DataAudit

PIPE_WIDTH = 160
MOST_DRAWN = 500
"""Runs of a plan up to which its table has frames and folds long cells; drawing takes a millisecond a run."""
REFERENCE, SAME = "(the reference)", "the same"
COLUMNS = ("id", "variant", "seed", "starts from", "differs from its reference in", "state")


def _console() -> Console:
    """Return a console on stdout; where that is no terminal, lines are long enough for other programs to cut."""
    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False)


def print_plan(
    plan: Plan, done: Collection[str], forecast: Forecast | None, disk: DiskForecast, *, as_json: bool
) -> None:
    """Print a plan's runs, then what they will not show and cost; `done` holds the ids of those that are finished."""
    if as_json:
        entries = plan_to_json(plan)
        for entry in entries["runs"]:
            entry["done"] = entry["id"] in done
        print_json({**entries, "forecast": forecast, "disk": disk})
        return
    console = _console()
    console.print(Text(f"{plan.study}: {plan.question}"))
    groups = _plan_rows(plan, done)
    if len(plan.runs) <= MOST_DRAWN:
        console.print(_draw_table(groups))
    else:
        print(_align([COLUMNS, *(row for rows in groups for row in rows)]))
    left = len({run.id for run in plan.runs} - set(done))
    console.print(f"{len(plan.runs)} runs, {left} to do")
    for sentence in plan.left_out:
        console.print(Text(sentence))
    for concern in plan.concerns or ():
        console.print(Text.assemble((f"{concern.code}: ", "bold"), concern.text))
        console.print(Padding(Text(f"-> {concern.remedy}"), (0, 0, 0, 2), expand=False))
    if forecast:
        _print_forecast(console, forecast)


def _plan_rows(plan: Plan, done: Collection[str]) -> list[list[tuple[str, ...]]]:
    """Return the cells of each run, the runs of a variant together."""
    labels = {run.id: run.label for run in plan.runs}
    by_variant: dict[str, list[Run]] = {}
    for run in plan.runs:
        by_variant.setdefault(run.variant, []).append(run)
    return [
        [
            (
                run.id,
                run.variant,
                str(run.seed),
                f"{labels.get(run.start.run_id, run.start.run_id)}@{run.start.which}" if run.start else "-",
                _changes(run) if run is runs[0] else SAME,
                "done" if run.id in done else "to do",
            )
            for run in runs
        ]
        for runs in by_variant.values()
    ]


def _draw_table(groups: Sequence[Sequence[tuple[str, ...]]]) -> Table:
    table = Table(*COLUMNS)
    for rows in groups:
        for row in rows:
            table.add_row(*(Text(cell, style="dim" if cell in (SAME, REFERENCE) else "") for cell in row))
        table.add_section()
    return table


def _align(rows: Sequence[tuple[str, ...]]) -> str:
    """Return a line for each row, its cells as wide as the widest of their column; further lines of a cell follow."""
    lines = [part for row in rows for part in zip_longest(*(cell.split("\n") for cell in row), fillvalue="")]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    form = "  ".join(f"{{:<{width}}}" for width in widths)
    return "\n".join(form.format(*line).rstrip() for line in lines)


def _print_forecast(console: Console, forecast: Forecast) -> None:
    table = Table("variant", "minutes a run", "peak memory", "on disk")
    for name, cost in forecast.costs.items():
        table.add_row(Text(name), f"{cost.seconds / 60:.1f}", _mib(cost.memory_bytes), _mib(cost.kept_bytes))
    console.print(table)
    console.print(
        f"forecast: {forecast.runs} runs, {forecast.jobs} at once: {forecast.seconds / 3600:.2f} hours,"
        f" {_mib(forecast.memory_bytes)} of memory, {_mib(forecast.disk_bytes)} on disk"
    )


def print_inventory(inventory: Inventory) -> None:
    """Print what a store holds: first what it comes to, then a line a study."""
    console, studies = _console(), inventory.studies
    console.print(
        f"{len(studies)} {'study' if len(studies) == 1 else 'studies'}, "
        f"{inventory.runs} {'run' if inventory.runs == 1 else 'runs'}, "
        f"{describe_bytes(inventory.bytes)}; {describe_bytes(inventory.removable_bytes)} can be freed by harness gc, "
        f"{describe_bytes(inventory.free_bytes)} are free on the disk"
    )
    table = Table("study", "finished", "size", "stale runs")
    for item in studies:
        finished = f"{item.finished} of {item.runs}"
        table.add_row(Text(item.study), finished, describe_bytes(item.bytes), str(item.stale or "-"))
    if studies:
        console.print(table)


def print_garbage(found: Sequence[Garbage], *, removed: bool) -> None:
    """Print what was removed, or would be: first how much, then a line a thing."""
    console, size = _console(), describe_bytes(sum(item.bytes for item in found))
    if not found:
        console.print("nothing to remove: all that is here is needed by a study on record")
        return
    kinds = ", ".join(f"{number} x {kind}" for kind, number in Counter(item.kind for item in found).items())
    console.print(f"{size} freed: {kinds}" if removed else f"{size} can be freed, without --dry-run: {kinds}")
    for item in found:
        about = f" of {item.about}" if item.about else ""
        console.print(Text(f"{item.kind}{about}: {item.path}, {describe_bytes(item.bytes)}"), soft_wrap=True)


def _mib(count: int) -> str:
    return f"{count / 2**20:.0f} MiB"


def _changes(run: Run) -> str:
    if not run.settings_from:
        return REFERENCE
    lines = [f"{key}: {_short(before)} -> {_short(after)}" for key, (before, after) in run.changed.items()]
    return "\n".join([f"{run.settings_from}:", *lines])


def _short(value: Any) -> str:
    return "-" if value is None else json.dumps(value, ensure_ascii=False)


def print_parts(parts: Sequence[Part], *, in_full: bool, as_json: bool) -> None:
    """Print parts, a line each, or in full: docstring and every setting with type, default and meaning."""
    if as_json:
        keys = ("kind", "name", "plugin", "version", "doc")
        told = [({key: getattr(part, key) for key in keys}, part.schema.model_json_schema()) for part in parts]
        print_json([{**about, "settings": schema} for about, schema in told])
        return
    console = _console()
    if not in_full:
        table = Table("kind", "name", "settings and defaults", "what it does")
        for part in parts:
            fields = part.schema.model_fields.items()
            settings = [name if field.is_required() else f"{name}={field.default}" for name, field in fields]
            table.add_row(part.kind, part.name, Text(", ".join(settings)), Text(part.doc.splitlines()[0]))
        console.print(table)
        return
    for part in parts:
        mark = f" (plugin {part.plugin}, {part.place})" if part.plugin else ""
        console.print(Text(f"{part.kind} {part.name}{mark}", style="bold"))
        console.print(Text(part.doc + "\n"))
        table = Table("setting", "type", "default", "meaning")
        for name, schema in part.schema.model_json_schema()["properties"].items():
            default = json.dumps(schema["default"]) if "default" in schema else "(required)"
            table.add_row(name, Text(type_text(schema)), Text(default), Text(schema.get("description", "")))
        console.print(table)


def print_audit(found: DataAudit, folder: Path) -> None:
    """Print the findings of an audit, most serious first, then its tables; `folder` is where the rest lies."""
    from harness.audit.run import describe_colours, make_tables, summarise

    console, styles = _console(), {"error": "bold red", "warning": "yellow", "note": "dim"}
    console.print(Text(f"{found.name} {found.audit.root}".strip(), style="bold"))
    for finding in found.findings:
        line = Text(f"{finding.level}: ", style=styles[finding.level])
        console.print(line.append(finding.told, style="default"), soft_wrap=True)
    for item in make_tables(found.audit, found.proposals):
        table = Table(title=item.caption, title_justify="left")
        for place, text in enumerate(item.header):
            table.add_column(Text(text), justify="right" if place else "left")
        for row in item.rows:
            table.add_row(*(Text(cell.text) for cell in row))
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
