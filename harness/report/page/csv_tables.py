"""CSV as text, and the CSV tables of a report: fractions; an empty cell is a value that nothing defines.

Spreadsheets run a cell that begins like a formula: none of ours does, whatever a class is called.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence

from harness.records import Progress, RunResult
from harness.report.study.claims import Claim
from harness.report.study.file_names import epochs_name
from harness.report.study.record import Estimate, Report
from harness.stats.verdicts import CORRECTION

Cell = str | int | float | None
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""How cells begin that a spreadsheet runs (OWASP, CSV injection)."""
SPECIAL = frozenset(',"\r\n')
"""What cannot stand in a cell without quotes (RFC 4180)."""
CLAIMED = ("low", "high", "p_adjusted", "correction", "outcome")


def make_tables(report: Report, results: Mapping[str, RunResult]) -> dict[str, str]:
    """Return file name -> CSV text of every table that the report lists."""
    over_seeds = ["mean", "sd", "num_seeds", *(f"seed{seed}" for seed in report.seeds)]
    epochs = {
        epochs_name(variant, seed.seed): _epochs(results[seed.run_id].history)
        for variant in report.variants
        for seed in variant.seeds
        if seed.epochs
    }
    return {
        "scores.csv": csv_text(["variant", "split", "score", *over_seeds], _estimates(report, "scores")),
        "iou_class.csv": csv_text(["variant", "split", "class", *over_seeds], _estimates(report, "iou_class")),
        "differences.csv": csv_text(
            ["variant", "reference", "kind", "split", "name", *over_seeds, "within_spread", *CLAIMED],
            _differences(report),
        ),
        "changes.csv": csv_text(["variant", "other", "setting", "before", "value"], _changes(report)),
        **epochs,
    }


def _estimates(report: Report, kind: str) -> list[list[Cell]]:
    return [
        [variant.name, split, name, *_over_seeds(report, estimate)]
        for variant in report.variants
        for split, by_name in getattr(variant, kind).items()
        for name, estimate in by_name.items()
    ]


def _over_seeds(report: Report, estimate: Estimate) -> list[Cell]:
    values = dict(zip(estimate.seeds, estimate.values, strict=True))
    return [estimate.mean, estimate.sd, len(values), *(values.get(seed) for seed in report.seeds)]


def _differences(report: Report) -> list[list[Cell]]:
    """Return the differences to the reference, with interval and outcome where there is a claim about them."""
    claimed = {
        (item.variant, item.split, claim.measure): _claimed(claim)
        for item in report.comparisons
        if item.against == report.reference
        for claim in (item.headline, *item.classes)
    }
    rows: list[list[Cell]] = []
    for variant in report.variants:
        deltas = {"score": variant.delta.scores, "iou_class": variant.delta.iou_class} if variant.delta else {}
        for kind, by_split in deltas.items():
            for split, by_name in by_split.items():
                for name, found in by_name.items():
                    claim = claimed.get((variant.name, split, name), [None] * len(CLAIMED))
                    about = (variant.name, report.reference, kind, split, name, *_over_seeds(report, found))
                    rows.append([*about, str(found.within_spread).lower(), *claim])
    return rows


def _claimed(claim: Claim) -> list[Cell]:
    correction = None if claim.p_adjusted is None else CORRECTION.name
    return [claim.low, claim.high, claim.p_adjusted, correction, claim.outcome]


def _changes(report: Report) -> list[list[Cell]]:
    """Return each variant's changes to the one it was written from, then its differences to the reference."""
    return [
        [variant.name, other, change.key, _value(change.before), _value(change.value)]
        for variant in report.variants
        for other, changes in dict(
            [(report.reference, variant.differs), (variant.settings_from, variant.changed)]
        ).items()
        for change in changes
    ]


def _value(value: object) -> Cell:
    """Return a number as it is, and any other setting's value as JSON."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else json.dumps(value)


def _epochs(history: Sequence[Progress]) -> str:
    """Return every metric of every epoch; `improved` is 1 where the epoch was the best so far."""
    names = list(dict.fromkeys(name for item in history for name in item.metrics))
    rows = [[item.epoch, int(item.improved), *(item.metrics.get(name) for name in names)] for item in history]
    return csv_text(["epoch", "improved", *names], rows)


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """Return a table as CSV; an empty cell is a value that nothing defines.

    Text that begins like a formula gets a `'` in front; numbers are written as they are, negative ones too.
    """
    return "".join(",".join(map(_write_cell, row)) + "\n" for row in (header, *rows))


def _write_cell(cell: Cell) -> str:
    if isinstance(cell, str):
        guarded = f"'{cell}" if cell.startswith(FORMULA) else cell
        # Python's own writer leaves a carriage return without quotes, and every reader ends the row there
        return '"' + guarded.replace('"', '""') + '"' if not SPECIAL.isdisjoint(guarded) else guarded
    return "" if cell is None or not math.isfinite(cell) else str(cell)
