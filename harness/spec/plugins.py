"""Modules outside harness that define parts. Only those that a spec names are imported, never a path inside a value."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import InputError


def import_plugin(name: str) -> None:
    """Import a module that a spec names, and say so; only meanwhile, modules in the current folder are found too.

    Raises:
        InputError: it cannot be imported, whatever the reason; the message names the cause.
    """
    if name in sys.modules:
        return
    try:
        with _current_folder_importable():
            module = importlib.import_module(name)
    except (Exception, SystemExit) as error:  # the module is the user's: it may raise anything
        cause = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(f"the plugin '{name}' cannot be imported: {cause}") from error
    place = getattr(module, "__file__", None) or "no file of its own"
    print(f"plugin {name}: imported, because the spec names it, from {place}", file=sys.stderr)


@contextmanager
def _current_folder_importable() -> Iterator[None]:
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
