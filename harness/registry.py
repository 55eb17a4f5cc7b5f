"""The catalog of parts: a function's signature is its schema.

A part is one function::

    @part("loss")
    def focal(num_classes: int, /, *, gamma: float = 2.0) -> Loss:
        '''Focal loss (Lin et al. 2017, eq. 5); gamma 0 is cross-entropy.'''

Before the slash: what harness supplies, by name. After the star: what a spec may write. Name = function name, schema =
signature, help = docstring. Annotations after the star are evaluated when the part is defined, without torch.
"""

from __future__ import annotations

import inspect
import json
import math
import types
import typing
import warnings
from collections.abc import Callable, Collection, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError, create_model
from pydantic.fields import FieldInfo

from harness.errors import InputError, SettingError, did_you_mean
from harness.process_state import kept_state
from harness.settings import CHOICES, Choice, Location, Settings

Kind = Literal["data", "model", "loss", "augment", "optimizer", "schedule"]
KINDS: tuple[Kind, ...] = typing.get_args(Kind)
Checked = TypeVar("Checked", bound=Settings)
UNWRITTEN: Any = {"use_attribute_docstrings": False}
"""Of classes that nobody wrote there is no source to search for docstrings of fields, and searching takes seconds."""
COMMON = {
    kind: create_model(kind, __base__=Settings, __cls_kwargs__=UNWRITTEN, **choice.of_kind())
    for kind, choice in CHOICES.items()
}
"""Kind -> the settings that a spec may write of every part of it."""


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


PART_NAME = "name"
"""What says in a spec which part is chosen: no setting can be called so."""
Wrong = Callable[[str], TypeError]
"""What is wrong with a part -> the error that says so, with its place."""
UNKNOWN_SETTING = "there is no such setting"
"""How the problem begins where a key, not its value, is wrong."""
_PARTS: dict[tuple[Kind, str], Part] = {}


@cache
def load_shipped() -> None:
    """Enter the parts that harness ships, by importing their packages.

    Every look-up does so first: there is no call that anybody could forget.
    """
    for package in ("harness.data", "harness.parts"):
        import_module(package)


