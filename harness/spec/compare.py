"""`compare` of a spec: what verdicts are about. It decides no run: changed, nothing is trained again."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from types import MappingProxyType
from typing import Any, get_args

from harness.errors import InputError, did_you_mean
from harness.records import DEFAULT_EXPECTED, JudgedSplit, Plan, Which
from harness.strict_yaml.located import Node, parse_yaml

COMPARE = "compare"
DEFAULT_MARGIN = 0.005
FEWEST_AT_LOOK = 2
"""Seeds below which a look decides nothing."""
MOST_AT_LOOK = 1000
"""Seeds after which no study looks."""
WHICH: tuple[Which, ...] = get_args(Which)
SPLITS: tuple[JudgedSplit, ...] = get_args(JudgedSplit)


@dataclass(frozen=True)
class Compare:
    """What is compared with what, and how."""

    reference: str
    """Variant that the others are compared with."""
    margin: float = DEFAULT_MARGIN
    """Differences of miou_dataset below this do not matter (fraction)."""
    expected: float = DEFAULT_EXPECTED
    """Size of the differences that are expected before the study (fraction)."""
    epoch: Which = "best"
    """Which of a run's trained epochs is compared."""
    split: Node | None = None
    """The split that verdicts are given on, as written; None where none is named."""
    looks: tuple[int, ...] = ()
    """Numbers of seeds at which the results are looked at; empty where none are declared."""


def read_compare(node: Node | None, variants: Collection[str]) -> Compare:
    """Check `compare`; without a reference that is the first of the variants.

    Raises:
        InputError: the first thing that is wrong.
    """
    entries = node.fields(tuple(_READERS)) if node is not None else {}
    read: dict[str, Any] = {key: _READERS[key](entry) for key, entry in entries.items()}
    reference = read.setdefault("reference", next(iter(variants)))
    if reference not in variants:
        raise entries["reference"].error(f"there is no variant '{reference}'; {did_you_mean(reference, variants)}")
    return Compare(**read)


def split_override(override: str) -> tuple[str, Node]:
    """Return the dotted key and the value of a `key=value` text.

    Raises:
        InputError: it is no such text, or its value is no YAML.
    """
    place = f"--set {override}"
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise InputError(f"{place}: write key=value, such as --set optimizer.lr=0.01")
    key = key.strip()
    return key, parse_yaml(text, lambda line, column: place, key)


def is_of_compare(key: str) -> bool:
    """Tell whether a dotted key changes how runs are compared, and no run."""
    return key.partition(".")[0] == COMPARE


def override_compare(tree: Node, changes: Sequence[tuple[str, Node]]) -> Node:
    """Return a spec's tree with those of the changes that are of `compare` made in it."""
    for key, value in changes:
        if is_of_compare(key):
            _, dot, below = key.partition(".")
            old = tree.mapping().get(COMPARE) or value.holding({})
            new = old.holding({**old.mapping(), below: value}) if dot else value
            tree = tree.holding({**tree.mapping(), COMPARE: new})
    return tree


def compare_anew(plan: Plan, overrides: Sequence[str]) -> Plan:
    """Return a plan that is compared otherwise: `overrides` are `compare.key=value` texts. Its runs stay as they are.

    Raises:
        InputError: one of them would change a run, or is wrong.
    """
    changes = [split_override(override) for override in overrides]
    for key, value in changes:
        if not is_of_compare(key):
            raise value.key_error("what is trained does not change a report; only keys of compare do")
    root = Node(MappingProxyType({}), "--set", "--set", "")
    written = override_compare(root, changes).mapping().get(COMPARE)
    if written is None:
        return plan
    found = read_compare(written, plan.variants)
    new: dict[str, Any] = {key: getattr(found, key) for key in written.mapping()}
    if found.split is not None:
        new["split"] = found.split.value
    return replace(plan, concerns=None, **new)


def _read_margin(node: Node) -> float:
    margin = node.value
    if isinstance(margin, bool) or not isinstance(margin, int | float) or not 0 <= margin < 1:
        raise node.error(f"{node.shown()} was given; the margin is a fraction below 1, such as {DEFAULT_MARGIN}")
    return float(margin)


def _read_expected(node: Node) -> float:
    expected = node.value
    if isinstance(expected, bool) or not isinstance(expected, int | float) or not 0 < expected < 1:
        raise node.error(
            f"{node.shown()} was given; the differences that are expected before the study are a fraction above 0 and"
            f" below 1, such as {DEFAULT_EXPECTED} for one point"
        )
    return float(expected)


def _one_of(known: Sequence[str], what: str, node: Node) -> Node:
    if node.value not in known:
        raise node.error(f"{node.shown()} was given; {what} is {' or '.join(known)}")
    return node


def _read_looks(node: Node) -> tuple[int, ...]:
    looks = [item.plain() for item in node.items()]
    wrong = any(
        isinstance(look, bool) or not isinstance(look, int) or not FEWEST_AT_LOOK <= look <= MOST_AT_LOOK
        for look in looks
    )
    if wrong or not looks or any(later <= earlier for earlier, later in pairwise(looks)):
        raise node.error(
            f"{node.shown()} was given; looks are numbers of seeds, {FEWEST_AT_LOOK} to {MOST_AT_LOOK} and"
            " ascending, such as [3, 5, 10]"
        )
    return tuple(looks)


_READERS: Mapping[str, Any] = {
    "reference": Node.text,
    "margin": _read_margin,
    "expected": _read_expected,
    "epoch": lambda node: _one_of(WHICH, "the epoch that is compared", node).value,
    "split": partial(_one_of, SPLITS, "the split that verdicts are given on"),
    "looks": _read_looks,
}
