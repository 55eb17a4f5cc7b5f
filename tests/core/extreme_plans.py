"""A program: plans studies whose settings have extreme, valid values, one by one, and prints what came of each.

It runs within 4 GB of memory, where nothing may ask for more.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MOST_BYTES = 4 * 2**30
BASE: dict[str, Any] = {
    "study": "extreme",
    "question": "Does planning end?",
    "base": {
        "data": {"name": "desert", "size": [64, 64]},
        "model": {"name": "unet"},
        "loss": {"cross_entropy": {}},
        "optimizer": {"name": "adam"},
        "train": {"epochs": 1},
    },
    "variants": {"plain": {}, "other": {"set": {"train.clip_norm": 1.0}}},
}


def main() -> None:
    """Plan each study, and print a line of JSON: what it is, seconds of the processor, what was said."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    from harness import api
    from harness.errors import InputError
    from harness.execute.inputs import read_notes, tell_judged_split

    for name, study in studies(Path(sys.argv[1])):
        path = Path("study.yaml")
        path.write_text(re.sub(r"(?<=\d)e(?=[-+]\d)", ".0e", json.dumps(study)))  # as YAML 1.1 reads numbers
        began, said = time.process_time(), "planned"
        try:
            plan = api.make_plan(api.load_spec(path))
            api.lint_plan(plan), read_notes(plan), tell_judged_split(plan)
        except InputError as error:
            said = str(error)
        print(json.dumps([name, time.process_time() - began, said]), flush=True)


def studies(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each extreme value of each numeric setting that the schema knows, in a study."""
    from harness.spec.schema import json_schema

    schema = json_schema()
    for name, part in schema["$defs"].items():
        section, _, own = name.partition(".")
        if section in ("base", "set", "component", "name", "seeds", "variant", "profile"):
            continue
        for keys, value in extremes(part):
            settings = needed(part, folder) | nest(keys, value)
            yield f"{name}: {'.'.join(keys)}={value}", with_part(section, own, settings)
    for keys, value in extremes(schema["properties"]["compare"]):
        yield f"compare: {keys}={value}", {**BASE, "compare": nest(keys, value)}
    for keys, value in extremes(schema["properties"]["tune"]):
        if keys[0] != "space":
            tune = {"space": {"optimizer.lr": {"log_uniform": [1e-300, 1e300]}}} | nest(keys, value)
            yield f"tune: {keys}={value}", {**BASE, "tune": tune}
    yield "compare: looks", {**BASE, "compare": {"looks": list(range(2, 1001))}}
    yield "tune: int", {**BASE, "tune": {"space": {"train.epochs": {"int": [0, 10**6]}}}}


def extremes(schema: dict[str, Any]) -> Iterator[tuple[list[str], Any]]:
    """Yield path and value: the least and the greatest of each number, alone or in a list, that a schema has."""
    for key, inside in schema.get("properties", {}).items():
        for value in ends(inside):
            yield [key], value
        for member in [inside, *inside.get("anyOf", [])]:
            yield from (([key, *below], value) for below, value in extremes(member))


def ends(schema: dict[str, Any]) -> list[Any]:
    """Return the least and the greatest value of a schema of numbers; nothing for another."""
    found = [value for member in schema.get("anyOf", []) for value in ends(member)]
    kind = schema.get("type")
    if kind == "array" and "prefixItems" in schema:
        columns = [ends(item) for item in schema["prefixItems"]]
        return [[column[-1] for column in columns]] if all(columns) else []
    if kind == "array":
        most = min(schema.get("maxItems", 1000), 1000)
        return [[greatest] * most for greatest in ends(schema.get("items", {}))[-1:]]
    if kind not in ("integer", "number"):
        return found
    whole = kind == "integer"
    step = 1 if whole else 1e-9
    low = schema.get("minimum", schema.get("exclusiveMinimum", -(10**17) if whole else -1e300))
    high = schema.get("maximum", schema.get("exclusiveMaximum", 10**17 if whole else 1e300))
    low += step if "exclusiveMinimum" in schema else 0
    high -= step if "exclusiveMaximum" in schema else 0
    return [*found, low, high]


def nest(keys: list[str], value: Any) -> dict[str, Any]:
    """Return a mapping with a value below some keys."""
    for key in reversed(keys):
        value = {key: value}
    return value


def needed(part: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the settings that a part has no default for."""
    known = {"root": str(folder), "classes": ["ground", "sky"], "degrees": 10, "size": [32, 32]}
    return {key: known[key] for key in part.get("required", []) if key != "name"}


def with_part(section: str, own: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the study with one section, or one of its terms, replaced."""
    section_now = settings
    if section in ("loss", "augment"):
        section_now = {own: settings}
    elif own:
        section_now = {"name": own, **settings}
    return {**BASE, "base": {**BASE["base"], section: section_now}}


if __name__ == "__main__":
    main()
