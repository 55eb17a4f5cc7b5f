"""The spec, key by key, as a page of Markdown, made from the schema and the catalog."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from harness import registry
from harness.records import SINGLE
from harness.registry import COMMON, Kind
from harness.settings import EarlyStop
from harness.spec.schema import json_schema, written_out

Schema = Mapping[str, Any]

_HEAD = """\
# The spec, key by key

Made from the code by `harness schema --markdown`; a test holds the two together. `harness parts KIND NAME` shows the
same for one part, `harness schema` is the JSON Schema with which editors complete and check keys.

A spec is YAML, read strictly: an unknown key, a wrong type or a value out of range is one message with line, column and
the nearest valid spelling. Write numbers with a dot before an exponent (`1.0e-3`; YAML takes `1e-3` for text). A part
is written with its name and those settings that are not to be the defaults; the defaults are written into every run's
config, so that a run's id covers them. (required) means that there is no default. Fractions are from 0 to 1.
"""
_KINDS: Mapping[Kind, str] = {
    "data": "Below `base`: the data set, `data: {name: desert, size: [96, 96]}`.",
    "model": "Below `base`: the network, `model: {name: unet, base_channels: 16}`.",
    "loss": "Below `base`: terms; their weighted sum is minimised, `loss: {cross_entropy: {}, dice: {weight: 0.5}}`.",
    "augment": "Below `base`: steps, applied to training images in the order written, `augment: {flip: {p: 0.5}}`.",
    "optimizer": "Below `base`: `optimizer: {name: adamw, lr: 1.0e-3}`. Default: `{name: adam}`.",
    "schedule": "Below `base`: the learning rate by epoch, `schedule: {name: poly}`. Default: `{name: constant}`.",
}
_CHANGES = """\
A dotted key changes one setting (`optimizer.lr: 1.0e-4`). A key of a whole part or term (`optimizer: {name: sgd}`,
`loss.dice: {weight: 1.0}`) replaces it and is never merged with what was there. `null` removes a loss term or a step of
the augmentation.
"""


def make_reference() -> str:
    """Return the page. It knows the parts that are in the catalog."""
    schema = json_schema()
    definitions = schema["$defs"]
    sections = [
        _HEAD,
        _section(2, "The study", schema, definitions, skip=("base", "variants", "compare", "tune", "profiles")),
        f"## base\n\n{definitions['base']['description']} `data`, `model` and `loss` must be there.\n",
        *(text for kind in registry.KINDS for text in _kind(kind)),
        _section(3, "train", definitions["train"], definitions),
        _section(4, "train.early_stop", EarlyStop.model_json_schema(), {}),
        _section(3, "evaluate", definitions["evaluate"], definitions),
        f"## variants\n\n{schema['properties']['variants']['description']} Of each:\n",
        _table(definitions["variant"], definitions),
        f"### set, and each component\n\n{_CHANGES}",
        _section(2, "compare", schema["properties"]["compare"], definitions),
        f"## profiles\n\n{schema['properties']['profiles']['description']} Of each:\n",
        _table(definitions["profile"], definitions),
        _section(2, "tune", schema["properties"]["tune"], definitions),
        "### tune.space: how each key is searched\n",
        _table(schema["properties"]["tune"]["properties"]["space"]["additionalProperties"], definitions),
        "### tune.constraints: what each measure must keep\n",
        _table(schema["properties"]["tune"]["properties"]["constraints"]["additionalProperties"], definitions),
    ]
    return "\n".join(sections)


def _kind(kind: Kind) -> Iterator[str]:
    """Yield the sections of a kind: its common settings, then each part with its own."""
    yield f"### {kind}\n\n{_KINDS[kind]}\n"
    common = COMMON[kind].model_json_schema()
    if common.get("properties"):
        yield f"{'Each of them has' if kind in SINGLE else 'Each term has'}:\n"
        yield _table(common, common.get("$defs", {}))
    for part in registry.parts(kind):
        yield f"#### {kind}: {part.name}\n\n{_plain(part.doc)}\n"
        schema = part.schema.model_json_schema()
        of_kind = common.get("properties", {})  # which a part may have otherwise
        if own := {name: item for name, item in schema["properties"].items() if of_kind.get(name) != item}:
            yield _table({**schema, "properties": own}, schema.get("$defs", {}))


def _section(level: int, title: str, schema: Schema, definitions: Schema, skip: tuple[str, ...] = ()) -> str:
    head = f"{'#' * level} {title}\n\n{_plain(schema.get('description', ''))}\n"
    return f"{head}\n{_table(schema, definitions, skip)}"


def _table(schema: Schema, definitions: Schema, skip: tuple[str, ...] = ()) -> str:
    """Return a line for each key; without a column of meanings where the text above says them all."""
    required = schema.get("required", ())
    rows = []
    for name, item in schema["properties"].items():
        if name in skip:
            continue
        whole = written_out(item, definitions)
        default = f"`{json.dumps(whole['default'])}`" if "default" in whole else "–"
        cells = (f"`{name}`", type_text(whole), "(required)" if name in required else default)
        rows.append((*map(_plain, cells), _plain(whole.get("description", "")).replace("\n", " ")))
    titles = ("key", "type", "default", "meaning")[: 4 if any(row[3] for row in rows) else 3]
    lines = [titles, (":--",) * len(titles), *(row[: len(titles)] for row in rows)]
    return "".join("| " + " | ".join(re.sub(r"([|])", r"\\\1", cell) for cell in line) + " |\n" for line in lines)


def _plain(text: str) -> str:
    """Return text that Markdown does not take for HTML."""
    # Every second part of a text cut at backticks is code, which Markdown shows as it is.
    return "`".join(part if place % 2 else part.replace("<", "&lt;") for place, part in enumerate(text.split("`")))


def type_text(schema: Schema) -> str:
    """Return a JSON Schema's type in few words: `number > 0`, `none | inverse_frequency | list of number`."""
    if "anyOf" in schema:
        return " | ".join(type_text(item) for item in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return " | ".join(str(item) for item in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        inner: Schema = schema.get("items") or next(iter(schema.get("prefixItems", [])), {})
        count = f"{schema['maxItems']} x " if "maxItems" in schema else "list of "
        return f"[{count}{type_text(inner)}]"
    signs = {"exclusiveMinimum": ">", "minimum": ">=", "exclusiveMaximum": "<", "maximum": "<="}
    limits = [f"{sign} {schema[key]}" for key, sign in signs.items() if key in schema]
    return re.sub(r"^object$", "mapping", " ".join([str(schema.get("type", "any")), *limits]))
