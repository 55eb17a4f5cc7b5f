"""The plugins of a recorded run, where it is used: found, the same as then, or a message with what would work."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import InputError
from harness.records import RunResult
from harness.runs.credentials import mask_credentials
from harness.runs.folder import RunFolder
from harness.runs.plugin_copy import read_copy
from harness.spec.plugin_sources import read_sources
from harness.spec.plugins import PluginMissing, import_plugin
from harness.strict_yaml.located import parse_yaml, read_file


def import_recorded(folder: RunFolder, result: RunResult) -> str:
    """Import the plugins of a run, from where Python finds them now; return how their source differs from the run's.

    The kept copy is code of an earlier day: it is never imported unasked. Where it differs, a note on stderr says how
    to use it.

    Raises:
        InputError: one is not found, and where it was; it cannot be imported; the copy is damaged.
    """
    root = parse_yaml(read_file(folder.config), lambda line, column: f"{folder.config}:{line}:{column}")
    plugins = tuple(root.mapping()["plugins"].plain())
    facts = result.provenance.get("plugins", {})
    copy = read_copy(folder.plugins, facts)
    for name in plugins:
        try:
            import_plugin(name)
        except PluginMissing as error:
            raise InputError(
                f"run {result.run_id}: {error}. {_where(name, result.provenance)}; {_cure(folder, copy)}"
            ) from None
    if not copy:
        return ""
    here = read_sources(plugins)
    differing = sorted(name for name in here.keys() | copy.keys() if here.get(name) != copy.get(name))
    if not differing:
        return ""
    told = f"its plugins are not what they were when it was made: {', '.join(differing)} differ"
    print(f"note: run {result.run_id}: {told}; {_cure(folder, copy)}", file=sys.stderr)
    return told


def _where(name: str, provenance: Mapping[str, Any]) -> str:
    place = provenance.get("plugins", {}).get("modules", {}).get(name)
    git = provenance.get("git") or {}
    commit = f" (commit {git['commit'][:12]}{', with changes' if git.get('dirty') else ''})" if git else ""
    command = shlex.join(provenance.get("command", ()))
    return f"It was {place}{commit}" if place else f"The run was made by: {command}{commit}"


def _cure(folder: RunFolder, copy: Mapping[str, bytes]) -> str:
    if not copy:
        return "run the command in the folder that has it, or put that folder on PYTHONPATH"
    chosen = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    path = os.pathsep.join(dict.fromkeys([str(folder.plugins), *chosen]))
    return (
        f"the run keeps its source, which runs with this command once you have looked at it:\n"
        f"  PYTHONPATH={shlex.quote(path)} {_this_command()}"
    )


def _this_command() -> str:
    program = "harness" if Path(sys.argv[0]).name in ("harness", "-c", "__main__.py") else sys.argv[0]
    return shlex.join([program, *map(mask_credentials, sys.argv[1:])])
