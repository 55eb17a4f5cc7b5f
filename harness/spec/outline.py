"""The top level of a spec: its keys checked and sorted out, the settings themselves still as written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import get_args

from harness.errors import did_you_mean
from harness.records import Which
from harness.spec.designs import PLANNED, TOGETHER
from harness.spec.overlay import SECTIONS
from harness.strict_yaml.located import Node, join

TOP_KEYS = ("study", "question", "notes", "plugins", "base", "variants", "seeds", "compare", "profiles")
VARIANT_KEYS = ("from", "like", "set", "components", "design", "notes")
PROFILE_KEYS = ("set", "seeds", "components")
COMPARE_KEYS = ("reference", "margin")
DEFAULT_MARGIN = 0.005
DEFAULT_PARTS = {"optimizer": {"name": "adam"}, "schedule": {"name": "constant"}}
SLUG = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
SLUG_IN_WORDS = "a name consists of letters, digits, - _ and ., and begins with a letter, a digit or _"
MODULE = r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*"
WHICH: tuple[Which, ...] = get_args(Which)


@dataclass(frozen=True)
class VariantOutline:
    """A variant as written."""

    name: str
    node: Node
    start: tuple[str, Which] | None
    """Variant, and which of its checkpoints, that a run's weights start from."""
    like: str | None
    """Variant whose settings these are a change of; None changes the base."""
    changes: Node
    components: Mapping[str, Node]
    design: str
    notes: str


@dataclass(frozen=True)
class Profile:
    """A named change of the base, the seeds and the components."""

    changes: Node
    seeds: tuple[int, ...] | None
    components: Mapping[str, Node]


@dataclass(frozen=True)
class Outline:
    """A spec as written."""

    study: str
    question: str
    notes: str
    plugins: tuple[Node, ...]
    base: Node
    variants: Mapping[str, VariantOutline]
    seeds: tuple[int, ...]
    reference: str
    margin: float
    profiles: Mapping[str, Profile]


def read_outline(root: Node) -> Outline:
    """Check the top level of a spec, and that each variant it names exists and leads in no circle.

    Raises:
        InputError: the first thing that is wrong.
    """
    top = root.fields(TOP_KEYS, ("study", "question", "base", "variants"))
    variants = {name: _read_variant(name, node) for name, node in _named(top["variants"]).items()}
    if not variants:
        raise top["variants"].error("a study needs at least one variant, such as `baseline: {}`")
    _check_links(variants, "from", lambda variant: variant.start[0] if variant.start else None)
    _check_links(variants, "like", lambda variant: variant.like)
    compare = top["compare"].fields(COMPARE_KEYS) if "compare" in top else {}
    plugins = top["plugins"].items() if "plugins" in top else ()
    profiles = _named(top["profiles"]) if "profiles" in top else {}
    components = {name for variant in variants.values() for name in variant.components}
    return Outline(
        study=read_slug(top["study"]),
        question=top["question"].text(),
        notes=_optional_text(top),
        plugins=tuple(_read_module(node) for node in plugins),
        base=_read_base(top["base"]),
        variants=variants,
        seeds=_read_seeds(top["seeds"]) if "seeds" in top else (0,),
        reference=_read_reference(compare, variants),
        margin=_read_margin(compare["margin"]) if "margin" in compare else DEFAULT_MARGIN,
        profiles={name: _read_profile(node, components) for name, node in profiles.items()},
    )


def read_slug(node: Node) -> str:
    """Return a name that can stand in file names. Raises InputError where it cannot."""
    text = node.text()
    if not re.fullmatch(SLUG, text):
        raise node.error(f"{node.shown()} was given; {SLUG_IN_WORDS}")
    return text


def seeds_problem(seeds: Sequence[object]) -> str | None:
    """Return what is wrong with a list of seeds, in words; None when all is well."""
    wrong = [seed for seed in seeds if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0]
    if wrong or not seeds:
        return "seeds must be whole numbers from 0, at least one, such as [0, 1, 2]"
    if len(set(seeds)) < len(seeds):
        return "seeds must be distinct: the same seed is the same run"
    return None


def _named(node: Node) -> Mapping[str, Node]:
    for name, entry in node.mapping().items():
        if not re.fullmatch(SLUG, name):
            raise entry.key_error(f"'{name}' was given; {SLUG_IN_WORDS}")
    return node.mapping()


def _optional_text(entries: Mapping[str, Node]) -> str:
    return entries["notes"].text() if "notes" in entries else ""


