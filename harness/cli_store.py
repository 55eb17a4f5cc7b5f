"""Commands about the tracking store: `harness ui`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from harness.cli_options import DEFAULT_ROOT, Root, Uri


def ui(
    port: Annotated[int, typer.Option(help="Port on this machine.", min=1, max=65535)] = 5000,
    root: Root = DEFAULT_ROOT,
    tracking_uri: Uri = None,
) -> None:
    """Open the MLflow UI on the store that the runs are in, for this machine only (127.0.0.1).

    Example: harness ui --port 5001
    """
    import subprocess

    from harness.store.server import make_server_command

    command, environment = make_server_command(root, tracking_uri, port)
    print(f"MLflow UI: http://127.0.0.1:{port} (Ctrl-C ends it)", file=sys.stderr)
    raise typer.Exit(subprocess.run(command, env=environment, check=False).returncode)
