"""Options that several commands share, and what becomes of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.errors import InputError

if TYPE_CHECKING:
    from harness.records import Plan, RunResult
    from harness.spec.load import Spec
    from harness.store.protocol import Store

SpecFile = Annotated[Path, typer.Argument(metavar="SPEC", help="A study in YAML.", show_default=False)]
Profile = Annotated[str | None, typer.Option(metavar="NAME", help="Use a profile of the spec.", show_default=False)]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change a setting of the base; may be repeated.", show_default=False
    ),
]
Seeds = Annotated[
    str | None, typer.Option(metavar="0,1,2", help="Seeds, instead of those of the spec.", show_default=False)
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        metavar="VARIANT", help="Only this variant and those it starts from; may be repeated.", show_default=False
    ),
]
Jobs = Annotated[
    int | None, typer.Option(min=1, help="Runs at once [default: what fills the machine].", show_default=False)
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Root = Annotated[Path, typer.Option(metavar="FOLDER", help="Where runs and the default tracking store are kept.")]
Uri = Annotated[
    str | None,
    typer.Option(
        metavar="URI",
        help="MLflow tracking store [default: $MLFLOW_TRACKING_URI, or below --root].",
        show_default=False,
    ),
]
Reports = Annotated[Path, typer.Option(metavar="FOLDER", help="Where reports are written.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

DEFAULT_ROOT = Path("mlruns")
DEFAULT_REPORTS = Path("reports")


def read_spec(spec: Path, profile: str | None, set_: list[str] | None, seeds: str | None) -> Spec:
    """Read a study as the options change it."""
    from harness import api

    return api.load_spec(spec, profile=profile, overrides=set_ or (), seeds=_parse_seeds(seeds))


def _parse_seeds(text: str | None) -> list[int] | None:
    if text is None:
        return None
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() for word in words) or len(set(words)) != len(words):
        raise InputError(f"--seeds {text}: give distinct whole numbers joined by commas, such as 0,1,2")
    return [int(word) for word in words]


def warn(text: str) -> None:
    """Tell the user of something that stops nothing."""
    print(f"warning: {text}", file=sys.stderr)


def attach_report(store: Store, study: str, folder: Path) -> None:
    """Keep a written report in the store; a store that fails is a warning."""
    from harness.store.protocol import StoreError

    try:
        store.attach_report(study, folder)
    except StoreError as error:
        warn(f"{error}; the report is in {folder}, and harness sync {study} brings it to the store")


def print_results(study: Plan, results: dict[str, RunResult], report: Path, *, as_json: bool) -> None:
    """Print what became of a study's runs, and where the report is."""
    rows = [
        {"id": run.id, "variant": run.variant, "seed": run.seed, **_outcome(results.get(run.id))} for run in study.runs
    ]
    if as_json:
        print(json.dumps({"study": study.study, "report": str(report), "runs": rows}, indent=2))
        return
    finished = sum(row["status"] == "finished" for row in rows)
    print(f"{finished} of {len(rows)} runs are finished; report: {report}")


def _outcome(result: RunResult | None) -> dict[str, Any]:
    if result is None:
        return {"status": "to do", "reason": ""}
    return {"status": result.status, "reason": result.reason, "best_epoch": result.best_epoch}
