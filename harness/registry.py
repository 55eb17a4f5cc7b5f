"""The catalog of parts: a function's signature is its schema.

A part is one function::

    @part("loss")
    def focal(num_classes: int, /, *, gamma: float = 2.0) -> Loss:
        '''Focal loss (Lin et al. 2017, eq. 5); gamma 0 is cross-entropy.'''

Before the slash: what harness supplies, by name. After the star: what a spec may write. Name = function name, schema =
signature, help = docstring. Annotations after the star are evaluated when the part is defined, without torch.
"""

from __future__ import annotations

import json
import math
import typing
from collections.abc import Callable, Collection, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from harness.common_settings import (
    AugmentCommon,
    DataCommon,
    LossCommon,
    ModelCommon,
    OptimizerCommon,
    ScheduleCommon,
)
from harness.errors import InputError, SettingError, did_you_mean
from harness.process_state import kept_state
from harness.records import Choice
from harness.settings import Location, Settings
from harness.signatures import marks_of, place_of, read_signature

Kind = Literal["data", "model", "loss", "augment", "optimizer", "schedule"]
KINDS: tuple[Kind, ...] = ("data", "model", "loss", "augment", "optimizer", "schedule")


COMMON: Mapping[Kind, type[Settings]] = {
    "data": DataCommon,
    "model": ModelCommon,
    "loss": LossCommon,
    "augment": AugmentCommon,
    "optimizer": OptimizerCommon,
    "schedule": ScheduleCommon,
}


@dataclass(frozen=True)
class Part:
    """One entry of the catalog."""

    kind: Kind
    name: str
    function: Callable[..., Any]
    supplied: tuple[str, ...]
    """Names of the arguments that harness gives."""
    own: tuple[str, ...]
    """Names of the settings that the function takes."""
    schema: type[Settings]
    """All settings a spec may write: the function's own and those common to its kind."""
    version: int
    doc: str
    locations: tuple[str, ...]
    """Settings that are places on disk."""
    min_batch: int = 1
    """Of a model: fewest images that one training step takes, as far as that is known before it is built."""

    @property
    def plugin(self) -> str | None:
        """Return the module outside harness that defines it; None for a part that harness ships."""
        module = str(self.function.__module__)
        return None if module.partition(".")[0] == "harness" else module

    @property
    def place(self) -> str:
        """Return `file:line` of the function."""
        return place_of(self.function)


UNKNOWN_SETTING = "there is no such setting"
"""How the problem begins where a key, not its value, is wrong."""
_PARTS: dict[tuple[Kind, str], Part] = {}


