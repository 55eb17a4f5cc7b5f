"""Who is ahead, with runs missing; and what is proposed next, word by word."""

from types import SimpleNamespace

import numpy as np
import pytest
from claims_made import CLAIM, outlook
from judged_splits import judged_of

from harness.records import Plan, Run
from harness.report.study.claims import Comparison
from harness.report.study.ranking import make_rankings, propose_next
from harness.settings import DataChoice
from harness.stats.effects import compare
from harness.stats.looks import LookHistory, LookSchedule
from harness.stats.margins import HEADLINE
from harness.stats.verdicts import holm


def test_means_are_of_the_seeds_that_are_there_and_only_pairs_that_share_some_are_tested():
    hits = {"a": {0: 500, 1: 510, 2: 505}, "b": {0: 600, 1: 608, 2: 610}, "c": {7: 550}, "d": {1: 502, 2: 500}}
    judged = judged_of(hits)
    (ranking,) = make_rankings([judged], LookSchedule())
    assert (ranking.split, ranking.family) == ("test", 3), "a-b, a-d, b-d: c shares no seed"
    assert [rank.variant for rank in ranking.ranks] == ["b", "c", "a", "d"]
    expected = [np.mean(list(hits[name].values())) / 1000 for name in "bcad"]
    assert [rank.mean for rank in ranking.ranks] == pytest.approx(expected)
    pairs = [compare(judged.study, *pair)[HEADLINE] for pair in (("a", "b"), ("a", "d"), ("b", "d"))]
    p_adjusted = holm([LookHistory((len(effect.by_seed),)).adjusted(effect.p) for effect in pairs])
    assert p_adjusted[0] < 0.05
    assert [rank.behind for rank in ranking.ranks] == [False, False, True, p_adjusted[2] <= 0.05]


def test_without_a_seed_in_common_nobody_is_behind_and_one_variant_is_no_ranking():
    (ranking,) = make_rankings([judged_of({"a": {0: 500}, "b": {1: 600}})], LookSchedule())
    assert (ranking.family, [(rank.variant, rank.behind) for rank in ranking.ranks]) == (
        0,
        [("b", False), ("a", False)],
    )
    assert make_rankings([judged_of({"a": {0: 500}})], LookSchedule()) == ()


def test_no_margin_keeps_a_small_lead_from_being_told():
    judged = judged_of({"a": {0: 500, 1: 501, 2: 503}, "b": {0: 504, 1: 506, 2: 507}})
    effect = compare(judged.study, "b", "a")[HEADLINE]
    assert 0 < effect.interval(0.92)[1] < 0.01
    (ranking,) = make_rankings([judged], LookSchedule())
    assert [(rank.variant, rank.behind) for rank in ranking.ranks] == [("b", False), ("a", True)]


def comparison(variant, ahead, against="a", outcome="undecided"):
    change = {"variant": variant, "against": against, "outcome": outcome, "outlook": ahead}
    headline = CLAIM.model_copy(update=change)
    return Comparison(variant=variant, against=against, split="val", headline=headline, classes=())


CONFIG = SimpleNamespace(data=DataChoice.of("desert", {}))
OPEN = [
    comparison("b", outlook(7, 0.8, 48, 0.9)),
    comparison("c", outlook(5, 0.9, 48, 0.9)),
    comparison("no-use", outlook(10, 0.79, 48, 0.9)),
    comparison("no-outlook", None),
    comparison("decided", outlook(9, 0.9, 48, 0.9), outcome="improved"),
    comparison("other", outlook(9, 0.9, 48, 0.9), against="b"),
]


@pytest.mark.parametrize(
    ("seeds", "command", "said"),
    [
        ((4, 2), "harness run x.yaml", "harness run x.yaml --seeds 4,2,0,1,3,5,6"),
        ((4, 2), "harness run x.yaml --until decided", "harness run x.yaml --seeds 4,2,0,1,3,5,6"),
        (range(8), "harness run x.yaml --seeds 0,1", "harness run x.yaml --seeds 0,1,2,3,4,5,6,7"),
    ],
)
def test_what_would_decide_is_proposed_with_its_command(seeds, command, said):
    runs = tuple(Run(f"{name}{seed}", name, seed, CONFIG, {}) for name in "ab" for seed in seeds)
    plan = Plan("s", "?", "a", 0.0, runs, command=command)
    assert propose_next(plan, OPEN) == (
        "7 seeds would decide these against a, with about 80 % probability each: b (7), c (5). What is finished is "
        f"kept: {said}, or look by look: harness run x.yaml --until decided",
    )
    assert propose_next(plan, OPEN[2:]) == ()


def test_more_seeds_of_a_tuned_study_are_another_search():
    runs = tuple(Run(f"{name}{seed}", name, seed, CONFIG, {}) for name in "ab" for seed in (0, 1))
    (told,) = propose_next(Plan("s", "?", "a", 0.0, runs, command="harness tune x.yaml"), OPEN)
    assert told.endswith("so this searches anew: harness tune x.yaml --seeds 0,1,2,3,4,5,6")