def part(
    kind: Kind, *, version: int = 1, takes: tuple[str, ...] = (), min_batch: int = 1
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a function into the catalog under its own name; see the head of this file.

    `takes` names settings of `COMMON` that the function takes too, with a default of its own: an image generator that
    draws at `size`. All others of these names are refused: the part and harness would both act on them.

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


def place_of(function: Callable[..., Any]) -> str:
    """Return `file:line` of a function; its module where it has no file."""
    code = getattr(function, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else str(getattr(function, "__module__", "no module"))


def _make_part(kind: Kind, function: Callable[..., Any], version: int, takes: tuple[str, ...]) -> Part:
    """Read a part from its signature. What is wrong is one message that begins with kind, name, file and line."""

    def wrong(problem: str) -> TypeError:
        return TypeError(
            f"@part({kind!r}) {getattr(function, '__name__', function)} in {place_of(function)}: {problem}"
        )

    if not inspect.isfunction(function) or not function.__name__.isidentifier():
        raise wrong("a part is a function with a name (def ...); wrap a class in one")
    if not (function.__doc__ or "").strip():
        raise wrong("a part needs a docstring: it is what harness parts shows")
    supplied, defaults = _parameters(function, wrong)
    _check_names(kind, defaults, COMMON[kind].model_fields.keys() - set(takes), wrong)
    doc = inspect.cleandoc(function.__doc__ or "")
    hints = _hints(function, defaults, wrong)
    try:
        fields: dict[str, Any] = {name: (hints[name], default) for name, default in defaults.items()}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Field name .* shadows an attribute")  # such as copy: harmless here
            name = function.__name__
            schema = create_model(name, __base__=COMMON[kind], __doc__=doc, __cls_kwargs__=UNWRITTEN, **fields)
    except Exception as error:  # the types are the author's: pydantic may raise anything
        raise wrong(f"no spec can write settings of these types: {str(error).splitlines()[0]}") from error
    _check_defaults(schema, defaults, wrong)
    _check_defaults(COMMON[kind], {name: defaults[name] for name in takes if name in defaults}, wrong)
    if kind == "optimizer" and "lr" not in defaults:
        raise wrong("it needs the setting 'lr'")
    locations = tuple(name for name, info in schema.model_fields.items() if _is_location(info))
    return Part(kind, function.__name__, function, supplied, tuple(defaults), schema, version, doc, locations)


def _is_location(info: FieldInfo) -> bool:
    """Tell whether a setting, or a member of its union, is marked as a place on disk."""
    of_members = [mark for item in typing.get_args(info.annotation) for mark in getattr(item, "__metadata__", ())]
    return any(isinstance(mark, Location) for mark in [*info.metadata, *of_members])


def _parameters(function: types.FunctionType, wrong: Wrong) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return the names of what is supplied, and each setting with its default (`...` where it has none)."""
    supplied: list[str] = []
    defaults: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.POSITIONAL_ONLY:
            supplied.append(parameter.name)
        elif parameter.kind is parameter.KEYWORD_ONLY:
            defaults[parameter.name] = ... if parameter.default is parameter.empty else parameter.default
        else:
            raise wrong(
                f"parameter '{parameter.name}' must stand before '/' or after '*': harness supplies what is before, a "
                "spec writes what is after"
            )
    return tuple(supplied), defaults


def _check_names(kind: str, settings: Collection[str], taken: Collection[str], wrong: Wrong) -> None:
    """Refuse names that mean something else already: the setting would never reach the part, or act twice."""
    if PART_NAME in settings:
        raise wrong(f"'{PART_NAME}' cannot be a setting: it says in a spec which part is chosen; use another name")
    if common := [name for name in settings if name in taken]:
        raise wrong(f"{_quoted(common)} cannot be a setting of its own: every {kind} has it already; use another name")
    if reserved := [name for name in settings if name.startswith(("_", "model_"))]:
        raise wrong(f"{_quoted(reserved)} cannot be a setting: names begin with neither _ nor model_")


def _quoted(names: Collection[str]) -> str:
    return " and ".join(f"'{name}'" for name in names)


def _hints(function: types.FunctionType, settings: Collection[str], wrong: Wrong) -> dict[str, Any]:
    """Evaluate the annotations after the star only: those before it may name torch types that are not imported."""
    if untyped := [name for name in settings if name not in function.__annotations__]:
        raise wrong(f"{_quoted(untyped)} has no type; write it as {untyped[0]}: float = 1.0")
    stand_in = types.SimpleNamespace(__annotations__={name: function.__annotations__[name] for name in settings})
    try:
        return typing.get_type_hints(stand_in, globalns=function.__globals__, include_extras=True)
    except Exception as error:  # an annotation is an expression of the author's
        raise wrong(f"the type of a setting cannot be read: {error}") from error


def _check_defaults(schema: type[Settings], defaults: Mapping[str, Any], wrong: Wrong) -> None:
    """Refuse a default that no spec could write: it is written into every plan, and read from there."""
    for name, default in defaults.items():
        if default is ...:
            continue
        plain, problem = default.model_dump(mode="json") if isinstance(default, BaseModel) else default, None
        try:
            schema.model_validate_json(json.dumps({name: plain}))
        except ValidationError as error:  # other settings may be missing here
            problem = next((item["msg"] for item in error.errors() if item["loc"][:1] == (name,)), None)
        except (TypeError, ValueError):
            problem = "YAML cannot write it"
        if problem:
            raise wrong(f"the default of '{name}' is {default!r}: {problem}")


def parts(kind: Kind) -> tuple[Part, ...]:
    """Return all parts of a kind, by name."""
    load_shipped()
    return tuple(_PARTS[key] for key in sorted(_PARTS) if key[0] == kind)


def find_part(kind: Kind, name: str) -> Part:
    """Return a part by name.

    Raises:
        SettingError: there is none; the message lists what there is.
    """
    load_shipped()
    entry = _PARTS.get((kind, name))
    if entry is None:
        raise SettingError((), f"no {kind} is named '{name}'; {did_you_mean(name, (p.name for p in parts(kind)))}")
    return entry


def choose(kind: Kind, name: str, settings: Mapping[str, Any]) -> Any:
    """Check a part's settings and spell out its defaults. Returns the record of the kind, such as `DataChoice`.

    Raises:
        SettingError: no such part, an unknown setting, a wrong type or value; `path` leads to it.
    """
    entry = find_part(kind, name)
    return CHOICES[kind].of(name, check(entry.schema, settings).model_dump(mode="json"), entry.version)


def build(kind: Kind, choice: Choice, **available: Any) -> Any:
    """Call a chosen part with its settings, typed, and with those of the available objects that it asks for by name.

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
        # A choice may be older than the part: settings that it no longer has are left out.
        known = {key: value for key, value in choice.settings.items() if key in entry.schema.model_fields}
        typed = check(entry.schema, known)
        own = {name: getattr(typed, name) for name in entry.own}
        return entry.function(*(available[name] for name in entry.supplied), **own)


def check(schema: type[Checked], settings: Mapping[str, Any]) -> Checked:
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
    # Of a union pydantic reports each member's failure: the one that came deepest is what the user meant to write.
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
    came: Any = settings
    for step in path:
        came = came[step]
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
