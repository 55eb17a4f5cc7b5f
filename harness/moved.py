"""Modules by the names that they had in the version before: importing one gives today's module, and says its name.

Plugins are kept beside the runs that they made, and were written against the names of their day. A name stays for one
version: what is in `moved.json` goes with the next. Every process imports this file, so it imports little.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.abc import Loader
    from types import ModuleType
else:
    Loader = object


@cache
def moved_modules() -> dict[str, str]:
    """Return the module's name before -> its name today, both whole."""
    import json
    from pathlib import Path

    names: dict[str, str] = json.loads(Path(__file__).with_name("moved.json").read_text(encoding="utf-8"))
    return {f"harness.{before}": f"harness.{now}" for before, now in names.items()}


class MovedModules(Loader):
    """Finds and loads modules by their former names.

    It is asked before the folders are looked through: below a package that is known by two names, a module would be
    loaded twice, with two copies of each class.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        """Return how to import a former name; None for every other one."""
        if not fullname.startswith("harness.") or fullname not in moved_modules():
            return None
        return ModuleSpec(fullname, self)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return today's module; one that cannot be imported raises as under its own name."""
        import warnings

        now = moved_modules()[spec.name]
        text = f"{spec.name} is {now} now; what a plugin needs is in harness.plugin, and stays there"
        warnings.warn(text, DeprecationWarning, stacklevel=2)
        module = import_module(now)
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Run nothing, for the module has run; give it back its own spec, which importing has overwritten."""
        assert module.__spec__ is not None
        module.__spec__ = module.__spec__.loader_state


def find_moved_modules() -> None:
    """Let Python find modules by their former names, too."""
    sys.meta_path.insert(0, MovedModules())
