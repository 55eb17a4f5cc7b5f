"""Changes of a module in one place each, and how a process that has imported it takes one over."""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType

from harness.fingerprint import fingerprint

COMPARED = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
COMPUTED = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult}
SWAPPED = {"max": "min", "min": "max", "any": "all", "all": "any"}


@dataclass(frozen=True)
class Mutant:
    """One change of one file."""

    path: str
    line: int
    change: str
    """What was, and what is instead."""
    number: int
    """Place among the file's changes."""
    source: str
    """Digest of the file as it was."""
    span: tuple[int, int] | None
    """First and last line of the statement, to choose the tests that run it; None where importing the file does."""


def make_mutants(path: str, text: str) -> list[tuple[Mutant, str]]:
    """Return all changes of a file, each with the text that it leaves."""
    found: list[tuple[Mutant, str]] = []
    source, tree = fingerprint(text), ast.parse(text)
    for node, span in list(_walk(tree, None)):
        kind, fields, before = node.__class__, dict(vars(node)), ast.unparse(node)
        for change in _changes(node):
            change()
            told = f"{_short(before)} -> {_short(ast.unparse(node))}"
            found.append((Mutant(path, node.lineno, told, len(found), source, span), ast.unparse(tree)))
            _restore(node, kind, fields)
    return found


def _restore(node: ast.AST, kind: type, fields: dict[str, object]) -> None:
    node.__class__ = kind
    vars(node).clear()
    vars(node).update(fields)


Span = tuple[int, int] | None


def _walk(node: ast.AST, span: Span) -> Iterator[tuple[ast.expr | ast.stmt, Span]]:
    """Return the expressions and statements that compute, each with the lines of its statement within a function.

    No annotations, no documentation, and no tolerances.
    """
    is_function = isinstance(node, ast.FunctionDef | ast.Lambda)
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        if isinstance(node, ast.keyword) and node.arg == "strict":  # says what cannot be
            continue
        for child in value if isinstance(value, list) else [value]:
            inner = span
            if isinstance(child, ast.stmt) and (is_function or span):
                inner = (child.lineno, child.end_lineno or child.lineno)
            if isinstance(child, ast.expr | ast.stmt):
                yield child, inner
            if isinstance(child, ast.AST):
                yield from _walk(child, inner)


def _changes(node: ast.AST) -> list[Callable[[], None]]:
    """Return what may be done to a node, as functions that do it."""
    return [*_changes_of_operators(node), *_changes_of_flow(node)]


def _changes_of_operators(node: ast.AST) -> Iterator[Callable[[], None]]:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARED:
        yield lambda: setattr(node, "ops", [COMPARED[type(node.ops[0])](), *node.ops[1:]])
    if isinstance(node, ast.BinOp) and type(node.op) in COMPUTED:
        yield lambda: setattr(node, "op", COMPUTED[type(node.op)]())
    if isinstance(node, ast.BoolOp):
        other = ast.Or if isinstance(node.op, ast.And) else ast.And
        yield lambda: setattr(node, "op", other())
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield lambda: _restore(node, node.operand.__class__, vars(node.operand).copy())
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not is_tolerance(node.value):
        yield lambda: setattr(node, "value", _other(node.value))


def _changes_of_flow(node: ast.AST) -> Iterator[Callable[[], None]]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SWAPPED:
        swapped = ast.Name(SWAPPED[node.func.id])
        yield lambda: setattr(node, "func", swapped)
    if isinstance(node, ast.If) and isinstance(node.body[0], ast.Return | ast.Raise | ast.Continue):
        yield lambda: setattr(node, "test", ast.Constant(False))
    if isinstance(node, ast.IfExp):
        body, other = node.body, node.orelse
        yield lambda: _restore(node, body.__class__, vars(body).copy())
        yield lambda: _restore(node, other.__class__, vars(other).copy())


def is_tolerance(value: float) -> bool:
    """Tell whether a number is so small or so large that half as much again is nothing that one could observe."""
    return 0 < abs(value) <= 1e-6 or abs(value) >= 1e5


def _other(value: object) -> object:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return {0: 1, 1: 0}.get(value, value + 1)
    return float(value) * 1.5 if isinstance(value, float) and value else 1.0


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 70 else f"{line[:67]}..."


def take_over(module: ModuleType, text: str) -> None:
    """Have a module that others have imported compute what another text of it says.

    Functions, methods and properties get the other's code and defaults, so whoever holds them computes with it.
    Constants are replaced wherever they were imported under their name.
    """
    other = ModuleType(module.__name__)
    other.__dict__.update(__file__=module.__file__, __package__=module.__package__)
    sys.modules[module.__name__] = other  # dataclasses look their module up
    exec(compile(text, str(module.__file__), "exec"), other.__dict__)
    sys.modules[module.__name__] = module
    holders = [holder for name, holder in sys.modules.items() if name.split(".")[0] == "harness" or _is_test(holder)]
    for name, new in vars(other).items():
        old = vars(module).get(name)
        if isinstance(new, bool | int | float | tuple | dict) and not name.startswith("__"):
            if new != old:
                for holder in (holder for holder in holders if vars(holder).get(name) is old):
                    setattr(holder, name, new)
        elif isinstance(new, type) and new.__module__ == module.__name__:
            for attribute, changed in vars(new).items():
                _copy_code(vars(old).get(attribute), changed)
        else:
            _copy_code(old, new)


def _is_test(module: ModuleType) -> bool:
    return "/tests/" in str(getattr(module, "__file__", ""))


def _copy_code(old: object, new: object) -> None:
    here, there = _function(old), _function(new)
    if here is not None and there is not None and _name(here.__code__) == _name(there.__code__):
        here.__code__, here.__defaults__ = there.__code__, there.__defaults__
        here.__kwdefaults__ = there.__kwdefaults__


def _name(code: CodeType) -> tuple[str, str]:
    return code.co_filename, code.co_qualname


def _function(value: object) -> FunctionType | None:
    """Return the function that a function, a property or a cached function or property runs."""
    for name in ("fget", "func", "__wrapped__", "__func__"):
        if isinstance(value, property | functools.cached_property) or hasattr(value, "cache_info"):
            value = getattr(value, name, value)
    return value if isinstance(value, FunctionType) and not value.__code__.co_freevars else None
