"""Modules outside harness that define parts. Only those that a spec names are imported, never a path inside a value."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from harness.errors import InputError, describe
from harness.process_state import kept_state


class PluginMissing(InputError):
    """There is no module of a plugin's name where Python looks, or in the current folder."""


def import_plugin(name: str) -> None:
    """Import a module that a spec names, and say so; only meanwhile, modules in the current folder are found too.

    What it prints goes to stderr, and what it changes of the process is put back: `kept_state`.

    Raises:
        PluginMissing: there is no such module.
        InputError: it cannot be imported, whatever the reason, or another module of this name hides it.
    """
    if name in sys.modules:
        _refuse_hidden(name, sys.modules[name])
        return
    try:
        with _current_folder_importable(), kept_state(f"plugin {name}"):
            module = importlib.import_module(name)
    except (Exception, SystemExit) as error:  # the module is the user's: it may raise anything
        is_missing = isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}.")
        kind = PluginMissing if is_missing else InputError
        looked = f"; it was looked for in {Path.cwd()} and among what is installed" if is_missing else ""
        raise kind(f"the plugin '{name}' cannot be imported: {describe(error)}{looked}") from error
    print(f"plugin {name}: imported, because the spec names it, from {place_of(module)}", file=sys.stderr)


def place_of(module: ModuleType) -> str:
    """Return a module's file."""
    return getattr(module, "__file__", None) or "no file of its own"


def _refuse_hidden(name: str, module: ModuleType) -> None:
    """Refuse a plugin in the current folder that is not the module which Python has under its name."""
    path, place = Path.cwd().joinpath(*name.split(".")), place_of(module)
    here = next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)
    if here is None or Path(place).resolve() == here.resolve() or place.startswith(_chosen_folders()):
        return
    raise InputError(
        f"the plugin '{name}' ({here}) is hidden by another module of this name, {place}, which was imported first; "
        "give the plugin another name"
    )


def _chosen_folders() -> tuple[str, ...]:
    """Return the entries of PYTHONPATH: what a user has chosen for this command."""
    return tuple(str(Path(path).absolute()) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path)


@contextmanager
def _current_folder_importable() -> Iterator[None]:
    """Look in the current folder too, after the folders of PYTHONPATH: who sets that chooses the module."""
    folder = str(Path.cwd())
    chosen = _chosen_folders()
    place = max((index + 1 for index, path in enumerate(sys.path) if path in chosen), default=0)
    sys.path.insert(place, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
