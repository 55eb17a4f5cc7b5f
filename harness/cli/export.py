"""`harness export`, `harness card`, `harness reproduce`: a trained run as a file, as a text, and once more."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from harness.cli.options import AsJson, Root, RunName, Uri, print_json, tell_run, warn
from harness.errors import InputError, did_you_mean
from harness.files import DEFAULT_ROOT

if TYPE_CHECKING:
    from harness.apply.choose import ChosenRun
    from harness.apply.export.export import Export, Target
    from harness.apply.reproduce import SplitOutcome
    from harness.tracking.protocol import Store

DataLicence = Annotated[str, Option(metavar="TEXT", help="Terms of the data, for the model card.")]
WeightsLicence = Annotated[str, Option(metavar="TEXT", help="Terms of the weights, for the model card.")]


def _choose(run: str, root: Path, tracking_uri: str | None) -> tuple[ChosenRun, Store]:
    """Return the run that is meant, and the store that it is in; say which one it is."""
    from harness import api

    store = api.open_store(root, tracking_uri, warn=warn)
    chosen = api.choose_run(run, store=store)
    tell_run(chosen)
    return chosen, store


def export(
    run: RunName,
    fmt: Annotated[str, Option("--format", help="onnx, torch-export or mlflow.")] = "onnx",
    out: Annotated[Path | None, Option(metavar="FILE", help="The file to write [default: exports/RUN.onnx].")] = None,
    int8: Annotated[bool, Option("--int8", help="Write it in 8-bit integers, too, and judge what it costs.")] = False,
    images: Annotated[
        Path | None, Option(metavar="FOLDER", help="Pictures for the check [default: the data set's val split].")
    ] = None,
    register: Annotated[str | None, Option(metavar="NAME", help="Register the MLflow model.")] = None,
    alias: Annotated[str | None, Option(metavar="NAME", help="Let this alias, such as champion, point to it.")] = None,
    data_licence: DataLicence = "",
    weights_licence: WeightsLicence = "",
    root: Root = DEFAULT_ROOT,
    tracking_uri: Uri = None,
    as_json: AsJson = False,
) -> None:
    """Write a trained run's model for other programs, checked on real pictures, with its model card beside it.

    With mlflow the model is logged with its run, too, and can be served: mlflow models serve.
    Exit code 1 where it does not give what the run's own model gives: nothing is written then.
    Example: harness export camvid/pretrained@best --format onnx --int8
    """
    from harness.apply.card.write import Licences, default_path, find_context, write_card
    from harness.apply.export.export import ENDINGS, Options, export_run
    from harness.spec.compare import DEFAULT_MARGIN

    if fmt not in ENDINGS:
        raise InputError(f"--format {fmt}: {did_you_mean(fmt, ENDINGS)}")
    if fmt != "mlflow" and (register or alias):
        raise InputError("--register and --alias are for MLflow models: use them with --format mlflow")
    if alias and not register:
        raise InputError(f"--alias {alias} needs --register NAME")
    target: Target = fmt  # type: ignore[assignment]  # checked above
    chosen, store = _choose(run, root, tracking_uri)
    licences, context = Licences(data_licence, weights_licence), find_context(chosen, store)
    path = out or default_path(chosen, ENDINGS[target])
    margin = context.plan.margin if context else DEFAULT_MARGIN
    made = export_run(chosen, Options(target, images, int8, margin, licences), path, _tell)
    lines = _describe(made)
    if target == "mlflow":
        lines += _log(chosen, made, store, register, alias)
    card = path.with_suffix(".md")
    write_card(chosen, context, card, licences, lines)
    if as_json:
        record = {"file": str(made.path), "int8": made.int8_path and str(made.int8_path), "card": str(card)}
        print_json({**record, "metadata": made.metadata, "said": lines})
        return
    print("\n".join([str(made.path), *([str(made.int8_path)] if made.int8_path else []), str(card), *lines]))


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _describe(made: Export) -> list[str]:
    """Return what is to be known of the files, in sentences."""
    lines = [f"parity with the original: {made.parity.describe()}"]
    lines += [made.note or "it takes any number of pictures of any size"]
    if made.quantized is not None:
        lines += [f"8-bit integers: {text}" for text in made.quantized.describe()]
    return lines


def _log(chosen: ChosenRun, made: Export, store: Store, name: str | None, alias: str | None) -> list[str]:
    from harness.apply.export.mlflow import log_export
    from harness.tracking.server import mlflow_command

    _tell("logging the model with its run")
    logged = log_export(chosen, made, store, name=name, alias=alias)
    lines = [f"logged in MLflow as {logged.uri}"]
    if logged.version:
        also = f", which models:/{name}@{alias} now means" if alias else ""
        lines.append(f"registered as models:/{name}/{logged.version}{also}")
    shown = f"models:/{name}@{alias}" if alias else f"models:/{name}/{logged.version}" if name else logged.uri
    serve = mlflow_command(store.uri, "models", "serve", "--env-manager", "local", "-m", shown, "--port", "5001")
    return [*lines, f"serve it: {serve}"]


def card(
    run: RunName,
    out: Annotated[Path | None, Option(metavar="FILE", help="The file to write [default: exports/RUN.md].")] = None,
    data_licence: DataLicence = "",
    weights_licence: WeightsLicence = "",
    root: Root = DEFAULT_ROOT,
    tracking_uri: Uri = None,
) -> None:
    """Write a trained run's model card: what it is, how good with which intervals, where it fails, under which terms.

    From the record alone: neither the data set nor torch is needed. Pictures go into a folder beside it.
    Example: harness card camvid/pretrained@best --data-licence "CC BY-NC 4.0"
    """
    from harness.apply.card.write import Licences, default_path, find_context, write_card

    chosen, store = _choose(run, root, tracking_uri)
    path = out or default_path(chosen, ".md")
    files = write_card(chosen, find_context(chosen, store), path, Licences(data_licence, weights_licence))
    print(f"{files[0]}{f', {len(files) - 1} pictures beside it' if len(files) > 1 else ''}")


def reproduce(
    run: RunName,
    from_scratch: Annotated[
        bool, Option("--from-scratch", help="Run those again, too, whose weights it starts from.")
    ] = False,
    out: Annotated[
        Path | None, Option(metavar="FOLDER", help="Keep what the run writes here [default: nothing is kept].")
    ] = None,
    device: Annotated[str | None, Option(help="auto, cpu, cuda or cuda:N [default: the recorded one].")] = None,
    root: Root = DEFAULT_ROOT,
    tracking_uri: Uri = None,
    as_json: AsJson = False,
) -> None:
    """Train a recorded run again, say what differs from its environment, and compare the counts.

    Nothing is checked out or installed. Exit code 0 where every count came again, 1 where one did not.
    Example: harness reproduce camvid/pretrained@best
    """
    from tempfile import TemporaryDirectory

    from harness.apply.reproduce import compare_counts, prepare, run_again
    from harness.cli.progress import show_progress

    chosen, store = _choose(run, root, tracking_uri)
    with TemporaryDirectory() as place:
        again = prepare(chosen, store, out or Path(place), device=device, from_scratch=from_scratch)
        told = [f"{change.what}: {change.recorded} -> {change.here}" for change in again.changes]
        for line in told:
            _tell(line)
        with show_progress(again.runs) as show:
            outcomes = compare_counts(chosen.result, run_again(again, show))
    if as_json:
        print_json({"changes": again.changes, "splits": outcomes})
    else:
        print("what differs from the record:" if told else "nothing differs from the record")
        for line in told:
            print(f"  {line}")
        _print_outcomes(outcomes)
    if not all(item.identical for item in outcomes):
        raise typer.Exit(1)


def _print_outcomes(outcomes: Sequence[SplitOutcome]) -> None:
    for item in outcomes:
        if item.identical:
            print(f"{item.split}: identical, all counts of {item.images} images")
        else:
            differ = f"{item.differing} of {item.images} images differ"
            print(f"{item.split}: {differ}, miou_dataset {100 * item.delta:+.3f} points")
