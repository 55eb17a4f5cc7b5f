"""Finished runs whose plugins have another source by now: they are taken as they are, and that is said.

An edit may be a comment, so it makes no run again by itself; a part's author raises `version` where numbers change.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.records import Plan
from harness.runs.folder import RunFolder, is_finished, run_folder
from harness.spec.plugins import digest_sources, read_sources


def describe_edited(root: Path, plan: Plan) -> tuple[str, ...]:
    """Return a sentence if finished runs of a plan were made with other source of its plugins than is imported here."""
    now: dict[tuple[str, ...], str] = {}
    old = set()
    for run in plan.runs:
        folder, plugins = run_folder(root, run.id), run.config.plugins
        if not plugins or not is_finished(folder):
            continue
        if plugins not in now:
            now[plugins] = digest_sources(read_sources(plugins))
        if _recorded(folder) not in (None, now[plugins]):
            old.add(run.label)
    if not old:
        return ()
    first, more = min(old), f" and {len(old) - 1} more" if len(old) > 1 else ""
    modules = ", ".join(sorted({name for names in now for name in names}))
    return (
        f"{first}{more}: made with other source of {modules} than is here now, and taken as they are; if a part's "
        "numbers change by the edit, @part(..., version=2) has its runs made again",
    )


def _recorded(folder: RunFolder) -> Any:
    with suppress(OSError, ValueError, AttributeError):
        return json.loads(folder.provenance.read_text(encoding="utf-8")).get("plugins", {}).get("sha256")
    return None
