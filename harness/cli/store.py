"""Commands about the store: `harness ui`, `harness sync`, `harness ls`, `harness gc`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from typer import Argument, Option

from harness.cli.options import AsJson, Reports, Root, UploadWeights, Uri, print_json, warn
from harness.files import DEFAULT_REPORTS, DEFAULT_ROOT


def ui(
    port: Annotated[int, Option(help="Port on this machine.", min=1, max=65535)] = 5000,
    root: Root = DEFAULT_ROOT,
    tracking_uri: Uri = None,
) -> None:
    """Open the MLflow UI on the store that the runs are in, for this machine only (127.0.0.1).

    Example: harness ui --port 5001
    """
    from harness.tracking.relocation import adopt_at
    from harness.tracking.server import make_server_command, refuse_taken_port, serve

    command, environment = make_server_command(root, tracking_uri, port)
    refuse_taken_port(port)
    if done := adopt_at(root, tracking_uri):
        warn(done)
    print(f"MLflow UI: http://127.0.0.1:{port} (Ctrl-C ends it)", file=sys.stderr)
    raise typer.Exit(serve(command, environment))


def sync(
    studies: Annotated[
        list[str] | None, Argument(metavar="STUDY", help="Names of studies, or specs [default: all].")
    ] = None,
    root: Root = DEFAULT_ROOT,
    tracking_uri: Uri = None,
    upload_weights: UploadWeights = False,
    reports: Reports = DEFAULT_REPORTS,
    as_json: AsJson = False,
) -> None:
    """Bring studies from the run folders to the tracking store: what a server that was down lacks, and nothing twice.

    Example: harness sync phase3 --tracking-uri http://mlflow.lab:5000
    """
    from harness import api

    names = [api.study_name(text) for text in studies or ()]
    store = api.open_store(root, tracking_uri, upload_weights=upload_weights, warn=warn)
    found = api.sync(*names, store=store, reports=reports)
    for delivery in found:
        for refused in delivery.refused:
            print(f"error: {refused}", file=sys.stderr)
        if not as_json:
            print(f"{delivery.study}: {delivery.in_words}")
    if as_json:
        print_json(found)
    if any(delivery.refused for delivery in found):
        raise typer.Exit(1)


def ls(root: Root = DEFAULT_ROOT, tracking_uri: Uri = None, as_json: AsJson = False) -> None:
    """List the studies in a store with their runs and sizes, and say how much of it harness gc would free.

    Example: harness ls --root mlruns
    """
    from harness import api
    from harness.cli.tables import print_inventory

    found = api.take_inventory(root, tracking_uri)
    (print_json if as_json else print_inventory)(found)


def gc(
    dry_run: Annotated[bool, Option("--dry-run", help="Only say what would be removed.")] = False,
    root: Root = DEFAULT_ROOT,
    tracking_uri: Uri = None,
    as_json: AsJson = False,
) -> None:
    """Remove what no study on record needs: stale runs, weights that nothing starts from, second copies, torn files.

    What studies report, start from or go on with stays, and so does what is running. A study is on record as it was
    run last: of one that was run with other settings since, the earlier runs are stale.
    Example: harness gc --dry-run
    """
    from harness import api
    from harness.cli.tables import print_garbage

    found = api.collect_garbage(root, tracking_uri, dry_run=dry_run)
    if as_json:
        told = [
            {
                "kind": item.kind,
                "path": str(item.path),
                "files": len(item.files),
                "bytes": item.bytes,
                "run": item.about,
            }
            for item in found
        ]
        print_json({"removed": not dry_run, "bytes": sum(item.bytes for item in found), "items": told})
    else:
        print_garbage(found, removed=not dry_run)
