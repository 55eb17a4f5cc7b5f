"""What a part's function says of itself: what it is supplied with, and which settings a spec may write.

Every mistake that can be seen in a definition is one message that begins with kind, name, file and line.
"""

from __future__ import annotations

import inspect
import json
import types
import typing
import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError, create_model

from harness.settings import Settings

PART_NAME = "name"
"""What says in a spec which part is chosen: no setting can be called so."""
Wrong = Callable[[str], TypeError]
"""What is wrong with a part -> the error that says so, with its place."""


@dataclass(frozen=True)
class Signature:
    """A part's function, read."""

    supplied: tuple[str, ...]
    """Names of the arguments that harness gives."""
    own: tuple[str, ...]
    """Names of the settings that the function takes."""
    schema: type[Settings]
    """All settings a spec may write: the function's own and the common ones."""
    doc: str


def place_of(function: Callable[..., Any]) -> str:
    """Return `file:line` of a function; its module where it has no file."""
    code = getattr(function, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else str(getattr(function, "__module__", "no module"))


def read_signature(
    kind: str, function: Callable[..., Any], common: type[Settings], takes: Collection[str]
) -> Signature:
    """Read a function's signature; `takes` names the common settings that the function takes itself.

    Raises:
        TypeError: the function cannot be a part; the message says what is wrong with it, and what would work.
    """

    def wrong(problem: str) -> TypeError:
        return TypeError(
            f"@part({kind!r}) {getattr(function, '__name__', function)} in {place_of(function)}: {problem}"
        )

    if not inspect.isfunction(function) or not function.__name__.isidentifier():
        raise wrong("a part is a function with a name (def ...); wrap a class in one")
    if not (function.__doc__ or "").strip():
        raise wrong("a part needs a docstring: it is what harness parts shows")
    supplied, defaults = _parameters(function, wrong)
    _check_names(kind, defaults, common.model_fields.keys() - set(takes), wrong)
    doc = inspect.cleandoc(function.__doc__ or "")
    hints = _hints(function, defaults, wrong)
    try:
        fields: dict[str, Any] = {name: (hints[name], default) for name, default in defaults.items()}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Field name .* shadows an attribute")  # such as copy: harmless here
            schema = create_model(function.__name__, __base__=common, __doc__=doc, **fields)
    except Exception as error:  # the types are the author's: pydantic may raise anything
        raise wrong(f"no spec can write settings of these types: {str(error).splitlines()[0]}") from error
    _check_defaults(schema, defaults, wrong)
    return Signature(supplied, tuple(defaults), schema, doc)


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
        plain = default.model_dump(mode="json") if isinstance(default, BaseModel) else default
        try:
            schema.model_validate_json(json.dumps({name: plain}))
        except ValidationError as error:  # other settings may be missing here
            problem = next((item["msg"] for item in error.errors() if item["loc"][:1] == (name,)), None)
        except (TypeError, ValueError):
            problem = "YAML cannot write it"
        else:
            problem = None
        if problem:
            raise wrong(f"the default of '{name}' is {default!r}: {problem}")


def marks_of(annotation: Any) -> list[Any]:
    """Return the marks that the members of a union carry (`Annotated`)."""
    return [mark for item in get_args(annotation) for mark in getattr(item, "__metadata__", ())]
