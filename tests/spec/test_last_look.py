"""Seeds planned after the last look: said in one line, before anything is trained."""

from dataclasses import replace

import pytest

from harness.records import Plan, Run
from harness.spec.lint_power import past_last_look
from harness.stats.looks import TakenLook


def make_plan(seeds, declared=()):
    runs = [Run(f"{name}{seed}", name, seed, config=None, inputs={}) for name in "abc" for seed in range(seeds)]
    return replace(Plan("study", "?", "a", 0.0, tuple(runs)), looks=declared)


def looked(*numbers, names="abc"):
    return tuple(TakenLook({name: dict.fromkeys(range(number), "") for name in names}) for number in numbers)


@pytest.mark.parametrize(
    ("seeds", "declared", "taken"),
    [(10, (3, 5, 10), ()), (12, (), looked(3)), (10, (), looked(3)), (10, (3, 10), looked(3, 10)), (20, (), ())],
)
def test_nothing_is_said_where_a_look_is_left(seeds, declared, taken):
    assert list(past_last_look(make_plan(seeds, declared), taken)) == []


def test_seeds_after_the_last_look_are_told_with_the_comparisons():
    assert list(past_last_look(make_plan(12), (*looked(3), *looked(10, names="ab")))) == [
        "seeds: 12 are planned, and no look is left at b against a after that at 10 seeds: what is not called yet stays"
        " undecided"
    ]
    (told,) = past_last_look(make_plan(7, (3, 5)), looked(3, 5))
    assert told.startswith("seeds: 7 are planned, and no look is left at b, c against a after that at 5 seeds")


def test_seeds_after_the_declared_looks_are_told():
    assert list(past_last_look(make_plan(12, (3, 5, 10)), ())) == [
        "seeds: 12 are planned, and compare.looks ends at 10: after a look there nothing more is called; write 12 as"
        " its last, or fewer seeds"
    ]
