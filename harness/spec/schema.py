"""The JSON Schema (2020-12) of a spec, made from the catalog: what editors complete, explain and underline.

It knows the parts that are in the catalog when it is made. What spans several keys (a variant that does not exist, a
circle, weights that do not fit) only `load_spec` can say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from harness import registry
from harness.records import DEFAULT_EXPECTED, SEVERAL, SINGLE
from harness.registry import Kind, Part
from harness.settings import EvaluateSettings, Settings, TrainSettings
from harness.spec import compare, outline
from harness.spec.designs import DESIGNS, TOGETHER
from harness.spec.names import SLUG
from harness.spec.overrides import SECTIONS
from harness.spec.space import KINDS
from harness.spec.tuning import TuneSettings

RECORDS: dict[str, type[Settings]] = {"train": TrainSettings, "evaluate": EvaluateSettings}

Schema = dict[str, Any]


def json_schema() -> Schema:
    """Return the JSON Schema of a spec; `$defs` holds one entry for each part."""
    parts = {
        f"{kind}.{part.name}": _part_schema(kind, part) for kind in registry.KINDS for part in registry.parts(kind)
    }
    records = {name: _plain_schema(record) for name, record in RECORDS.items()}
    sections: Schema = {kind: _section(kind) for kind in registry.KINDS}
    sections |= {name: {"$ref": f"#/$defs/{name}"} for name in RECORDS}
    definitions = {
        **parts,
        **records,
        "base": _object(
            {name: sections[name] for name in SECTIONS},
            ("data", "model", "loss"),
            "Settings that every variant shares, unless it changes them.",
        ),
        "set": _changes(sections, {**parts, **records}),
        "component": {"$ref": "#/$defs/set", "minProperties": 1},
        "name": {"type": "string", "pattern": f"^{SLUG}$"},
        "seeds": _seeds(),
        "variant": _variant(),
        "profile": _profile(),
    }
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, "title": "A study for harness", **_top(), "$defs": definitions}


def _top() -> Schema:
    tune = _plain_schema(TuneSettings)
    space = tune["properties"]["space"]
    space["additionalProperties"]["oneOf"] = [{"required": [kind]} for kind in KINDS]
    space["minProperties"] = 1
    properties = {
        "study": {"$ref": "#/$defs/name", "description": "Name of the study: of its report's folder and experiment."},
        "question": _text("What the study is to answer, in one sentence."),
        "notes": _text("Anything a reader should know."),
        "plugins": {
            "type": "array",
            "items": {"type": "string", "pattern": f"^{outline.MODULE}$"},
            "description": "Modules, importable from here, whose parts this spec names.",
        },
        "base": {"$ref": "#/$defs/base"},
        "variants": _by_name("#/$defs/variant", "What is compared, by name.", minimum=1),
        "seeds": {"$ref": "#/$defs/seeds"},
        "compare": _object(
            {
                "reference": {
                    "$ref": "#/$defs/name",
                    "description": "Variant that the others are compared with; the first one by default.",
                },
                "margin": {
                    "type": "number",
                    "minimum": 0,
                    "exclusiveMaximum": 1,
                    "default": compare.DEFAULT_MARGIN,
                    "description": "Differences of miou_dataset below this do not matter (fraction).",
                },
                "expected": {
                    "type": "number",
                    "exclusiveMinimum": 0,
                    "exclusiveMaximum": 1,
                    "default": DEFAULT_EXPECTED,
                    "description": "Size of the differences of miou_dataset that you expect before the study "
                    "(fraction): the prior of the probabilities beside verdicts. Changing it trains nothing.",
                },
                "epoch": {
                    "enum": list(compare.WHICH),
                    "default": "best",
                    "description": "Which of the epochs that a run trained is compared; changing it trains nothing.",
                },
                "split": {
                    "enum": list(compare.SPLITS),
                    "description": "The split that verdicts are given on; the others stand beside it. By default val "
                    "where it chose nothing: in every run the best epoch is chosen on images held out of it, or the "
                    "last is compared and neither early stopping, schedule nor start looked at scores on val; else "
                    "test where there is one. Changing it trains nothing.",
                },
                "looks": {
                    "type": "array",
                    "items": {"type": "integer", "minimum": compare.FEWEST_AT_LOOK, "maximum": compare.MOST_AT_LOOK},
                    "minItems": 1,
                    "uniqueItems": True,
                    "description": "Numbers of seeds, ascending, at which verdicts are read: they share the 5 %.",
                },
            },
            (),
            "What the variants are compared with.",
        ),
        "tune": tune,
        "profiles": _by_name("#/$defs/profile", "Named changes of the whole study, for --profile."),
    }
    return _object(properties, ("study", "question", "base", "variants"), "One ablation study.")


def _variant() -> Schema:
    one = {"enum": list(DESIGNS)}
    properties = {
        "from": {
            "type": "string",
            "pattern": f"^{SLUG}@({'|'.join(compare.WHICH)})$",
            "description": "Start from another variant's weights, seed to seed: <variant>@best or <variant>@last, of "
            "the epochs that it trained.",
        },
        "like": {"$ref": "#/$defs/name", "description": "Change this variant's settings, and not those of the base."},
        "set": {"$ref": "#/$defs/set"},
        "components": _by_name("#/$defs/component", "Named changes that a design combines."),
        "needs": _rule("Component -> those without which it does not run."),
        "excludes": _rule("Component -> those with which it does not run."),
        "design": {
            "anyOf": [one, {"type": "array", "items": one, "minItems": 1, "uniqueItems": True}],
            "default": TOGETHER,
            "description": "Which combinations of the components run. Of several designs, shared ones run once.",
        },
        "notes": _text("Anything a reader should know."),
    }
    dependent = {key: ["components"] for key in ("design", "needs", "excludes")}
    return {**_object(properties, (), "One level of the study."), "dependentRequired": dependent}


def _rule(description: str) -> Schema:
    return _mapping({"type": "array", "items": {"$ref": "#/$defs/name"}, "minItems": 1}, description)


def _profile() -> Schema:
    properties = {
        "set": {"$ref": "#/$defs/set"},
        "seeds": {"$ref": "#/$defs/seeds"},
        "components": _by_name("#/$defs/component", "Settings of components, in place of theirs wherever they occur."),
    }
    return _object(properties, (), "A named change of the base, the seeds and the components.")


def _seeds() -> Schema:
    return {
        "type": "array",
        "items": {"type": "integer", "minimum": 0},
        "minItems": 1,
        "maxItems": outline.MOST_SEEDS,
        "uniqueItems": True,
        "default": [0],
        "description": "Each variant is run once with each seed.",
    }


def _part_schema(kind: Kind, part: Part) -> Schema:
    """Return the schema of a part as it is written: a single one with its `name`, a term as its settings alone."""
    schema = _plain_schema(part.schema)
    if kind in SINGLE:
        schema["properties"] = {"name": {"const": part.name, "description": part.doc}, **schema["properties"]}
        schema["required"] = ["name", *schema.get("required", [])]
    return schema


def _plain_schema(record: type[Settings]) -> Schema:
    """Return a record's schema with the records nested in it written out, and without titles."""
    schema = record.model_json_schema()
    return dict(written_out(schema, schema.pop("$defs", {})))


