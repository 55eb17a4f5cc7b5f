"""`harness gate`: pass or fail, for pipelines."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from harness.cli.options import Profile, Seeds, Sets, read_spec, warn
from harness.errors import InputError
from harness.files import DEFAULT_REPORTS, DEFAULT_ROOT

GATE_FAILED = 3


def gate(
    study: Annotated[
        str, Argument(metavar="STUDY", help="A spec, judged as it is written; or a study's name, as last run.")
    ],
    max_drop: Annotated[
        float, Option(min=0.0, max=1.0, help="Largest drop of miou_dataset that is allowed (fraction).")
    ] = 0.01,
    baseline: Annotated[str | None, Option(metavar="VARIANT", help="Compared with [default: the reference].")] = None,
    variant: Annotated[
        list[str] | None, Option(metavar="VARIANT", help="Checked; may be repeated [default: all others].")
    ] = None,
    class_: Annotated[
        list[str] | None, Option("--class", metavar="NAME=DROP", help="Check the IoU of a class too; may be repeated.")
    ] = None,
    split: Annotated[str | None, Option(help="val or test [default: the study's primary split].")] = None,
    profile: Profile = None,
    set_: Sets = None,
    seeds: Seeds = None,
    root: Annotated[Path, Option(metavar="FOLDER", help="Where runs are kept.")] = DEFAULT_ROOT,
    tracking_uri: Annotated[str | None, Option(metavar="URI", help="MLflow tracking store.")] = None,
    reports: Annotated[Path, Option(metavar="FOLDER", help="Where gate.xml and gate.md go.")] = DEFAULT_REPORTS,
) -> None:
    """Check that variants are shown to be no worse than a baseline; exit code 3 where one is not.

    What cannot be shown does not pass, nor does what is not trained as the spec is written, or as the study was last
    run: a name needs the store alone, a spec its data too. Writes reports/STUDY/gate.xml (JUnit) and gate.md.
    Example: harness gate ablations/phase3.yaml --baseline baseline --max-drop 0.01 --class Sky=0.005
    """
    from harness import api
    from harness.files import write_text
    from harness.report.gate import make_gate, render_junit, render_summary

    drops = {"miou_dataset": max_drop, **dict(map(_parse_drop, class_ or ()))}
    store = api.open_store(root, tracking_uri, warn=warn)
    if study.endswith((".yaml", ".yml")):
        plan, results = api.load_written(read_spec(Path(study), profile, set_, seeds), store=store, warn=warn)
    elif profile or set_ or seeds:
        raise InputError(f"--profile, --set and --seeds change a spec, and '{study}' is a name; give the spec's file")
    else:
        plan, results = api.load_results(study, store=store, warn=warn)
    found = make_gate(
        plan, results, baseline=baseline or plan.reference, variants=variant or (), split=split, drops=drops
    )
    summary = render_summary(found)
    write_text(reports / plan.study / "gate.xml", render_junit(found))
    write_text(reports / plan.study / "gate.md", summary)
    print(summary)
    if not found.passed:
        print(f"gate failed: {reports / plan.study / 'gate.md'}", file=sys.stderr)
        raise typer.Exit(GATE_FAILED)


def _parse_drop(text: str) -> tuple[str, float]:
    name, equals, drop = text.rpartition("=")
    try:
        value = float(drop)
    except ValueError:
        value = -1.0
    if not equals or not name or not 0 <= value <= 1:
        raise InputError(f"--class {text}: write NAME=DROP with a fraction, such as --class Sky=0.005")
    return name, value
