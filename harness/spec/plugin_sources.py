"""The source of plugins: their modules, and those of the user's own that these import.

Installed packages have versions, which a run's provenance records; a file beside the study has none.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import io
import sys
import sysconfig
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any, cast

import harness
from harness.fingerprint import digest_bytes

LARGEST_BYTES = 2 * 2**20
"""More source than this is not one's own: it is left where it is."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The oldest time that a zip file can hold: the same sources make the same bytes."""
_INSTALLED = tuple({str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "platstdlib", "purelib")})


def read_sources(plugins: Iterable[str]) -> dict[str, bytes]:
    """Return file -> source of each module that belongs to some imported plugins, as Python would import it from there.

    Followed are the imports that stand in the text, as far as they lead to modules that are not installed.
    """
    found: dict[str, bytes] = {}
    waiting, seen = list(plugins), set()
    while waiting:
        name = waiting.pop()
        package = name.rpartition(".")[0]
        waiting += [package] if package else []
        spec = None if name in seen else _find(name)
        seen.add(name)
        if spec is None or not spec.origin or not _is_own(spec.origin):
            continue
        file = f"{name.replace('.', '/')}.py"
        if spec.submodule_search_locations is not None:
            file, package = f"{name.replace('.', '/')}/__init__.py", name
        with contextlib.suppress(OSError, AttributeError):  # gone since it was imported, or no file of text
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
    with contextlib.suppress(ImportError, ValueError, AttributeError):
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
