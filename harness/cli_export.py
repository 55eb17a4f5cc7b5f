"""`harness export`, `harness card`, `harness reproduce`: a trained run as a file, as a text, and once more."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli_options import DEFAULT_ROOT, AsJson, Device, Root, Uri
from harness.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from harness.apply.choose import Chosen
    from harness.apply.export import Export, Target
    from harness.store.protocol import Store

RunName = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="STUDY/VARIANT@best, STUDY/VARIANT/seed1@last, a run id, or models:/NAME/1.", show_default=False
    ),
]
DataLicence = Annotated[
    str, typer.Option(metavar="TEXT", help="Terms of the data, for the model card.", show_default=False)
]
WeightsLicence = Annotated[
    str, typer.Option(metavar="TEXT", help="Terms of the weights, for the model card.", show_default=False)
]


def _choose(run: str, store: Store) -> Chosen:
    from harness.apply.choose import choose

    chosen = choose(run, store)
    print(f"run {chosen.label} ({chosen.run_id}){f'; {chosen.note}' if chosen.note else ''}", file=sys.stderr)
    return chosen


def export(
    run: RunName,
    fmt: Annotated[str, typer.Option("--format", help="onnx, torch-export or mlflow.")] = "onnx",
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The file to write [default: exports/RUN.onnx].", show_default=False),
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="Write it in 8-bit integers, too, and judge what it costs.")] = False,
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Pictures for the check [default: the data set's val split].", show_default=False
        ),
    ] = None,
    register: Annotated[
        str | None, typer.Option(metavar="NAME", help="Register the MLflow model.", show_default=False)
    ] = None,
    alias: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Let this alias, such as champion, point to it.", show_default=False),
    ] = None,
    data_licence: DataLicence = "",
    weights_licence: WeightsLicence = "",
    root: Root = DEFAULT_ROOT,
    tracking_uri: Uri = None,
    as_json: AsJson = False,
) -> None:
    """Write a trained run's model for other programs, with its model card beside it, after checking it on real pictures.

    With mlflow the model is logged with its run, too, and can be served: mlflow models serve.
    Exit code 1 where it does not give what the run's own model gives: nothing is written then.
    Example: harness export camvid/pretrained@best --format onnx --int8
    """
    from harness import api
    from harness.apply.export import ENDINGS, Options, default_path, export_run
    from harness.apply.export_metadata import Licences

    if fmt not in ENDINGS:
        raise InputError(f"--format {fmt}: {did_you_mean(fmt, ENDINGS)}")
    if fmt != "mlflow" and (register or alias):
        raise InputError("--register and --alias are for MLflow models: use them with --format mlflow")
    if alias and not register:
        raise InputError(f"--alias {alias} needs --register NAME")
    target: Target = fmt  # type: ignore[assignment]  # checked above
    store = api.open_store(root, tracking_uri)
    chosen = _choose(run, store)
    options = Options(target, images, int8, _margin(chosen, store), Licences(data_licence, weights_licence))
    made = export_run(chosen, options, out or default_path(chosen, target), lambda text: print(text, file=sys.stderr))
    print(made)


def _margin(chosen: Chosen, store: Store) -> float:
    from harness.spec.outline import DEFAULT_MARGIN

    plan = store.load_plan(chosen.study) if chosen.study else None
    return plan.margin if plan else DEFAULT_MARGIN