def part(
    kind: Kind, *, version: int = 1, takes: tuple[str, ...] = (), min_batch: int = 1
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a function into the catalog under its own name; see the head of this file.

    `takes` names settings of `harness.common_settings` that the function takes too, with a default of its own: an image
    generator that draws at `size`. All others of these names are refused: the part and harness would both act on them.

    `min_batch` is that of a model whose every network needs as many images in a training step: plans are checked by it.

    Raises:
        TypeError: the function cannot be a part, such as one without a docstring.
        ValueError: another function of this kind has the name already.
    """
    if kind not in KINDS:
        raise TypeError(f"@part({kind!r}): there is no such kind of part; {did_you_mean(str(kind), KINDS)}")

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        entry = replace(_make_part(kind, function, version, takes), min_batch=min_batch)
        known = _PARTS.get((kind, entry.name))
        if known is not None and known.function.__module__ != function.__module__:
            raise ValueError(
                f"{kind} '{entry.name}' in {place_of(function)} is already defined in {known.function.__module__} "
                f"({place_of(known.function)}); give one of the two another name"
            )
        _PARTS[kind, entry.name] = entry
        return function

    return enter


def _make_part(kind: Kind, function: Callable[..., Any], version: int, takes: tuple[str, ...]) -> Part:
    read = read_signature(kind, function, COMMON[kind], takes)
    if kind == "optimizer" and "lr" not in read.own:
        raise TypeError(f"@part('optimizer') {function.__name__} in {place_of(function)}: it needs the setting 'lr'")
    locations = tuple(name for name, info in read.schema.model_fields.items() if _is_location(info))
    return Part(kind, function.__name__, function, read.supplied, read.own, read.schema, version, read.doc, locations)


def _is_location(info: FieldInfo) -> bool:
    return any(isinstance(mark, Location) for mark in [*info.metadata, *marks_of(info.annotation)])


def parts(kind: Kind) -> tuple[Part, ...]:
    """Return all parts of a kind, by name."""
    return tuple(_PARTS[key] for key in sorted(_PARTS) if key[0] == kind)


def find_part(kind: Kind, name: str) -> Part:
    """Return a part by name.

    Raises:
        SettingError: there is none; the message lists what there is.
    """
    entry = _PARTS.get((kind, name))
    if entry is None:
        raise SettingError((), f"no {kind} is named '{name}'; {did_you_mean(name, (p.name for p in parts(kind)))}")
    return entry


def choose(kind: Kind, name: str, settings: Mapping[str, Any]) -> Choice:
    """Check a part's settings and spell out its defaults.

    Raises:
        SettingError: no such part, an unknown setting, a wrong type or value; `path` leads to it.
    """
    entry = find_part(kind, name)
    checked = check(entry.schema, settings)
    return Choice(name, checked.model_dump(mode="json"), entry.version)


def build(kind: Kind, choice: Choice, **available: Any) -> Any:
    """Call a chosen part with its settings and with those of the available objects that it asks for by name.

    What a plugin's part changes of the process meanwhile is put back: `kept_state`.
    """
    entry = find_part(kind, choice.name)
    for name in entry.supplied:
        if name not in available:
            raise InputError(
                f"{kind} '{choice.name}' asks for '{name}' before its slash; {did_you_mean(name, available)}"
            )
    surroundings = nullcontext() if entry.plugin is None else kept_state(f"{kind} '{choice.name}' ({entry.place})")
    with surroundings:
        own = {name: choice[name] for name in entry.own}
        return entry.function(*(available[name] for name in entry.supplied), **own)


def check(schema: type[Settings], settings: Mapping[str, Any]) -> Settings:
    """Check settings against a schema, strictly (as JSON: no text becomes a number, no number a truth value).

    Raises:
        SettingError: the first thing that is wrong.
    """
    try:
        return schema.model_validate_json(json.dumps(settings))
    except ValidationError as error:
        raise _explain(schema, settings, error) from None


def _explain(schema: type[Settings], settings: Mapping[str, Any], error: ValidationError) -> SettingError:
    """Turn pydantic's account into one message at one place. Members of a union that failed are joined by 'or'."""
    details = error.errors()
    path = max((_path_within(settings, item["loc"]) for item in details), key=len)
    same_place = [item for item in details if _path_within(settings, item["loc"]) == path]
    first = same_place[0]
    if first["type"] == "extra_forbidden":
        return SettingError(path, f"{UNKNOWN_SETTING}; {did_you_mean(str(path[-1]), _fields_at(schema, path[:-1]))}")
    if first["loc"][-1] == "[key]":
        wanted = _wanted(first["msg"]).replace("'", "")
        return SettingError(path, f"{UNKNOWN_SETTING}; known: {wanted}")
    if first["type"] == "missing":
        return SettingError(path, f"'{first['loc'][-1]}' is missing: this setting has no default")
    wanted = " or ".join(dict.fromkeys(_wanted(item["msg"]) for item in same_place))
    came = _value_at(settings, path)
    return SettingError(path, f"{json.dumps(came)} was given; it must be {wanted}{_hint_about_text(came)}")


def _fields_at(schema: type[Settings], path: tuple[str | int, ...]) -> Collection[str]:
    """Return the names of the settings in a record that may be nested in another."""
    for step in path:
        field = schema.model_fields.get(str(step))
        members = (field.annotation, *typing.get_args(field.annotation)) if field else ()
        records = [item for item in members if isinstance(item, type) and issubclass(item, Settings)]
        if not records:
            return ()
        schema = records[0]
    return schema.model_fields


def _wanted(message: str) -> str:
    """Shorten pydantic's 'Input should be a valid integer' to 'a valid integer'."""
    return message.removeprefix("Input should be ").removeprefix("Value should be ").removeprefix("Value error, ")


def _hint_about_text(came: Any) -> str:
    if not isinstance(came, str):
        return ""
    try:
        number = float(came)
    except ValueError:
        return ""
    if not math.isfinite(number):
        return ""
    as_float = f"{number!r}" if "e" not in repr(number) or "." in repr(number) else repr(number).replace("e", ".0e")
    return f" (YAML reads {came} as text here: write {as_float}, without quotes and with a dot)"


def _path_within(settings: Any, loc: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Follow pydantic's location as far as it leads through the settings; names of union members are not keys."""
    path: list[str | int] = []
    for step in loc:
        inside = isinstance(settings, dict) and step in settings
        if inside or (isinstance(settings, list) and isinstance(step, int) and step < len(settings)):
            settings = settings[step]
            path.append(step)
    return tuple(path)


def _value_at(settings: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        settings = settings[step]
    return settings
