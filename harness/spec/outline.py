"""The top level of a spec: its keys checked and sorted out, the settings themselves still as written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from harness.errors import did_you_mean
from harness.records import RunConfig, Which
from harness.spec.combinations import MOST_VARIANTS, Family, read_family, refuse_empty
from harness.spec.compare import COMPARE, WHICH, Compare, read_compare
from harness.spec.names import read_named, read_slug
from harness.spec.overrides import SECTIONS
from harness.strict_yaml.located import Node, join

TOP_KEYS = ("study", "question", "notes", "plugins", "base", "variants", "seeds", COMPARE, "tune", "profiles")
VARIANT_KEYS = ("from", "like", "set", "components", "needs", "excludes", "design", "notes")
DEFAULT_PARTS = {"optimizer": {"name": "adam"}, "schedule": {"name": "constant"}}
MOST_SEEDS = 10_000
MODULE = r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*"


@dataclass(frozen=True)
class VariantOutline:
    """One combination of a variant's components, or a variant without any, its settings as written."""

    name: str
    family: str
    """The variant as written."""
    node: Node
    start: tuple[str, Which] | None
    """Variant, and which of its checkpoints, that a run's weights start from."""
    like: str | None
    """Variant whose settings these are a change of; None changes the base."""
    changes: Node
    components: Mapping[str, Node]
    """Those that are on."""
    needs: Mapping[str, tuple[str, ...]]
    """Component -> those without which it does not run."""
    design: tuple[str, ...]
    """Designs that make this combination."""


@dataclass(frozen=True)
class Variant:
    """One level of a study: a complete config for each seed, and what it begins with."""

    name: str
    family: str
    """The variant as written that this is a combination of."""
    design: tuple[str, ...]
    """Designs that make this combination; none where there are no components."""
    config: RunConfig
    """Its config with seed 0; the runs have the study's seeds."""
    start: tuple[str, Which] | None
    """Variant, and which of its checkpoints, that the weights start from, seed to seed."""
    like: str | None
    """Variant whose settings these were written as a change of; None: the base."""
    components: Mapping[str, bool]
    """All components of the study, on or off here."""
    tree: Node
    """Its settings as written, changes applied."""


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
    plugins: tuple[Node, ...]
    base: Node
    variants: Mapping[str, VariantOutline]
    components: tuple[str, ...]
    """Names of all components, in the order written."""
    left_out: tuple[str, ...]
    """Combinations that a design makes and a rule forbids: a sentence for each."""
    seeds: tuple[int, ...]
    compare: Compare
    profiles: Mapping[str, Profile]
    tune: Node | None
    """The search for each variant's best settings, as written."""


def read_outline(root: Node) -> Outline:
    """Check the top level of a spec, and that each variant it names exists and leads in no circle.

    Raises:
        InputError: the first thing that is wrong.
    """
    top = root.fields(TOP_KEYS, ("study", "question", "base", "variants"))
    written = {name: node.fields(VARIANT_KEYS) for name, node in read_named(top["variants"]).items()}
    if not written:
        raise top["variants"].error("a study needs at least one variant, such as `baseline: {}`")
    families = {name: read_family(name, entries) for name, entries in written.items()}
    number = sum(len(family.members) for family in families.values())
    if number > MOST_VARIANTS:
        raise top["variants"].error(f"{number:,} variants were given; a study has {MOST_VARIANTS:,} at most")
    variants = _expand(top["variants"], families)
    _check_links(variants, "from", lambda variant: variant.start[0] if variant.start else None)
    _check_links(variants, "like", lambda variant: variant.like)
    profiles = read_named(top["profiles"]) if "profiles" in top else {}
    components = tuple(dict.fromkeys(name for family in families.values() for name in family.components))
    study, question = read_slug(top["study"]), top["question"].text()
    if "notes" in top:
        top["notes"].text()
    return Outline(
        study=study,
        question=question,
        plugins=read_modules(top),
        base=_read_base(top["base"]),
        variants=variants,
        components=components,
        left_out=tuple(sentence for family in families.values() for sentence in family.left_out),
        seeds=_read_seeds(top["seeds"]) if "seeds" in top else (0,),
        compare=read_compare(top.get(COMPARE), variants),
        profiles={name: _read_profile(node, components) for name, node in profiles.items()},
        tune=top.get("tune"),
    )


