"""Dotted keys change one setting; whole parts are replaced, never merged; null removes a term; nothing is edited."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import InputError
from harness.spec.overrides import apply_changes, overlap
from harness.strict_yaml.located import parse_yaml

BASE = {
    "data": {"name": "toy_scenes", "size": [8, 8]},
    "model": {"name": "toy_net"},
    "loss": {"one": {}, "two": {"weight": 2.0}},
    "augment": {},
    "optimizer": {"name": "toy_descent", "lr": 0.1},
    "schedule": {"name": "toy_flat"},
    "train": {"epochs": 3},
    "evaluate": {},
}


def tree(value):
    return parse_yaml(json.dumps(value), lambda line, column: f"{line}:{column}")


def changed(changes):
    return apply_changes(tree(BASE), tree(changes)).plain()


@pytest.mark.parametrize(
    ("changes", "section", "expected"),
    [
        ({"optimizer.lr": 0.2}, "optimizer", {"name": "toy_descent", "lr": 0.2}),
        ({"optimizer.momentum": 0.9}, "optimizer", {"name": "toy_descent", "lr": 0.1, "momentum": 0.9}),
        ({"optimizer": {"name": "other"}}, "optimizer", {"name": "other"}),
        ({"optimizer": {"name": "other"}, "optimizer.lr": 1.0}, "optimizer", {"name": "other", "lr": 1.0}),
        (
            {"optimizer.multipliers.head": 0.5},
            "optimizer",
            {"name": "toy_descent", "lr": 0.1, "multipliers": {"head": 0.5}},
        ),
        ({"data.size": [4, 4]}, "data", {"name": "toy_scenes", "size": [4, 4]}),
        ({"train.clip_norm": None}, "train", {"epochs": 3, "clip_norm": None}),
        ({"train": {}}, "train", {}),
        ({"train.early_stop.patience": 2}, "train", {"epochs": 3, "early_stop": {"patience": 2}}),
        ({"loss.two": {}}, "loss", {"one": {}, "two": {}}),
        ({"loss.two.weight": 3.0}, "loss", {"one": {}, "two": {"weight": 3.0}}),
        ({"loss.one": None}, "loss", {"two": {"weight": 2.0}}),
        ({"loss": {"three": {}}}, "loss", {"three": {}}),
        (
            {"loss.three": {}, "loss.three.weight": 0.5},
            "loss",
            {"one": {}, "two": {"weight": 2.0}, "three": {"weight": 0.5}},
        ),
    ],
)
def test_changes(changes, section, expected):
    result = changed(changes)
    assert result.pop(section) == expected
    assert result == {name: value for name, value in BASE.items() if name != section}


def test_terms_keep_their_places_and_new_ones_come_last():
    assert list(changed({"loss.three": {}, "loss.one": {"weight": 5.0}})["loss"]) == ["one", "two", "three"]
    assert list(changed({"loss.one": None, "loss.one ": {}})["loss"]) == ["two", "one "]


def test_the_tree_that_was_changed_is_as_before():
    before = tree(BASE)
    apply_changes(before, tree({"optimizer.lr": 9.0, "loss.one": None, "model": {"name": "other"}}))
    assert before.plain() == BASE


def test_a_changed_setting_keeps_the_place_where_it_was_written():
    changes = parse_yaml("\n\noptimizer.lr: fast", lambda line, column: f"elsewhere:{line}:{column}", "set")
    node = apply_changes(tree(BASE), changes).mapping()["optimizer"].mapping()["lr"]
    assert (node.where, node.key_where, node.path) == ("elsewhere:3:15", "elsewhere:3:1", "set.optimizer.lr")


independent = st.dictionaries(
    st.sampled_from(["optimizer.lr", "model.width", "data.size", "train.epochs", "loss.one.weight", "evaluate.size"]),
    st.integers(0, 9),
)


@settings(deadline=None)
@given(independent, st.randoms())
def test_keys_that_do_not_overlap_may_stand_in_any_order(changes, random):
    shuffled = list(changes.items())
    random.shuffle(shuffled)
    assert changed(changes) == changed(dict(shuffled))


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["name", "lr", "momentum", "x"]), st.integers(0, 9)))
def test_a_part_is_replaced_and_never_merged(part):
    assert changed({"optimizer": part})["optimizer"] == part


@settings(deadline=None)
@given(independent)
def test_applying_twice_is_applying_once(changes):
    once = apply_changes(tree(BASE), tree(changes))
    assert apply_changes(once, tree(changes)).plain() == once.plain()


def test_removing_twice_is_an_error():
    once = apply_changes(tree(BASE), tree({"loss.one": None}))
    with pytest.raises(InputError, match="no term 'one'"):
        apply_changes(once, tree({"loss.one": None}))


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("optimizer.lr", "optimizer.lr", True),
        ("optimizer", "optimizer.lr", True),
        ("loss.dice.weight", "loss.dice", True),
        ("loss.dice", "loss.dice_two", False),
        ("optimizer.lr", "optimizer.momentum", False),
    ],
)
def test_overlap(a, b, expected):
    assert overlap(a, b) is expected
    assert overlap(b, a) is expected
