"""The command line: parse, call, print. Progress goes to stderr, results to stdout."""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from harness.cli import options
from harness.cli.data import data, list_guesses
from harness.cli.export import card, export, reproduce
from harness.cli.gate import gate
from harness.cli.predict import predict
from harness.cli.run import run, tune
from harness.cli.store import gc, ls, sync, ui
from harness.cli.streams import flush_output, secure_streams
from harness.errors import HarnessError, InputError, did_you_mean
from harness.files import DEFAULT_REPORTS, DEFAULT_ROOT, WHERE_IT_RUNS

CLEARING_S = 15.0

app = typer.Typer(
    help="Ablation studies for semantic segmentation: one YAML file in, tracked runs and an honest comparison out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in (run, gate, predict, sync, export, card, reproduce, ui, ls, gc, tune):
    app.command()(_command)
app.add_typer(data, name="data")


def main() -> None:
    """Run the program. A HarnessError ends it with its message and exit code, an interrupt with 130."""
    secure_streams()
    if os.name != "posix":
        print(f"error: {WHERE_IT_RUNS}", file=sys.stderr)
        sys.exit(2)
    interrupt = _make_interrupt()
    for signum in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(signum) is not signal.SIG_IGN:  # what starts a program by nohup wants it to go on
            signal.signal(signum, interrupt)
    try:
        try:
            app()
        finally:
            flush_output()
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except UnicodeEncodeError as error:
        name = error.object[error.start : error.end].encode("ascii", "backslashreplace").decode()
        print(
            f"error: files are named in {error.encoding} here, which has no letter for '{name}'; set PYTHONUTF8=1, or "
            "a locale such as LC_ALL=C.UTF-8",
            file=sys.stderr,
        )
        sys.exit(2)


def _make_interrupt() -> Callable[[int, object], None]:
    """Return a handler that interrupts the program; signals that follow at once, as one of a terminal that closes does
    the other, do not interrupt its clearing up.
    """
    last = -math.inf

    def interrupt(signum: int, frame: object) -> None:
        nonlocal last
        if (now := time.monotonic()) - last > CLEARING_S:
            last = now
            raise KeyboardInterrupt

    return interrupt


@app.command()
def init(
    root: Annotated[Path, Argument(metavar="ROOT", help="A folder with pictures and labels.")],
    out: Annotated[Path, Option(metavar="FILE", help="The study to write.")] = Path("study.yaml"),
) -> None:
    """Recognise which data set a folder holds, and write a first study on it that runs.

    Example: harness init data/cityscapes --out cityscapes.yaml
    """
    from shlex import quote

    from harness.cli.init import init_spec

    first, *others = init_spec(root, out)
    print(f"{out}: a first study on {first.name} ({first.why})")
    print("\n".join(list_guesses(first.guesses, others)))
    print(f"next: harness plan {quote(str(out))}")


@app.command()
def plan(
    spec: options.SpecFile,
    profile: options.Profile = None,
    set_: options.Sets = None,
    seeds: options.Seeds = None,
    only: options.Only = None,
    probe: Annotated[
        bool, Option("--probe", help="Run a few steps of each kind of run; predict hours, memory and disk.")
    ] = False,
    jobs: options.Jobs = None,
    device: options.Device = "auto",
    root: options.Root = DEFAULT_ROOT,
    as_json: options.AsJson = False,
) -> None:
    """Print a study's runs and what they will not show: what each starts from, what it changes, whether it is done.

    Example: harness plan ablations/phase3.yaml --profile full
    """
    from harness import api
    from harness.cli.tables import print_plan
    from harness.execute.disk_forecast import foresee_disk
    from harness.execute.feasibility import note_padding
    from harness.execute.inputs import read_notes, tell_judged_split
    from harness.execute.study import describe_lost, find_lost_starts
    from harness.runs.folder import is_finished, run_folder
    from harness.runs.looks import known_here
    from harness.runs.stale import describe_edited, describe_stale, find_stale
    from harness.runs.studies import lasts_wanted
    from harness.spec.lint_power import past_last_look
    from harness.spec.plan import select

    study = api.make_plan(options.read_spec(spec, profile, set_, seeds))
    shown = select(study, only) if only else study
    folders = {run.id: run_folder(root, run.id) for run in shown.runs}
    lost = find_lost_starts(shown.runs, folders)
    done = {id_ for id_, folder in folders.items() if is_finished(folder)} - {run.id for run in lost}
    to_do = [run for run in shown.runs if run.id not in done]
    wanted = lasts_wanted([study])
    forecast = api.forecast(to_do, jobs=jobs, device=device, lasts_wanted=wanted) if probe and to_do else None
    disk = foresee_disk(root, to_do, wanted)
    if forecast:
        disk = replace(disk, known=disk.runs, kept_bytes=forecast.disk_bytes, resume_bytes=0)
        priced = api.lint_plan(study, seconds={name: cost.seconds for name, cost in forecast.costs.items()})
        shown = replace(shown, concerns=priced)
    print_plan(shown, done, forecast, disk, as_json=as_json)
    past = past_last_look(study, known_here(root, study))
    judged_on = filter(None, [tell_judged_split(study)])
    stale = [*describe_stale(find_stale(root, shown)), *describe_edited(root, shown)]
    for note in [*judged_on, *read_notes(shown), *note_padding(shown), *past, *stale, *describe_lost(lost)]:
        print(f"note: {note}", file=sys.stderr)
    if disk.known and not disk.fits:
        options.warn(disk.in_words)
    elif disk.known and not forecast:
        print(f"note: {disk.in_words}", file=sys.stderr)


@app.command()
def report(
    studies: Annotated[list[str], Argument(metavar="STUDY...", help="Names of studies in the store, or specs.")],
    compare: Annotated[
        tuple[str, str] | None, Option(metavar="VARIANT REFERENCE", help="Report on these two variants only.")
    ] = None,
    set_: options.SetsOfCompare = None,
    root: options.Root = DEFAULT_ROOT,
    tracking_uri: options.Uri = None,
    reports: options.Reports = DEFAULT_REPORTS,
    as_json: options.AsJson = False,
) -> None:
    """Write a study's report again, from what is stored: it needs neither the data nor torch.

    With several studies their variants are named STUDY/VARIANT and reported together.
    Examples: harness report phase3 --set compare.epoch=last
    harness report phase3 camvid --compare camvid/pretrained camvid/scratch
    """
    from harness import api

    names = [api.study_name(text) for text in studies]
    store = api.open_store(root, tracking_uri, warn=options.warn)
    stored, results = api.load_results(*names, store=store, compare=compare, overrides=set_ or (), warn=options.warn)
    taken = api.load_looks(stored, *names, store=store, warn=options.warn)
    api.make_report(stored, results, reports, taken=taken)
    for name in names:
        options.attach_report(store, name, reports / stored.study)
    options.print_results(stored, results, reports / stored.study / "report.md", as_json=as_json)


@app.command()
def parts(
    kind: Annotated[str | None, Argument(help="data, model, loss, augment, optimizer or schedule.")] = None,
    name: Annotated[str | None, Argument(help="Show this part in full.")] = None,
    spec: Annotated[
        Path | None, Option(metavar="SPEC", help="Import this study's plugins, and list their parts.")
    ] = None,
    plugin: Annotated[
        list[str] | None, Option(metavar="MODULE", help="Import this module too, and list its parts.")
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """List the parts that a spec can name, with their settings, defaults and what they do.

    With --spec or --plugin, which run the modules' code, the parts of the plugins alone are listed, in full.
    Examples: harness parts loss cross_entropy
    harness parts loss --plugin my_parts
    """
    from harness import registry
    from harness.cli.tables import print_parts
    from harness.spec.load import import_plugins_of
    from harness.spec.plugins import import_plugin

    if kind is not None and kind not in registry.KINDS:
        raise InputError(f"there is no kind of part '{kind}'; {did_you_mean(kind, registry.KINDS)}")
    modules = [*(import_plugins_of(spec) if spec else ()), *(plugin or ())]
    for module in modules:
        import_plugin(module)
    chosen = [part for known in registry.KINDS if kind in (None, known) for part in registry.parts(known)]
    if name is not None:
        chosen = [registry.find_part(known, name) for known in registry.KINDS if known == kind]
    elif modules:
        chosen = [part for part in chosen if part.plugin]
        if not chosen:
            raise InputError(f"{' and '.join(modules)}: no {kind or 'part'} is defined there; see docs/adding-parts.md")
    print_parts(chosen, in_full=name is not None or bool(modules), as_json=as_json)


@app.command()
def schema(
    markdown: Annotated[bool, Option("--markdown", help="Print it as a page, key by key, for people.")] = False,
) -> None:
    """Print the JSON Schema of a study, by which editors complete and check keys.

    Example: harness schema > study.schema.json
    """
    from harness.spec.reference import make_reference
    from harness.spec.schema import json_schema

    if markdown:
        print(make_reference(), end="")
    else:
        options.print_json(json_schema())