def seeds_problem(seeds: Sequence[object]) -> str | None:
    """Return what is wrong with a list of seeds, in words; None when all is well."""
    if len(seeds) > MOST_SEEDS:
        return f"{len(seeds):,} seeds; a study has {MOST_SEEDS:,} at most, and verdicts need three to ten"
    wrong = [seed for seed in seeds if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0]
    if wrong or not seeds:
        return "seeds must be whole numbers from 0, at least one, such as [0, 1, 2]"
    if len(set(seeds)) < len(seeds):
        return "seeds must be distinct: the same seed is the same run"
    return None


def _read_base(node: Node) -> Node:
    """Return the base with the parts that a spec may leave out."""
    entries = node.fields(SECTIONS, ("data", "model", "loss"))
    defaults = {section: _constant(node, section, DEFAULT_PARTS.get(section, {})) for section in SECTIONS}
    return node.holding({**defaults, **entries})


def _constant(parent: Node, section: str, values: Mapping[str, str]) -> Node:
    path = join(parent.path, section)
    entries = {key: Node(value, parent.where, parent.key_where, join(path, key)) for key, value in values.items()}
    return Node(MappingProxyType(entries), parent.where, parent.key_where, path)


def _expand(written: Node, families: Mapping[str, Family]) -> dict[str, VariantOutline]:
    """Return each combination of each variant as a variant of its own, by name."""
    variants: dict[str, VariantOutline] = {}
    for name, family in families.items():
        node = written.mapping()[name]
        entries = node.mapping()
        for member in family.members:
            variant = VariantOutline(
                name=member.name,
                family=name,
                node=node,
                start=_read_start(entries["from"]) if "from" in entries else None,
                like=entries["like"].text() if "like" in entries else None,
                changes=entries.get("set", node.holding({})),
                components={key: component for key, component in family.components.items() if key in member.on},
                needs=family.needs,
                design=member.designs,
            )
            if "notes" in entries:
                entries["notes"].text()
            if variant.name in variants or (variant.name in families and variant.name != name):
                raise variant.node.key_error(
                    f"a combination of '{name}' is called '{variant.name}', as another variant is; rename one"
                )
            variants[variant.name] = variant
    return variants


def _read_start(node: Node) -> tuple[str, Which]:
    name, at, which = node.text().rpartition("@")
    for known in WHICH:
        if at and which == known:
            return name, known
    came = f"'{which}' was given after @" if at else f"{node.shown()} was given"
    raise node.error(f"{came}; write {name or which}@best or {name or which}@last")


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


def _read_profile(node: Node, known_components: Iterable[str]) -> Profile:
    entries = node.fields(("set", "seeds", "components"))
    components = entries["components"].fields(sorted(known_components)) if "components" in entries else {}
    refuse_empty(components)
    return Profile(
        changes=entries.get("set", node.holding({})),
        seeds=_read_seeds(entries["seeds"]) if "seeds" in entries else None,
        components=components,
    )


def read_modules(top: Mapping[str, Node]) -> tuple[Node, ...]:
    """Return the modules that a study, whose top keys these are, names as plugins.

    Raises:
        InputError: one is no module's name.
    """
    nodes = tuple(top["plugins"].items()) if "plugins" in top else ()
    for node in nodes:
        if not re.fullmatch(MODULE, node.text()):
            raise node.error(f"{node.shown()} was given; a plugin is a module's name, such as my_lab.losses")
    return nodes
