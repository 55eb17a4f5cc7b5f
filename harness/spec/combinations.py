"""A variant with components as written -> its family: the combinations that its designs make and its rules allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from harness.errors import did_you_mean
from harness.spec.designs import DESIGNS, FACTORIAL, FRACTIONAL, TOGETHER, Combination, combine
from harness.spec.names import read_named
from harness.strict_yaml.located import Node

MOST_COMPONENTS = 64
"""Components of one variant: designs of more make no report that could be read."""
MOST_VARIANTS = 10_000
"""Combinations of components of a variant, and variants of a study."""
Rule = Mapping[str, tuple[Node, Mapping[str, Node]]]
"""Component -> where its rule stands, and each component that it names -> where it names it."""


@dataclass(frozen=True)
class Member:
    """One combination of a family."""

    name: str
    """Name of the variant that it becomes."""
    on: Combination
    designs: tuple[str, ...]
    """Those of the family's designs that make it."""


@dataclass(frozen=True)
class Family:
    """A variant's components, and the combinations of them that run."""

    components: Mapping[str, Node]
    needs: Mapping[str, tuple[str, ...]]
    """Component -> those without which it does not run."""
    members: tuple[Member, ...]
    left_out: tuple[str, ...] = ()
    """Combinations that a design makes and a rule forbids: a sentence for each."""


def read_family(name: str, entries: Mapping[str, Node]) -> Family:
    """Read a variant's components, their rules and its designs.

    Raises:
        InputError: a design is not known, a rule names what is not there or can never be kept.
    """
    if "components" not in entries:
        for key in ("design", "needs", "excludes"):
            if key in entries:
                raise entries[key].key_error(f"{key} speaks of components, and this variant has none")
        return Family({}, {}, (Member(name, frozenset(), ()),))
    components = read_named(entries["components"])
    refuse_empty(components)
    needs = _read_rule(entries["needs"], components) if "needs" in entries else {}
    excludes = _read_rule(entries["excludes"], components) if "excludes" in entries else {}
    _check_rules(needs, excludes)
    designs = _read_designs(entries["design"]) if "design" in entries else (TOGETHER,)
    _check_number(entries, designs, len(components))
    if FRACTIONAL in designs and (needs or excludes):
        raise entries["design"].error("a fraction says nothing unless all of it runs; with rules, write factorial")
    return _make_family(name, entries, (needs, excludes), designs)


def _check_number(entries: Mapping[str, Node], designs: Sequence[str], components: int) -> None:
    """Refuse more combinations than can be planned, before any is made."""
    if components > MOST_COMPONENTS:
        raise entries["components"].error(
            f"{components} components were given; a variant has {MOST_COMPONENTS} at most: write those together that"
            " need no effect of their own, or divide them among several variants"
        )
    for design in designs:
        number = DESIGNS[design].count(components)
        if number > MOST_VARIANTS:
            raise entries["design"].error(
                f"{design} makes {number:,} combinations of {components} components, and a study has"
                f" {MOST_VARIANTS:,} variants at most; write leave_one_out ({components + 1} combinations), fractional,"
                " or fewer components"
            )


def refuse_empty(components: Mapping[str, Node]) -> None:
    """Check that each component sets something. Raises InputError for the first that does not."""
    for component in components.values():
        if not component.mapping():
            raise component.error("a component changes something: write dotted keys, as below `set`")


def member_name(family: str, components: Sequence[str], on: Combination) -> str:
    """Return the name of a combination: it says which components are on, or which few are off."""
    named = [name for name in components if name in on]
    off = [name for name in components if name not in on]
    if not off:
        return family
    if not named:
        return f"{family}-none"
    if len(off) < len(named):
        return f"{family}-no-{'.'.join(off)}"
    return f"{family}-only-{named[0]}" if len(named) == 1 else f"{family}-{'.'.join(named)}"


def _broken_rule(on: Combination, needs: Rule, excludes: Rule) -> str | None:
    """Return which rule a combination breaks, in words; None where it breaks none."""
    for verb, rule in (("needs", needs), ("excludes", excludes)):
        for name in (name for name in rule if name in on):
            wrong = [other for other in rule[name][1] if (other in on) is (verb == "excludes")]
            if wrong:
                return f"{name} {verb} {wrong[0]}"
    return None


def _make_family(name: str, entries: Mapping[str, Node], rules: tuple[Rule, Rule], designs: Sequence[str]) -> Family:
    components = entries["components"].mapping()
    order = tuple(components)
    members: dict[str, Member] = {}
    left_out: list[str] = []
    for on, makers in combine(designs, order).items():
        own = member_name(name, order, on)
        broken = _broken_rule(on, *rules)
        # Without all components on, these designs have nothing to measure from: that is an error and no gap.
        about_all = [design for design in makers if own == name and design != FACTORIAL]
        if broken and about_all:
            raise entries["excludes"].error(
                f"{broken}, and the design {about_all[0]} is about all components on; write one_at_a_time or factorial"
            )
        if broken:
            left_out.append(f"{own} is left out: {broken}")
        elif own in members:
            raise entries["components"].error(f"two combinations would be called {own}; rename a component")
        else:
            members[own] = Member(own, on, makers)
    for component, node in components.items():
        if not any(component in member.on for member in members.values()):
            raise node.key_error(f"'{component}' is on in no combination that its rules allow of {', '.join(designs)}")
    return Family(components, _names(rules[0]), tuple(members.values()), tuple(left_out))


def _read_designs(node: Node) -> tuple[str, ...]:
    items = node.items() if isinstance(node.value, tuple) else (node,)
    if not items:
        raise node.error(f"[] was given; write one design or more of {', '.join(DESIGNS)}")
    designs: list[str] = []
    for item in items:
        design = item.text()
        if design not in DESIGNS:
            raise item.error(f"there is no design '{design}'; {did_you_mean(design, DESIGNS)}")
        if design in designs:
            raise item.error(f"the design '{design}' is written twice")
        designs.append(design)
    return tuple(designs)


def _read_rule(node: Node, components: Mapping[str, Node]) -> Rule:
    rule: dict[str, tuple[Node, Mapping[str, Node]]] = {}
    for name, entry in node.fields(tuple(components)).items():
        others: dict[str, Node] = {}
        for item in entry.items():
            other = item.text()
            if other not in components:
                raise item.error(f"there is no component '{other}' here; {did_you_mean(other, components)}")
            others[other] = item
        if not others:
            raise entry.error("[] was given; name one component or more, or leave the rule out")
        rule[name] = (entry, others)
    return rule


def _names(rule: Rule) -> dict[str, tuple[str, ...]]:
    return {name: tuple(others) for name, (_, others) in rule.items()}


def _check_rules(needs: Rule, excludes: Rule) -> None:
    for name, (_, others) in excludes.items():
        if name in others:
            raise others[name].error(f"'{name}' excludes itself: it could never be on")
    links = _names(needs)
    try:
        TopologicalSorter(links).prepare()
    except CycleError as error:
        circle = error.args[1][::-1]  # it comes as needed before needing
        raise needs[circle[0]][0].error(f"the components need each other in a circle: {' -> '.join(circle)}") from None
    for name, (node, _) in needs.items():
        on = _with_needed(name, links)
        if broken := _broken_rule(on, {}, excludes):
            raise node.error(f"'{name}' could never be on: with what it needs, {broken}")


def _with_needed(name: str, links: Mapping[str, tuple[str, ...]]) -> Combination:
    return frozenset({name}).union(*(_with_needed(other, links) for other in links.get(name, ())))
