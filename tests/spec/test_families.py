"""A variant with components and designs becomes a variant for each combination, with a name that says which."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from golden_files import require_golden
from hypothesis import given
from hypothesis import strategies as st
from plans import FAMILIES, as_table, plan_of
from toys import MINIMAL

from harness.spec.combinations import member_name
from harness.spec.designs import DESIGNS
from harness.spec.names import SLUG
from harness.spec.plan import select
from harness.spec.plan_json import plan_from_json, plan_to_json

GOLDEN = Path(__file__).parent / "golden"


def test_golden_plan_of_families(write_spec):
    plan = plan_of(write_spec(FAMILIES))
    lines = [f"{run.label}: {run.family} {'+'.join(run.design)}" for run in plan.runs if run.seed == 0]
    text = as_table(plan) + "\n".join([*lines, *plan.left_out]) + "\n"
    require_golden(GOLDEN / "families.txt", text)


def test_a_family_stands_for_all_its_components_on(write_spec):
    plan = plan_of(write_spec(FAMILIES))
    runs = {run.label: run for run in plan.runs}
    assert plan.reference == "phase"
    assert all(runs["phase/seed0"].components[name] for name in ("rare", "overlap", "mirror", "cut"))
    assert runs["after/seed1"].start.run_id == runs["phase/seed1"].id
    assert runs["after/seed0"].settings_from == "phase-no-cut"
    assert not runs["after/seed0"].components["cut"]
    assert runs["kinds-none/seed0"].config == runs["phase/seed0"].config
    assert not any(runs["phase-none/seed0"].components.values())


def test_combinations_of_a_family_and_of_one_of_its_designs(write_spec):
    plan = plan_of(write_spec(FAMILIES))
    assert plan.combinations("phase", "add_one_in") == {
        frozenset({"rare", "overlap", "mirror", "cut"}): "phase",
        frozenset({"rare", "overlap", "mirror"}): "phase-no-cut",
        frozenset(): "phase-none",
        frozenset({"rare"}): "phase-only-rare",
        frozenset({"rare", "overlap"}): "phase-rare.overlap",
    }
    assert len(plan.combinations("phase")) == 8
    assert plan.combinations("kinds")[frozenset({"slow"})] == "kinds-only-slow"
    assert plan.combinations("plain") == {frozenset(): "plain"}
    assert plan.combinations("nobody") == {}


def test_only_selects_a_family_or_one_combination(write_spec):
    plan = plan_of(write_spec(FAMILIES))
    assert len(select(plan, ["phase"]).variants) == 1 + 8
    assert select(plan, ["phase-no-cut"]).variants == ("plain", "phase-no-cut")


def test_left_out_combinations_are_told(write_spec):
    plan = plan_of(write_spec(FAMILIES))
    assert "kinds-only-wide is left out: wide needs smooth" in plan.left_out
    assert "kinds-slow.fast is left out: slow excludes fast" in plan.left_out
    assert len(plan.left_out) == 16 - len(plan.combinations("kinds")) == 16 - 3 * 3


def test_a_component_refines_what_it_needs(write_spec):
    runs = {run.label: run for run in plan_of(write_spec(FAMILIES)).runs}
    assert runs["kinds-smooth.wide/seed0"].config.model.own["width"] == 16
    assert runs["kinds-only-smooth/seed0"].config.model.own["width"] == 4


def test_families_survive_json(write_spec):
    plan = plan_of(write_spec(FAMILIES))
    assert plan_from_json(json.loads(json.dumps(plan_to_json(plan)))) == plan


def test_plans_written_before_families_are_read(write_spec):
    entry = plan_to_json(plan_of(write_spec(MINIMAL)))
    old = {**entry, "version": 1, "runs": [dict(run) for run in entry["runs"]]}
    for keys, part in ((("component_keys", "left_out"), old), (("family", "design"), old["runs"][0])):
        for key in keys:
            del part[key]
    assert plan_from_json(old) == plan_from_json(entry)


names = st.from_regex(r"[A-Za-z0-9_]{1,6}", fullmatch=True)


@given(family=names, components=st.lists(names, min_size=1, max_size=6, unique=True))
def test_names_are_slugs_and_unique(family, components):
    made = [member_name(family, components, on) for on in DESIGNS["factorial"].combine(components)]
    assert all(re.fullmatch(SLUG, name) for name in made)
    assert len(set(made)) == len(made)


@pytest.mark.parametrize(
    ("on", "name"),
    [
        ("", "p-none"),
        ("a", "p-only-a"),
        ("ab", "p-a.b"),
        ("abd", "p-a.b.d"),
        ("abcd", "p-no-e.f"),
        ("bcdef", "p-no-a"),
        ("abcdef", "p"),
    ],
)
def test_names_say_the_shorter_side(on, name):
    assert member_name("p", "abcdef", frozenset(on)) == name
