"""Options that several commands share, and what becomes of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from typer import Argument, Option

from harness.errors import InputError

if TYPE_CHECKING:
    from harness.apply.choose import ChosenRun
    from harness.records import Plan, RunResult
    from harness.spec.load import Spec
    from harness.tracking.protocol import Store

SpecFile = Annotated[Path, Argument(metavar="SPEC", help="A study in YAML.")]
RunName = Annotated[
    str, Argument(metavar="RUN", help="STUDY/VARIANT@best, STUDY/VARIANT/seed1@last, a run id, or models:/NAME/1.")
]
Profile = Annotated[str | None, Option(metavar="NAME", help="Use a profile of the spec.")]


def _changes(told: str) -> Any:
    return Option("--set", metavar="KEY=VALUE", help=f"Change {told}; may be repeated.")


SetsOfBase = Annotated[list[str] | None, _changes("a setting of the base")]
Sets = Annotated[list[str] | None, _changes("a setting of the base, or of compare (nothing is trained anew)")]
SetsOfCompare = Annotated[list[str] | None, _changes("what is compared, such as compare.epoch=last")]
Seeds = Annotated[str | None, Option(metavar="0,1,2", help="Seeds, instead of those of the spec.")]
Only = Annotated[
    list[str] | None, Option(metavar="VARIANT", help="Only this variant and those it starts from; may be repeated.")
]
Jobs = Annotated[int | None, Option(min=1, help="Runs at once [default: what fills the machine].")]
GpusPerRun = Annotated[
    float | None, Option(help="GPUs of a run: 1, or a fraction, such as 0.25, to share one [default: 1].")
]
MaxHours = Annotated[
    float | None, Option(min=0, metavar="H", help="Stop after so many hours and report what there is.")
]
MaxRuns = Annotated[int | None, Option(min=1, metavar="N", help="Start so many runs and no more.")]
Until = Annotated[
    Literal["decided"] | None,
    Option(help="Add seeds, at the study's looks, to what is not decided yet; stop where more would not decide it."),
]
MaxSeeds = Annotated[
    int | None,
    Option(min=1, metavar="N", help="With --until: the most seeds of a variant [default: those of the last look]."),
]
RunTimeout = Annotated[
    str | None,
    Option(
        metavar="DURATION",
        help="End a run that takes longer, such as 90m or 2h; it has failed, the others go on [default: none].",
    ),
]
Device = Annotated[str, Option(help="auto, cpu, cuda or cuda:N.")]
On = Annotated[Literal["local", "ray"], Option(help="Where runs are made: on this machine or a Ray cluster.")]
Address = Annotated[
    str | None,
    Option(
        metavar="HOST:PORT", help="Ray cluster; auto: this machine's; local: make one [default: $RAY_ADDRESS, or auto]."
    ),
]
CpusPerRun = Annotated[float | None, Option(min=0, help="CPUs of a run on Ray [default: its threads].")]
Root = Annotated[Path, Option(metavar="FOLDER", help="Where runs and the default tracking store are kept.")]
Uri = Annotated[
    str | None, Option(metavar="URI", help="MLflow tracking store [default: $MLFLOW_TRACKING_URI, or below --root].")
]
UploadWeights = Annotated[
    bool,
    Option(
        "--upload-weights",
        help="Keep weights in MLflow also where its files are on this disk (as links); a server always has them.",
    ),
]
Reports = Annotated[Path, Option(metavar="FOLDER", help="Where reports are written.")]
AsJson = Annotated[bool, Option("--json", help="Print JSON for programs.")]


@contextmanager
def resumable() -> Iterator[None]:
    """Within it, an interrupt says how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        print("interrupted: the same command goes on where it was", file=sys.stderr)
        raise


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


def tell_run(chosen: ChosenRun) -> None:
    """Say which run is used, and how it was chosen among several."""
    print(f"run {chosen.label} ({chosen.run_id}){f'; {chosen.note}' if chosen.note else ''}", file=sys.stderr)


def check_place(on: str, jobs: int | None, address: str | None, cpus_per_run: float | None) -> None:
    """Refuse options that would have no effect where the runs are made."""
    for_ray = {"--address": address, "--cpus-per-run": cpus_per_run}
    given = [name for name, value in for_ray.items() if value is not None]
    if on == "local" and given:
        raise InputError(f"{given[0]} is an option for a Ray cluster; add --on ray")
    if on == "ray" and jobs is not None:
        raise InputError(
            "--jobs is an option for this machine; on a cluster as many runs go at once as it has room for"
        )


def parse_timeout(text: str | None) -> float | None:
    """Return the seconds of --run-timeout."""
    from harness.execute.time_limits import parse_duration

    return None if text is None else parse_duration("--run-timeout", text)


def print_json(value: Any) -> None:
    """Print plain data and records for programs."""
    print(json.dumps(value, indent=2, default=asdict))


def warn(text: str) -> None:
    """Tell the user of something that stops nothing."""
    print(f"warning: {text}", file=sys.stderr)


def attach_report(store: Store, study: str, folder: Path) -> None:
    """Keep a written report in the store; a store that fails is a warning."""
    from harness.tracking.protocol import StoreError
    from harness.tracking.server import sync_command

    try:
        store.attach(study, folder, "report")
    except StoreError as error:
        sync = sync_command(store.root, store.uri, study)
        warn(f"{error}; the report is in {folder}, and {sync} brings it to the store")


def print_results(study: Plan, results: dict[str, RunResult], report: Path, *, as_json: bool) -> None:
    """Print the answer to a study's question, what became of its runs, and where the report is."""
    rows = [
        {"id": run.id, "variant": run.variant, "seed": run.seed, **_outcome(results.get(run.id))} for run in study.runs
    ]
    try:  # a report of an older version has no answer
        answer = json.loads((report.parent / "report.json").read_text(encoding="utf-8")).get("answer", [])
    except (OSError, ValueError):
        answer = []
    if as_json:
        print_json({"study": study.study, "answer": answer, "report": str(report), "runs": rows})
        return
    for sentence in answer:
        print(sentence)
    finished = sum(row["status"] == "finished" for row in rows)
    print(f"{finished} of {len(rows)} runs are finished; report: {report}")


def _outcome(result: RunResult | None) -> dict[str, Any]:
    from harness.judged import is_inherited

    if result is None:
        return {"status": "to do", "reason": ""}
    best = None if is_inherited(result) else result.best_epoch
    return {"status": result.status, "reason": result.reason, "best_epoch": best}