def _read_base(node: Node) -> Node:
    """Return the base with the parts that a spec may leave out."""
    entries = node.fields(SECTIONS, ("data", "model", "loss"))
    defaults = {section: _constant(node, section, DEFAULT_PARTS.get(section, {})) for section in SECTIONS}
    return replace(node, value=MappingProxyType({**defaults, **entries}))


def _constant(parent: Node, section: str, values: Mapping[str, str]) -> Node:
    path = join(parent.path, section)
    entries = {key: Node(value, parent.where, parent.key_where, join(path, key)) for key, value in values.items()}
    return Node(MappingProxyType(entries), parent.where, parent.key_where, path)


def _nothing(parent: Node) -> Node:
    return replace(parent, value=MappingProxyType({}))


def _read_variant(name: str, node: Node) -> VariantOutline:
    entries = node.fields(VARIANT_KEYS)
    components = _named(entries["components"]) if "components" in entries else {}
    _refuse_empty(components)
    if "design" in entries and not components:
        raise entries["design"].key_error("a design combines components, and this variant has none")
    return VariantOutline(
        name=name,
        node=node,
        start=_read_start(entries["from"]) if "from" in entries else None,
        like=entries["like"].text() if "like" in entries else None,
        changes=entries.get("set", _nothing(node)),
        components=components,
        design=_read_design(entries["design"]) if "design" in entries else TOGETHER,
        notes=_optional_text(entries),
    )


def _refuse_empty(components: Mapping[str, Node]) -> None:
    for component in components.values():
        if not component.mapping():
            raise component.error("a component changes something: write dotted keys, as below `set`")


def _read_start(node: Node) -> tuple[str, Which]:
    name, at, which = node.text().rpartition("@")
    for known in WHICH:
        if at and which == known:
            return name, known
    came = f"'{which}' was given after @" if at else f"{node.shown()} was given"
    raise node.error(f"{came}; write {name or which}@best or {name or which}@last")


def _read_design(node: Node) -> str:
    design = node.text()
    if design in PLANNED:
        raise node.error(f"the design '{design}' is not available in this version; {TOGETHER} is")
    if design != TOGETHER:
        raise node.error(f"there is no design '{design}'; {did_you_mean(design, [TOGETHER])}")
    return design


def _check_links(
    variants: Mapping[str, VariantOutline], key: str, parent_of: Callable[[VariantOutline], str | None]
) -> None:
    for name, variant in variants.items():
        chain, parent = [name], parent_of(variant)
        while parent is not None:
            node = variants[chain[-1]].node.mapping()[key]
            if parent not in variants:
                raise node.error(f"there is no variant '{parent}'; {did_you_mean(parent, variants)}")
            chain.append(parent)
            if parent == name:
                raise variant.node.mapping()[key].error(f"the variants lead in a circle: {' -> '.join(chain)}")
            parent = None if parent in chain[:-1] else parent_of(variants[parent])


def _read_seeds(node: Node) -> tuple[int, ...]:
    seeds = [item.plain() for item in node.items()]
    problem = seeds_problem(seeds)
    if problem:
        raise node.error(f"{node.shown()} was given; {problem}")
    return tuple(seeds)


def _read_reference(compare: Mapping[str, Node], variants: Mapping[str, VariantOutline]) -> str:
    if "reference" not in compare:
        return next(iter(variants))
    reference = compare["reference"].text()
    if reference not in variants:
        raise compare["reference"].error(f"there is no variant '{reference}'; {did_you_mean(reference, variants)}")
    return reference


def _read_margin(node: Node) -> float:
    margin = node.value
    if isinstance(margin, bool) or not isinstance(margin, int | float) or not 0 <= margin < 1:
        raise node.error(f"{node.shown()} was given; the margin is a fraction below 1, such as {DEFAULT_MARGIN}")
    return float(margin)


def _read_profile(node: Node, known_components: Iterable[str]) -> Profile:
    entries = node.fields(PROFILE_KEYS)
    components = entries["components"].fields(sorted(known_components)) if "components" in entries else {}
    _refuse_empty(components)
    return Profile(
        changes=entries.get("set", _nothing(node)),
        seeds=_read_seeds(entries["seeds"]) if "seeds" in entries else None,
        components=components,
    )


def _read_module(node: Node) -> Node:
    if not re.fullmatch(MODULE, node.text()):
        raise node.error(f"{node.shown()} was given; a plugin is a module's name, such as my_lab.losses")
    return node