def written_out(value: Any, definitions: Mapping[str, Any]) -> Any:
    """Return a schema, or a part of one, with the definitions that it names written into it, and without titles."""
    if isinstance(value, list):
        return [written_out(item, definitions) for item in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        target = definitions[value["$ref"].rpartition("/")[2]]
        value = {**target, **{key: item for key, item in value.items() if key != "$ref"}}
    entries = {key: written_out(item, definitions) for key, item in value.items() if key not in ("title", "properties")}
    if "properties" in value:
        entries["properties"] = {key: written_out(item, definitions) for key, item in value["properties"].items()}
    return entries


def _section(kind: Kind) -> Schema:
    parts = {part.name: {"$ref": f"#/$defs/{kind}.{part.name}"} for part in registry.parts(kind)}
    if kind in SINGLE:
        return {"oneOf": list(parts.values())}
    return {**_object(parts, (), None), "minProperties": 1 if kind == "loss" else 0}


def _changes(sections: Schema, definitions: Schema) -> Schema:
    """Return the schema of `set`: every dotted key; one that ends in * stands for all keys of an open mapping."""
    settable = _settable(sections, definitions)
    closed = {key: schema for key, schema in settable.items() if not key.endswith("*")}
    open_ = {f"^{re.escape(key[:-1])}": schema for key, schema in settable.items() if key.endswith("*")}
    words = "Dotted keys that change one setting; a whole part or term is replaced; null removes a term."
    return {**_object(closed, (), words), "patternProperties": open_}


def _settable(sections: Schema, definitions: Schema) -> Schema:
    """Return dotted key -> schema of the values that it may be set to."""
    found: dict[str, list[Schema]] = {name: [schema] for name, schema in sections.items()}
    for kind in (kind for kind in registry.KINDS if kind in SEVERAL):
        for part in registry.parts(kind):
            found[f"{kind}.{part.name}"] = [{"$ref": f"#/$defs/{kind}.{part.name}"}, {"type": "null"}]
    for name, schema in definitions.items():
        path = name.partition(".")[0] if name.startswith(tuple(f"{kind}." for kind in SINGLE)) else name
        for key, value in _keys_below(path, schema):
            if key not in {f"{kind}.name" for kind in SINGLE} and value not in found.setdefault(key, []):
                found[key].append(value)
    return {key: values[0] if len(values) == 1 else {"anyOf": values} for key, values in found.items()}


def _keys_below(path: str, schema: Schema) -> Iterator[tuple[str, Schema]]:
    """Yield each dotted key below a schema with its own schema, nested ones too."""
    inside = schema.get("propertyNames", {})
    names = inside.get("enum", [inside["const"]] if "const" in inside else [])
    free = schema.get("additionalProperties", False)
    below = {**schema.get("properties", {}), **dict.fromkeys(names or (["*"] if free else []), free)}
    for key, value in below.items():
        yield f"{path}.{key}", value
        yield from _keys_below(f"{path}.{key}", value)
    for member in schema.get("anyOf", []):
        yield from _keys_below(path, member)


def _object(properties: Schema, required: tuple[str, ...], description: str | None) -> Schema:
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        schema["required"] = list(required)
    return {"description": description, **schema} if description else schema


def _by_name(target: str, description: str, minimum: int = 0) -> Schema:
    return _mapping({"$ref": target}, description, minProperties=minimum)


def _mapping(values: Schema, description: str, **limits: int) -> Schema:
    """Return the schema of a mapping whose keys are names that a spec gives."""
    names = {"$ref": "#/$defs/name"}
    return {
        "type": "object",
        "propertyNames": names,
        "additionalProperties": values,
        **limits,
        "description": description,
    }


def _text(description: str) -> Schema:
    return {"type": "string", "minLength": 1, "description": description}
