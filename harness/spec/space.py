"""The space of a search: dotted keys in an order, how each is drawn, and when it is searched at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from math import prod
from typing import Any, Literal, get_args

from harness.fingerprint import canonical
from harness.spec.outline import Variant
from harness.spec.overrides import apply_change
from harness.spec.resolve import resolve, what_weights_need
from harness.strict_yaml.located import Node

Kind = Literal["log_uniform", "uniform", "int", "choice"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""How the values of a setting are drawn; each entry of a space has one."""
MISSING = object()
MOST_WORLDS = 1000
"""Combinations of choices that decide which settings are searched."""


@dataclass(frozen=True)
class SearchParameter:
    """One setting that is searched."""

    key: str
    """Dotted key, as in `set`."""
    kind: Kind
    node: Node
    """Where its values are written."""
    low: float = 0.0
    high: float = 0.0
    step: int = 1
    choices: tuple[Node, ...] = ()
    when: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    """Dotted key -> the values with which this setting is searched."""
    variants: tuple[str, ...] | None = None
    """Variants, or families of variants, in which it is searched; None: all."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the choices as texts: text as it is, all else as JSON."""
        plain = [choice.plain() for choice in self.choices]
        return tuple(value if isinstance(value, str) else canonical(value) for value in plain)

    def setting(self, value: float | str) -> Node:
        """Return what a spec would write for a value: a number, or the choice with this label."""
        if self.kind == "choice":
            return self.choices[self.labels.index(str(value))]
        return replace(self.node, value=value)

    def ends(self) -> tuple[float | str, ...]:
        """Return the values that stand for all others in checks: lowest and highest, or every choice."""
        return self.labels if self.kind == "choice" else (self.low, self.high)


Values = Mapping[str, int | float | str]
"""Dotted key -> value: a number, or the label of a choice. Settings that are not searched are absent."""
Suggest = Callable[[SearchParameter, Node], float | str]
"""Search parameter, settings so far -> its value."""


def walk(tree: Node, params: Sequence[SearchParameter], suggest: Suggest) -> tuple[Node, dict[str, float | str]]:
    """Return settings with each parameter that is searched there set to what `suggest` says, and these values.

    Raises:
        InputError: a key leads nowhere.
    """
    values: dict[str, float | str] = {}
    for param in params:
        if param.when and not _holds(tree, param.when):
            continue
        values[param.key] = suggest(param, tree)
        tree = apply_change(tree, param.key, param.setting(values[param.key]))
    return tree, values


def with_values(tree: Node, params: Sequence[SearchParameter], values: Values) -> Node:
    """Return settings with the values of a trial."""
    return walk(tree, params, lambda param, _: values[param.key])[0]


def written_values(tree: Node, params: Sequence[SearchParameter]) -> dict[str, float | str] | None:
    """Return the values that settings have as written; None where one lies outside the space."""
    values: dict[str, float | str] = {}
    for param in params:
        if param.when and not _holds(tree, param.when):
            continue
        value = _written_choice(param, tree, params) if param.kind == "choice" else _written_number(param, tree)
        if value is None:
            return None
        values[param.key] = value
    return values


def check_space(spaces: Sequence[tuple[Variant, Sequence[SearchParameter]]]) -> None:
    """Check that the ends of every search parameter are settings that work, in each variant in which it is searched.

    Raises:
        InputError: one does not, or a parameter is searched nowhere.
    """
    reached: set[str] = set()
    for variant, params in spaces:
        for fixed in _worlds(params):
            for param, end in _ends_in(variant.tree, params, fixed):
                reached.add(param.key)
                # One end at a time, all others at their first value: of corners there are 2 to the number of keys.
                first = {**{item.key: item.ends()[0] for item in params}, **fixed, param.key: end}
                config = resolve(with_values(variant.tree, params, first), ())
                if variant.start and what_weights_need(config) != what_weights_need(variant.config):
                    raise param.node.key_error(
                        f"'{variant.name}' starts from weights that do not fit every value of this; name under"
                        " `variants` those in which it is searched"
                    )
    for param in {param.key: param for _, params in spaces for param in params}.values():
        if param.key not in reached:
            wanted = ", ".join(f"{key}: {' or '.join(map(canonical, values))}" for key, values in param.when.items())
            raise param.node.key_error(f"this is searched nowhere: in no variant, with no choice, is {wanted}")


def _worlds(params: Sequence[SearchParameter]) -> Iterator[Values]:
    """Yield each combination of the choices that other parameters depend on."""
    # A condition may name a setting that lies inside a part that is chosen: `optimizer` decides `optimizer.momentum`.
    needed = {key for param in params for key in param.when}
    deciding = [
        param
        for param in params
        if param.kind == "choice" and any(f"{key}.".startswith(f"{param.key}.") for key in needed)
    ]
    worlds = prod(len(param.labels) for param in deciding)
    if worlds > MOST_WORLDS:
        raise deciding[0].node.key_error(
            f"the settings that others are searched `when` have {worlds:,} combinations of choices, and each is"
            f" checked: write {MOST_WORLDS:,} at most, by fewer choices or fewer `when`"
        )
    for labels in product(*(param.labels for param in deciding)):
        yield dict(zip((param.key for param in deciding), labels, strict=True))


def _ends_in(tree: Node, params: Sequence[SearchParameter], fixed: Values) -> list[tuple[SearchParameter, float | str]]:
    _, active = walk(tree, params, lambda param, _: fixed.get(param.key, param.ends()[0]))
    searched = [param for param in params if param.key in active]
    return [(param, end) for param in searched for end in ([fixed[param.key]] if param.key in fixed else param.ends())]


def _holds(tree: Node, when: Mapping[str, tuple[Any, ...]]) -> bool:
    settings = resolve(tree, ()).to_dict()
    return all(_lookup(settings, key) in values for key, values in when.items())


def _lookup(settings: Any, key: str) -> Any:
    for step in key.split("."):
        if not isinstance(settings, Mapping) or step not in settings:
            return MISSING
        settings = settings[step]
    return settings


def _written_choice(param: SearchParameter, tree: Node, params: Sequence[SearchParameter]) -> str | None:
    """Return the choice that makes settings what they are, those aside that are searched themselves."""
    others = [item.key for item in params if item is not param]
    written = _without(resolve(tree, ()).to_dict(), others)
    same = [
        name
        for name, choice in zip(param.labels, param.choices, strict=True)
        if _without(resolve(apply_change(tree, param.key, choice), ()).to_dict(), others) == written
    ]
    return same[0] if same else None


def _without(settings: Any, keys: Sequence[str], path: str = "") -> Any:
    if not isinstance(settings, Mapping):
        return settings
    inside = {key: (f"{path}.{key}" if path else key) for key in settings}
    return {key: _without(settings[key], keys, at) for key, at in inside.items() if at not in keys}


def _written_number(param: SearchParameter, tree: Node) -> float | None:
    value = _lookup(resolve(tree, ()).to_dict(), param.key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not param.low <= value <= param.high:
        return None
    if param.kind == "int":
        return value if isinstance(value, int) and (value - param.low) % param.step == 0 else None
    return float(value)
