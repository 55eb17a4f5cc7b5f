"""A plan as plain data, and back: what the store keeps of a study, and what `harness plan --json` prints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from harness.errors import InputError
from harness.records import Plan
from harness.spec.names import slug_problem

PLAN_VERSION = 3
"""Format 1 had no families, format 2 no concerns."""


@cache
def _codec() -> TypeAdapter[Plan]:
    return TypeAdapter(Plan)


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """Return a plan as plain dicts, lists and scalars; `plan_from_json` is its exact inverse."""
    twice = {"runs": {"__all__": {"config": {"seed"}}}}  # the run says it
    entry = _codec().dump_python(plan, mode="json", exclude=twice)
    stated = {key: value for key, value in entry.items() if value or key not in ("split", "looks")}
    return {"version": PLAN_VERSION, **stated}


def plan_from_json(entry: Mapping[str, Any]) -> Plan:
    """Return the plan that `plan_to_json` wrote. Needs no plugin: choices are taken as they were made.

    Raises:
        InputError: it was written by a version of harness that this one cannot read, or holds a name that would lead
            out of the folders that harness writes into.
    """
    if entry["version"] not in range(1, PLAN_VERSION + 1):
        raise InputError(f"the plan has format {entry['version']}; this version of harness reads up to {PLAN_VERSION}")
    for name in (entry["study"], *(run["id"] for run in entry["runs"])):  # others may write into a shared store
        if problem := slug_problem(name):
            raise InputError(f"the plan holds the name {name!r}: {problem}")
    runs = [
        {"family": run["variant"], **run, "config": {**run["config"], "seed": run["seed"]}} for run in entry["runs"]
    ]
    return _codec().validate_json(json.dumps({**entry, "runs": runs}))  # of JSON, settings take a list for a tuple
