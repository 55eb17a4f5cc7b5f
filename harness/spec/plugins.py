"""Modules outside harness that define parts. Only those that a spec names are imported, never a path inside a value.

Their source, with that of the user's own modules that they import, is part of a run: installed packages have versions,
which a run's provenance records; a file beside the study has none.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import io
import os
import sys
import sysconfig
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import harness
from harness.errors import InputError, describe
from harness.fingerprint import digest_bytes
from harness.process_state import kept_state
from harness.registry import load_shipped

LARGEST_BYTES = 2 * 2**20
"""More source than this is not one's own: it is left where it is."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The oldest time that a zip file can hold: the same sources make the same bytes."""
_INSTALLED = tuple({str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "platstdlib", "purelib")})


class PluginMissing(InputError):
    """There is no module of a plugin's name where Python looks, or in the current folder."""


def import_plugin(name: str) -> None:
    """Import a module that a spec names, and say so; only meanwhile, modules in the current folder are found too.

    What it prints goes to stderr, and what it changes of the process is put back: `kept_state`.

    Raises:
        PluginMissing: there is no such module.
        InputError: it cannot be imported, whatever the reason, or another module of this name hides it.
    """
    load_shipped()  # first: of two parts with one name, the plugin's is refused
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


def read_sources(plugins: Iterable[str]) -> dict[str, bytes]:
    """Return file -> source of each module that belongs to some imported plugins, as Python would import it from there.

    Followed are the imports that stand in the text, as far as they lead to modules that are not installed.
    """
    found: dict[str, bytes] = {}
    waiting, seen = list(plugins), set()
    while waiting:
        name = waiting.pop()
        # Importing a.b imports a: its source decides what a.b finds.
        package = name.rpartition(".")[0]
        waiting += [package] if package else []
        spec = None if name in seen else _find(name)
        seen.add(name)
        if spec is None or not spec.origin or not _is_own(spec.origin):
            continue
        file = f"{name.replace('.', '/')}.py"
        if spec.submodule_search_locations is not None:
            file, package = f"{name.replace('.', '/')}/__init__.py", name
        with suppress(OSError, AttributeError):  # gone since it was imported, or no file of text
            found[file] = cast(Any, spec.loader).get_data(spec.origin)
            waiting += _imports(found[file], package)
    return dict(sorted(found.items()))


def digest_sources(sources: Mapping[str, bytes]) -> str:
    """Return the SHA-256 (hexadecimal) of sources and their names."""
    return digest_bytes(
        part for name, content in sources.items() for part in (f"{name}:{len(content)}:".encode(), content)
    )


def pack_sources(sources: Mapping[str, bytes]) -> bytes:
    """Return a zip file, from which Python imports them where PYTHONPATH names it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sources.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def unpack_sources(path: Path) -> dict[str, bytes]:
    """Return what `pack_sources` packed.

    Raises:
        OSError: the file cannot be read.
        zipfile.BadZipFile: it is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _find(name: str) -> ModuleSpec | None:
    module = sys.modules.get(name)
    if module is not None:
        return getattr(module, "__spec__", None)
    with suppress(ImportError, ValueError, AttributeError):
        return importlib.util.find_spec(name) if "." not in name or name.rpartition(".")[0] in sys.modules else None
    return None


def _is_own(origin: str) -> bool:
    path = Path(origin)
    resolved = str(path.resolve())
    if path.suffix != ".py" or {"site-packages", "dist-packages"} & set(path.parts):
        return False
    return not resolved.startswith((*_INSTALLED, str(Path(harness.__file__).resolve().parent)))


def _imports(content: bytes, package: str) -> Iterator[str]:
    """Yield the names of modules that a source may import; what it takes from a module may be a module too."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
                base = f"{above}.{base}".strip(".")
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
