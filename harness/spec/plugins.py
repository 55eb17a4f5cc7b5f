"""Modules outside harness that define parts. Only those that a spec names are imported, never a path inside a value."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import InputError


def import_plugin(name: str) -> None:
    """Import a module that a spec names; only meanwhile, modules in the current folder are found too.

    Raises:
        InputError: it cannot be imported, whatever the reason; the message names the cause.
    """
    try:
        with _current_folder_importable():
            importlib.import_module(name)
    except (Exception, SystemExit) as error:  # the module is the user's: it may raise anything
        cause = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(f"the plugin '{name}' cannot be imported: {cause}") from error


@contextmanager
def _current_folder_importable() -> Iterator[None]:
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
