"""Modules, and what is in them, by the names of the version before: importing one gives today's, and says its name.

Plugins are kept beside the runs that they made, and were written against the names of their day. A name stays for one
version: what is in `moved.json` goes with the next. Every process imports this file, so it imports little.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.abc import Loader
    from types import ModuleType
else:
    Loader = object


@cache
def read_moved() -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Return former name of a module -> today's; and module of today -> a name it had -> the whole name today."""
    import json
    from pathlib import Path

    moved = json.loads(Path(__file__).with_name("moved.json").read_text(encoding="utf-8"))
    modules = {f"harness.{before}": f"harness.{now}" for before, now in moved["modules"].items()}
    names = {
        f"harness.{module}": {name: f"harness.{now}" for name, now in of_module.items()}
        for module, of_module in moved["names"].items()
    }
    return modules, names


def former_names(module: str) -> Callable[[str], Any]:
    """Return the `__getattr__` of a module: it finds what had another name, or lay there, in the version before."""

    def find(name: str) -> Any:
        now = read_moved()[1].get(module, {}).get(name)
        if now is None:
            raise AttributeError(f"module '{module}' has no attribute '{name}'")
        _warn(f"{name} of {module} is {now} now")
        place, _, attribute = now.rpartition(".")
        return getattr(import_module(place), attribute)

    return find


def _warn(text: str) -> None:
    """Warn whoever runs a program, not only its author: Python keeps a DeprecationWarning of a plugin to itself."""
    import warnings

    warnings.warn(f"{text}; what a plugin needs is in harness.plugin, and stays there", FutureWarning, stacklevel=3)


class MovedModules(Loader):
    """Finds and loads modules by their former names.

    It is asked before the folders are looked through: below a package that is known by two names, a module would be
    loaded twice, with two copies of each class.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        """Return how to import a former name; None for every other one."""
        if not fullname.startswith("harness.") or fullname not in read_moved()[0]:
            return None
        return ModuleSpec(fullname, self)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return today's module; one that cannot be imported raises as under its own name."""
        now = read_moved()[0][spec.name]
        _warn(f"{spec.name} is {now} now")
        module = import_module(now)
        vars(module).setdefault("__getattr__", former_names(now))
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Run nothing, for the module has run; give it back its own spec, which importing has overwritten."""
        assert module.__spec__ is not None
        module.__spec__ = module.__spec__.loader_state


def find_moved_modules() -> None:
    """Let Python find modules by their former names, too."""
    sys.meta_path.insert(0, MovedModules())
