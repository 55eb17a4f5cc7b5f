"""A study in YAML -> a Spec: every variant a complete config, checked, before anything is trained."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from harness.errors import InputError, did_you_mean
from harness.fingerprint import canonical
from harness.records import RunConfig
from harness.spec.compare import Compare, is_of_compare, override_compare, split_override
from harness.spec.conflicts import find_conflict
from harness.spec.names import read_slug
from harness.spec.outline import Outline, Profile, Variant, VariantOutline, read_modules, read_outline, seeds_problem
from harness.spec.overrides import apply_change, apply_changes, overlap
from harness.spec.plugins import import_plugin
from harness.spec.read_tuning import read_tuning
from harness.spec.resolve import resolve, what_weights_need
from harness.spec.tuning import Tuning
from harness.strict_yaml.located import Node, parse_file, parse_yaml, read_file

Written = TypeVar("Written", VariantOutline, Variant)


@dataclass(frozen=True)
class Spec:
    """A study as asked for: what is compared with what, and why."""

    study: str
    question: str
    compare: Compare
    seeds: tuple[int, ...]
    plugins: tuple[str, ...]
    """Modules outside harness that define parts."""
    variants: tuple[Variant, ...]
    """In the order of the file, the combinations of one variant together."""
    component_keys: Mapping[str, tuple[str, ...]]
    """Component -> dotted keys that it sets."""
    left_out: tuple[str, ...]
    """Combinations that a design makes and a rule forbids: a sentence for each."""
    text: str
    """The file as it was read."""
    path: Path
    profile: str | None = None
    overrides: tuple[str, ...] = ()
    """`key=value` texts that changed the base, or `compare`."""
    seeds_given: bool = False
    """Whether the seeds stand in for those of the file."""
    tune: Tuning | None = None
    """The search for each variant's best settings."""


def load_spec(
    path: Path | str,
    *,
    profile: str | None = None,
    overrides: Sequence[str] = (),
    seeds: Sequence[int] | None = None,
) -> Spec:
    """Read a study from YAML, strictly. Modules that it names as plugins are imported.

    The base is changed first by the profile's `set`, then by `overrides` (`key=value`, the value in YAML); each variant
    changes that base, or the settings of the variant it is `like`, by its own `set` and then its components. Overrides
    of `compare` change that section. `seeds` stand in for those of the profile and of the file. Relative paths in
    settings are kept as written.

    Raises:
        InputError: the first thing that is wrong: `path:line:column: key.path: what came; what would work`.
    """
    path = Path(path)
    text = read_file(path)
    changes = [split_override(override) for override in overrides]
    root = parse_yaml(text, lambda line, column: f"{path}:{line}:{column}")
    outline = read_outline(override_compare(root, changes))
    chosen = None if profile is None else outline.profiles.get(profile)
    if profile is not None and chosen is None:
        raise InputError(f"--profile {profile}: {path} has no such profile; {did_you_mean(profile, outline.profiles)}")
    outline = _with_profile(outline, chosen) if chosen else outline
    _check_components(outline)
    base = apply_changes(outline.base, chosen.changes) if chosen else outline.base
    for key, value in changes:
        base = base if is_of_compare(key) else apply_change(base, key, value)
    plugins = _import_plugins(outline.plugins)
    variants = _resolve_variants(outline, base, plugins)
    settings = {name: node for variant in outline.variants.values() for name, node in variant.components.items()}
    if seeds is not None and (problem := seeds_problem(seeds)):
        raise InputError(f"--seeds {','.join(map(str, seeds))}: {problem}")
    return Spec(
        study=outline.study,
        question=outline.question,
        compare=outline.compare,
        seeds=outline.seeds if seeds is None else tuple(seeds),
        plugins=plugins,
        variants=variants,
        component_keys={name: tuple(settings[name].mapping()) for name in outline.components},
        left_out=outline.left_out,
        text=text,
        path=path,
        profile=profile,
        overrides=tuple(overrides),
        seeds_given=seeds is not None,
        tune=read_tuning(outline.tune, variants) if outline.tune else None,
    )


def read_study_name(path: Path) -> str:
    """Return the name of the study that a spec is about, without checking the rest.

    Raises:
        InputError: the file cannot be read, or has no valid `study`.
    """
    root = parse_file(path)
    if "study" not in root.mapping():
        raise root.error("the key 'study' is missing")
    return read_slug(root.mapping()["study"])


def import_plugins_of(path: Path) -> tuple[str, ...]:
    """Import the modules that a spec names as plugins, without checking the rest, and return their names.

    Raises:
        InputError: the file cannot be read, or a module cannot be imported.
    """
    return _import_plugins(read_modules(parse_file(path).mapping()))


def _with_profile(outline: Outline, profile: Profile) -> Outline:
    """Return the study with the profile's seeds, and its components in place of those of the same name."""
    variants = {
        name: replace(variant, components={n: profile.components.get(n, c) for n, c in variant.components.items()})
        for name, variant in outline.variants.items()
    }
    return replace(outline, variants=variants, seeds=profile.seeds or outline.seeds)


