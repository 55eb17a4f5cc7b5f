"""Commands about the tracking store: `harness ui`, `harness sync`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from harness.cli_options import DEFAULT_REPORTS, DEFAULT_ROOT, AsJson, Reports, Root, Uri, warn


def ui(
    port: Annotated[int, typer.Option(help="Port on this machine.", min=1, max=65535)] = 5000,
    root: Root = DEFAULT_ROOT,
    tracking_uri: Uri = None,
) -> None:
    """Open the MLflow UI on the store that the runs are in, for this machine only (127.0.0.1).

    Example: harness ui --port 5001
    """
    from harness.store.moved import adopt_at
    from harness.store.server import make_server_command, refuse_taken_port, serve

    command, environment = make_server_command(root, tracking_uri, port)
    refuse_taken_port(port)
    if done := adopt_at(root, tracking_uri):
        warn(done)
    print(f"MLflow UI: http://127.0.0.1:{port} (Ctrl-C ends it)", file=sys.stderr)
    raise typer.Exit(serve(command, environment))


def sync(
    studies: Annotated[
        list[str] | None,
        typer.Argument(metavar="STUDY", help="Names of studies, or specs [default: all].", show_default=False),
    ] = None,
    root: Root = DEFAULT_ROOT,
    tracking_uri: Uri = None,
    reports: Reports = DEFAULT_REPORTS,
    as_json: AsJson = False,
) -> None:
    """Bring studies from the run folders to the tracking store: what a server that was down lacks, and nothing twice.

    Example: harness sync phase3 --tracking-uri http://mlflow.lab:5000
    """
    import json
    from dataclasses import asdict

    from harness import api

    names = [api.study_name(text) for text in studies or ()]
    found = api.sync(*names, store=api.open_store(root, tracking_uri, warn=warn), reports=reports)
    for delivery in found:
        for refused in delivery.refused:
            print(f"error: {refused}", file=sys.stderr)
        if not as_json:
            print(f"{delivery.study}: {delivery.in_words}")
    if as_json:
        print(json.dumps([asdict(delivery) for delivery in found], indent=2))
    if any(delivery.refused for delivery in found):
        raise typer.Exit(1)
