"""Which seeds are added at the next look, and until when: from made-up plans and claims, nothing is trained."""

import pytest
from open_claims import claim

from harness.errors import InputError
from harness.execute.until_decided import (
    count_seeds,
    first_plan,
    headlines,
    is_open,
    look_counts,
    next_plan,
    next_seeds,
    restrict,
)
from harness.records import Plan, Run, Start
from harness.report.study.claims import Comparison


def test_looks_are_the_declared_ones_or_the_planned_seeds_and_then_each_number():
    assert look_counts((3, 5, 10), 7, None) == (3, 5, 10)
    assert look_counts((3, 5, 10), 7, 6) == (3, 5)
    assert look_counts((), 4, None) == (4, 5, 6, 7, 8, 9, 10)
    assert look_counts((), 2, 5) == (3, 4, 5)
    assert look_counts((), 12, None) == tuple(range(12, 25))
    assert look_counts((), 3, 10) == (3, 4, 5, 6, 7, 8, 9, 10)
    assert look_counts((3, 5), 7, 3) == (3,)
    assert look_counts((3, 5), 7, 5) == (3, 5)


@pytest.mark.parametrize(
    ("declared", "most", "said"),
    [
        ((3, 5), 6, "--max-seeds 6: nothing is called after the last look, at 5 seeds; give that or less"),
        ((), 11, "after the last look, at 10 seeds; give that or less, or declare compare.looks"),
        ((), 3, "--max-seeds 3: the first look is at 4 seeds; give that or more"),
    ],
)
def test_an_end_that_is_no_look_is_refused(declared, most, said):
    with pytest.raises(InputError, match=said.replace(".", r"\.") + "$"):
        look_counts(declared, 4, most)


def test_what_is_open_gets_the_seeds_of_the_next_look_and_so_does_what_it_is_compared_with():
    seeds, counts = {"a": 5, "b": 5, "c": 3, "d": 5}, (3, 5, 10)
    claims = [claim("b"), claim("c", outcome="improved"), claim("d", chance=0.049)]
    assert next_seeds(claims, seeds, counts) == {"a": 10, "b": 10, "c": 3, "d": 5}
    assert next_seeds(claims[1:], seeds, counts) == {}
    assert next_seeds(claims, seeds, (3, 5)) == {}
    assert next_seeds(claims, seeds, (3, 5, 7, 9))["a"] == 7
    assert next_seeds(claims[:1], {"a": 4, "b": 4}, counts) == {"a": 5, "b": 5}
    assert next_seeds([claim("d", against="c")], seeds, counts) == {"a": 5, "b": 5, "c": 10, "d": 10}


def test_what_no_seed_decides_is_not_open():
    assert is_open(claim("b", chance=0.05))
    assert not is_open(claim("b", chance=0.0499))
    assert not is_open(claim("b", chance=None))
    assert not is_open(claim("b", chance=None, reason="few groups"))
    assert is_open(claim("b", chance=None, reason="one seed"))
    left = claim("b", chance=None, reason="seeds left out").model_copy(update={"left_out": (3, 4)})
    assert is_open(left, {0, 1, 2, 3, 4}), "a later look brings them back"
    assert not is_open(left, {0, 1, 2, 3}), "nothing brings seed 4 back"
    assert next_seeds([left], {"a": 3, "b": 3}, (3, 5), {0, 1, 2, 3, 4}) == {"a": 5, "b": 5}
    assert next_seeds([left], {"a": 3, "b": 3}, (3, 5), {0, 1, 2, 3}) == {}
    folds = claim("b", chance=None, reason="few folds", seeds=2).model_copy(update={"folds": 2, "all_folds": 5})
    assert is_open(folds)
    assert not is_open(folds.model_copy(update={"all_folds": 2})), "no seed brings a third fold"
    assert not any(is_open(claim("b", outcome=outcome)) for outcome in ("improved", "regressed", "equivalent"))


def planned(starts, seeds=(7, 0, 1, 4), ids=None):
    """Return the plan of variant -> the one that it starts from, seed by seed; `ids` names a variant's runs alike."""
    ids = {name: name for name in starts} | (ids or {})
    runs = [
        Run(f"{ids[name]}{seed}", name, seed, None, {}, start=start and Start(f"{ids[start]}{seed}", "best"))
        for name, start in starts.items()
        for seed in seeds
    ]
    return Plan("study", "?", "a", 0.01, tuple(runs), looks=(2, 3, 4))


def labels(plan):
    return {name: [run.seed for run in plan.runs if run.variant == name] for name in plan.variants}


def compared(*claims):
    return [
        Comparison(variant=item.variant, against=item.against, split=item.split, headline=item, classes=())
        for item in claims
    ]


def test_seeds_bring_the_runs_that_they_start_from():
    plan = planned({"a": None, "b": "a", "c": "b", "d": None}, seeds=(7, 0, 1))
    kept = restrict(plan, {"a": 1, "b": 1, "c": 2, "d": 3})
    assert [run.id for run in kept.runs] == ["a7", "a0", "b7", "b0", "c7", "c0", "d7", "d0", "d1"]
    assert count_seeds(kept) == {"a": 2, "b": 2, "c": 2, "d": 3}
    assert (kept.reference, kept.margin, kept.looks) == ("a", 0.01, (2, 3, 4))


def test_a_run_of_two_names_is_brought_under_the_first():
    plan = planned({"a": None, "twin": None, "c": "a"}, ids={"twin": "a"})
    assert count_seeds(restrict(plan, {"a": 1, "twin": 1, "c": 3})) == {"a": 3, "twin": 1, "c": 3}


def test_a_variant_of_no_seeds_and_of_all():
    plan = planned({"a": None, "b": None})
    assert labels(restrict(plan, {"a": 0, "b": 4})) == {"b": [7, 0, 1, 4]}
    assert restrict(plan, {"a": 4, "b": 9}) == plan


def test_the_first_look_holds_every_variant_with_as_many_seeds():
    plan = first_plan(planned({"a": None, "b": "a", "c": None}), (2, 3, 4))
    assert labels(plan) == {"a": [7, 0], "b": [7, 0], "c": [7, 0]}


def test_the_next_look_adds_the_first_seeds_that_are_not_there():
    whole = planned({"a": None, "b": "a", "c": None})
    plan = first_plan(whole, (2, 3, 4))
    second = next_plan(whole, plan, compared(claim("b"), claim("c", outcome="improved")), (2, 3, 4))
    assert labels(second) == {"a": [7, 0, 1], "b": [7, 0, 1], "c": [7, 0]}
    third = next_plan(whole, second, compared(claim("b", outcome="equivalent"), claim("c", against="b")), (2, 3, 4))
    assert labels(third) == {"a": [7, 0, 1, 4], "b": [7, 0, 1, 4], "c": [7, 0, 1, 4]}, "b starts from a"
    assert next_plan(whole, third, compared(claim("b"), claim("c")), (2, 3, 4)) is None, "no look left"
    assert next_plan(whole, second, compared(claim("b", outcome="improved")), (2, 3, 4)) is None, "nothing open"


def test_other_splits_and_their_open_comparisons_ask_for_nothing():
    judged, other = claim("b"), claim("c", outcome="not judged", reason="other split")
    assert headlines(compared(judged, other, claim("d", outcome="regressed"))) == (
        judged,
        claim("d", outcome="regressed"),
    )
    whole = planned({"a": None, "c": None})
    assert next_plan(whole, first_plan(whole, (2, 3)), compared(other), (2, 3)) is None