def _import_plugins(nodes: Collection[Node]) -> tuple[str, ...]:
    for node in nodes:
        try:
            import_plugin(node.text())
        except InputError as error:
            raise node.error(str(error)) from error
    return tuple(node.text() for node in nodes)


def _resolve_variants(outline: Outline, base: Node, plugins: tuple[str, ...]) -> tuple[Variant, ...]:
    trees: dict[str, Node] = {}
    on: dict[str, frozenset[str]] = {}
    made: dict[str, Variant] = {}
    checked: set[tuple[str, str]] = set()
    for written in parents_first(outline.variants, lambda item: outline.variants[item.like] if item.like else None):
        # Settings are those of the parent, then the variant's `set`, then its components: later ones win.
        start = apply_changes(trees[written.like] if written.like else base, written.changes)
        trees[written.name] = _with_components(start, written)
        on[written.name] = frozenset(written.components) | (on[written.like] if written.like else frozenset())
        config = resolve(trees[written.name], plugins)
        if clash := find_conflict(config):
            raise trees[written.name].mapping()["train"].mapping()[clash.key].error(clash.problem)
        # A component means the same in each combination, so one check in a family is enough; a design has thousands.
        unchecked = [name for name in written.components if (written.family, name) not in checked]
        _refuse_idle_components(start, written, unchecked, config)
        checked |= {(written.family, name) for name in unchecked}
        made[written.name] = Variant(
            name=written.name,
            family=written.family,
            design=written.design,
            config=config,
            start=written.start,
            like=written.like,
            components={name: name in on[written.name] for name in outline.components},
            tree=trees[written.name],
        )
    for written in outline.variants.values():
        if written.start:
            _check_start(written, made[written.name].config, made[written.start[0]].config)
    return tuple(made[name] for name in outline.variants)


def parents_first(variants: Mapping[str, Written], parent_of: Callable[[Written], Written | None]) -> list[Written]:
    """Return variants, each after its parent, otherwise in the order given; a parent that is not given comes too.

    Children stand right behind a parent that had to be moved up for them, which no order by levels (graphlib) keeps.
    """
    ordered: dict[str, Written] = {}
    for variant in variants.values():
        chain = [variant]
        while (parent := parent_of(chain[-1])) is not None:
            chain.append(parent)
        ordered |= {item.name: item for item in reversed(chain) if item.name not in ordered}
    return list(ordered.values())


def command_of(spec: Spec, command: str, *options: str) -> str:
    """Return the command line that gives a study to a command of harness, as it was read."""
    words = ["harness", command, str(spec.path), *options]
    words += ["--profile", spec.profile] if spec.profile else []
    words += [word for override in spec.overrides for word in ("--set", override)]
    words += ["--seeds", ",".join(map(str, spec.seeds))] if spec.seeds_given else []
    return shlex.join(words)


def _with_components(tree: Node, variant: VariantOutline, without: str | None = None) -> Node:
    for name, component in variant.components.items():
        if name != without:
            tree = apply_changes(tree, component)
    return tree


def _refuse_idle_components(start: Node, variant: VariantOutline, names: Sequence[str], config: RunConfig) -> None:
    for name in names:
        try:
            without = resolve(_with_components(start, variant, without=name), config.plugins)
        except InputError:
            continue  # without this component the settings are not even complete: it changes something
        if without == config:
            raise variant.components[name].key_error(f"the component '{name}' changes nothing in '{variant.name}'")


def _check_components(outline: Outline) -> None:
    """Check that a component means one thing in the study, and that no two that run together set the same.

    A component may change what one that it needs sets as a whole, if it is written after that one.

    Raises:
        InputError: the first one that does not.
    """
    meaning: dict[str, Node] = {}
    for variant in outline.variants.values():
        for name, component in variant.components.items():
            first = meaning.setdefault(name, component)
            if canonical(component.plain()) != canonical(first.plain()):
                raise component.error(f"the component '{name}' is another one at {first.where}; give it its own name")
        _refuse_overlap(variant)


def _refuse_overlap(variant: VariantOutline) -> None:
    setters: dict[str, str] = {}
    for name, component in variant.components.items():
        for key, node in component.mapping().items():
            for other, setter in setters.items():
                refines = setter in variant.needs.get(name, ()) and key.startswith(f"{other}.")
                if overlap(key, other) and not refines:
                    raise node.key_error(f"the component '{setter}' sets {other} too; one of the two must not")
        setters |= dict.fromkeys(component.mapping(), name)


def _check_start(variant: VariantOutline, config: RunConfig, parent: RunConfig) -> None:
    """Check that a run can begin with the weights of the run it starts from, and that they mean the same there.

    Raises:
        InputError: model, data or normalisation differ; the message says how.
    """
    here, there = what_weights_need(config), what_weights_need(parent)
    for key in dict.fromkeys([*here, *there]):
        if here.get(key) != there.get(key):
            assert variant.start is not None
            raise variant.node.mapping()["from"].error(
                f"'{variant.name}' cannot start from the weights of '{variant.start[0]}': {key} is"
                f" {canonical(here.get(key))} here and {canonical(there.get(key))} there; make them equal, or write"
                " `like` in place of `from` to take over settings without weights"
            )
