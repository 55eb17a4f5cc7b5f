"""Claims from statistics: which level, which margin and which family each number is judged with, exactly."""

from dataclasses import replace

import numpy as np
import pytest
from folded import fold_up

from harness.report.page.sentences import conclude
from harness.report.study.judge import (
    HEADLINE,
    SplitComparisons,
    find_earlier_call,
    judge_splits,
    make_comparisons,
    make_floors,
)
from harness.report.study.ranking import make_rankings
from harness.report.study.variants import group_runs
from harness.stats.chances import find_chances
from harness.stats.effects import Effect, compare, make_study
from harness.stats.looks import LookHistory, LookSchedule, TakenLook
from harness.stats.margins import Margins
from harness.stats.power import power_of_difference, smallest_detectable
from harness.stats.verdicts import Verdict


def draw_judged(gains, *, seeds=4, noise=0.02, seed=0, against="v0"):
    """Return a split whose variants v0, v1, ... hit this much more than the first."""
    generator = np.random.default_rng(seed)
    shape = (len(gains), seeds, 12, 3)
    rate = 0.6 + np.array(gains)[:, None, None, None] + generator.normal(0, noise, shape)
    rate += generator.normal(0, noise, (len(gains), seeds, 1, 3))
    true_GC = generator.integers(500, 1000, (12, 3))
    hit_KGC = np.rint(true_GC * rate.clip(0, 1)).astype(np.int64).reshape(-1, 12, 3)
    runs = tuple((f"v{variant}", seed) for variant in range(len(gains)) for seed in range(seeds))
    predicted_KGC = hit_KGC + np.roll(true_GC - hit_KGC, 1, axis=2)
    study = make_study(Margins(runs, tuple("abcdefghijkl"), ("x", "y", "z"), 12, hit_KGC, predicted_KGC, true_GC))
    pairs = [(name, against) for name in study.variants if name != against]
    return SplitComparisons("val", study, {pair: compare(study, *pair) for pair in pairs})


def seen(**seeds):
    """Return a recorded look at which each variant had its first seeds."""
    return TakenLook({name: dict.fromkeys(range(number), "") for name, number in seeds.items()})


def test_classes_have_no_margin():
    (item,) = make_comparisons([draw_judged([0.0, 0.0])], 0.9, None, "val")
    assert item.headline.outcome == "equivalent"
    assert {claim.outcome for claim in item.classes} == {"undecided"}
    assert {claim.measure for claim in item.classes} == {"x", "y", "z"}


def test_headlines_have_probabilities_of_the_studys_margin_and_prior():
    judged = draw_judged([0.0, 0.01], seeds=5)
    (item,) = make_comparisons([judged], 0.004, LookSchedule(), "val", 0.02)
    found = find_chances(judged.effects["v1", "v0"][HEADLINE], 0.004, 0.02)
    assert item.headline.chances == found
    assert (found.margin, found.prior) == (0.004, 0.02)
    assert 0.02 < found.better < 0.98
    assert {claim.chances for claim in item.classes} == {None}


def test_no_probabilities_of_four_seeds_of_another_split_or_of_few_groups():
    def chances(judged, primary="val"):
        return [item.headline.chances for item in make_comparisons([judged], 0.004, LookSchedule(), primary, 0.02)]

    judged = draw_judged([0.0, 0.01], seeds=5)
    assert chances(draw_judged([0.0, 0.01], seeds=4)) == [None]
    assert chances(judged, "test") == [None]
    effect = judged.effects["v1", "v0"][HEADLINE]
    few = {("v1", "v0"): {HEADLINE: replace(effect, evaluated=replace(effect.evaluated, groups=2))}}
    assert chances(replace(judged, effects=few)) == [None]
    assert make_comparisons([judged], 0.004, None, "val")[0].headline.chances is None, "a gate states no prior"


def test_headlines_are_one_family_and_all_cells_another():
    comparisons = make_comparisons([draw_judged([0.0, 0.01, 0.02, 0.0])], 0.0, None, "val")
    assert {item.headline.family for item in comparisons} == {3}
    assert {claim.family for item in comparisons for claim in item.classes} == {9}


def test_a_claim_without_looks_is_judged_at_a_single_one():
    judged = draw_judged([0.0, 0.03])
    effect = judged.effects["v1", "v0"][HEADLINE]
    (item,) = make_comparisons([judged], 0.0, None, "val")
    claim = item.headline
    assert claim.p_adjusted == effect.p
    assert (claim.margin_level, claim.look, claim.looks, claim.look_level) == (0.9, 1, None, 0.05)
    assert (claim.low_margin, claim.high_margin) == effect.interval(0.9)
    assert claim.outlook is None


def test_a_claim_is_judged_at_the_level_of_its_look():
    judged = draw_judged([0.0, 0.005, 0.06])
    taken = (seen(v0=3, v2=3),)
    first, second = (item.headline for item in make_comparisons([judged], 0.0, LookSchedule((3, 4, 9), taken), "val"))
    assert (first.look, first.looks, first.look_level) == (1, 3, LookHistory((4,), (3, 4, 9)).level(0.05))
    assert (second.look, second.looks, second.look_level) == (2, 3, LookHistory((3, 4), (3, 4, 9)).level(0.05))
    effect = judged.effects["v2", "v0"][HEADLINE]
    assert second.p_adjusted == pytest.approx(2 * LookHistory((3, 4), (3, 4, 9)).adjusted(effect.p))
    assert second.margin_level == pytest.approx(1 - LookHistory((3, 4), (3, 4, 9)).level(0.1))
    cell = next(
        item for item in make_comparisons([judged], 0.0, LookSchedule((3, 4, 9), taken), "val") if item.variant == "v2"
    )
    assert {claim.look for claim in cell.classes} == {2}


def test_the_power_of_what_is_called_is_that_of_its_level():
    judged = draw_judged([0.0, 0.1, 0.0])
    claim = make_comparisons([judged], 0.0, LookSchedule(), "val")[0].headline
    effect = judged.effects["v1", "v0"][HEADLINE]
    assert claim.outcome == "improved"
    assert claim.power == power_of_difference(effect.delta, effect.spread, LookHistory((4,)).level(0.05 / 2))
    assert make_comparisons([judged], 0.0, LookSchedule(), "val")[1].headline.power is None


def test_what_an_earlier_look_called_is_told_with_its_numbers():
    judged = draw_judged([0.0, 0.1, 0.0], seeds=5)
    looks = LookSchedule((3, 5), (seen(v0=3, v1=4),))
    claim, other = (item.headline for item in make_comparisons([judged], 0.0, looks, "val"))
    runs = {*(("v0", seed) for seed in range(3)), *(("v1", seed) for seed in range(4))}
    then, level = compare(judged.study.keep(runs), "v1", "v0")[HEADLINE], LookHistory((3,), (3, 5)).level(0.05)
    assert (claim.outcome, claim.look, claim.looks, claim.look_level) == ("improved", 1, 2, level)
    assert (claim.called.seeds, claim.called.delta) == ((0, 1, 2), then.delta)
    assert (claim.called.low, claim.called.high, claim.called.agrees) == (then.low, then.high, True)
    assert claim.power == power_of_difference(then.delta, then.spread, level)
    assert claim.seeds == tuple(range(5))
    assert (other.called, other.look, other.family) == (None, 1, 2)


@pytest.mark.parametrize(
    ("outcome", "ends", "agrees"),
    [
        ("improved", (0.0, 0.1), False),
        ("improved", (0.001, 0.1), True),
        ("regressed", (-0.1, 0.0), False),
        ("regressed", (-0.1, -0.001), True),
        ("equivalent", (-0.01, 0.01), True),
        ("equivalent", (-0.011, 0.01), False),
        ("equivalent", (-0.01, 0.011), False),
    ],
)
def test_all_seeds_agree_with_what_was_called_where_their_interval_says_so(monkeypatch, outcome, ends, agrees):
    effect = draw_judged([0.0, 0.0]).effects["v1", "v0"][HEADLINE]
    effect = replace(effect, low=ends[0], high=ends[1])
    monkeypatch.setattr(Effect, "interval", lambda self, level: ends if level == 0.91 else (-9, 9))
    verdict = Verdict(
        outcome, "", 0.01, 1, (0.0, 0.0), 0.91, 1, LookHistory((3,)), replace(effect, by_seed={0: 0.1, 1: 0.2})
    )
    assert find_earlier_call(effect, verdict, 0.01).agrees == agrees
    assert find_earlier_call(effect, replace(verdict, effect=effect), 0.01) is None, "the same seeds"
    assert find_earlier_call(effect, replace(verdict, effect=None), 0.01) is None
    assert find_earlier_call(effect, replace(verdict, look=None), 0.01) is None


def test_the_outlook_is_at_the_next_looks():
    claim = make_comparisons([draw_judged([0.0, 0.004])], 0.0, LookSchedule((4, 7, 9)), "val")[0].headline
    assert claim.outcome == "undecided"
    assert claim.outlook.seeds in (7, 9)
    assert make_comparisons([draw_judged([0.0, 0.004])], 0.0, LookSchedule((3, 4)), "val")[0].headline.outlook is None


def test_the_floor_finds_what_the_first_of_the_family_finds():
    judged = draw_judged([0.0, 0.0, 0.01])
    level = LookHistory((4,)).level(0.05 / 2)
    spreads = [effects[HEADLINE].spread for effects in judged.effects.values()]
    (floor,) = make_floors([judged], "v0", LookSchedule())
    assert floor.detectable == pytest.approx(np.median([smallest_detectable(spread, level) for spread in spreads]))
    assert floor.seeds == 4
    assert floor.sd == pytest.approx(judged.study.scores_VSM[0, :, 0].std(ddof=1))


@pytest.mark.parametrize(("share", "behind"), [(0.999, True), (1.001, False)])
def test_the_ranking_is_held_by_all_pairs_together(monkeypatch, share, behind):
    # Three pairs at their first look: the smallest p-value must be below 0.04 / 3.
    def compare_so(study, first, second, *, only):
        effect = compare(study, first, second, only=only)[HEADLINE]
        return {HEADLINE: replace(effect, p=share * 0.04 / 3 if {first, second} == {"v0", "v2"} else 0.9)}

    monkeypatch.setattr("harness.report.study.ranking.compare", compare_so)
    (ranking,) = make_rankings([draw_judged([0.0, 0.02, 0.04])], LookSchedule())
    assert [rank.variant for rank in ranking.ranks] == ["v2", "v1", "v0"]
    assert [rank.behind for rank in ranking.ranks] == [False, False, behind]
    assert ranking.family == 3


def test_only_being_behind_the_first_is_told():
    (ranking,) = make_rankings([draw_judged([0.05, 0.0, 0.05001])], LookSchedule())
    assert {rank.variant: rank.behind for rank in ranking.ranks} == {"v2": False, "v0": False, "v1": True}
    assert [rank.mean for rank in ranking.ranks] == sorted([rank.mean for rank in ranking.ranks], reverse=True)


def test_a_copy_under_another_name_does_not_weaken_the_others(simulate):
    study = simulate({"a": 0.6, "b": 0.62, "c": 0.62})
    twins = {run.seed: run.id for run in study.plan.runs if run.variant == "b"}
    runs = tuple(
        replace(run, id=twins[run.seed], settings_from="a") if run.variant == "c" else run for run in study.plan.runs
    )
    plan = replace(study.plan, runs=runs)
    judged = judge_splits(group_runs(plan, study.results), "a").judged
    (first, second) = [
        item.headline for item in make_comparisons(judged, 0.0, LookSchedule(), "val") if item.split == "val"
    ]
    assert (first.variant, second.variant) == ("b", "c")
    assert first.family == second.family == 1
    assert first.p_adjusted == second.p_adjusted == pytest.approx(first.p / 0.8)


def test_without_the_reference_nothing_is_compared(simulate):
    study = simulate({"a": 0.6, "b": 0.62})
    groups = group_runs(study.plan, study.results)
    assert judge_splits(groups, "nobody").judged == ()
    nothing = {key: result for key, result in study.results.items() if "a" not in _variants_of(study, key)}
    assert judge_splits(group_runs(study.plan, nothing), "a").judged == ()
    assert [item.split for item in judge_splits(groups, "a").judged] == ["val", "test"]


def changed_from(study, **changes):
    """Return the plan with some fields of the runs of some variants replaced."""
    return replace(study.plan, runs=tuple(replace(run, **changes.get(run.variant, {})) for run in study.plan.runs))


def idle(study):
    config = study.plan.runs[0].config
    return {"config": replace(config, train=config.train.model_copy(update={"epochs": 0}))}


def test_what_trains_nothing_is_compared_as_the_reference_only(simulate):
    study = simulate({"a": 0.6, "b": 0.62, "c": 0.64}, splits=("val",))
    (judged,) = judge_splits(group_runs(changed_from(study, b=idle(study)), study.results), "a").judged
    assert judged.study.variants == ("a", "c"), "nor does it lend its noise"
    assert list(judged.effects) == [("c", "a")]
    (judged,) = judge_splits(group_runs(changed_from(study, a=idle(study)), study.results), "a").judged
    assert judged.study.variants == ("a", "b", "c")
    assert list(judged.effects) == [("b", "a"), ("c", "a"), ("c", "b")]


def test_a_reference_that_changes_another_variant_is_compared_with_it_once(simulate):
    study = simulate({"a": 0.6, "b": 0.62, "c": 0.64}, splits=("val",))
    (judged,) = judge_splits(group_runs(changed_from(study, a={"settings_from": "b"}), study.results), "a").judged
    assert list(judged.effects) == [("b", "a"), ("c", "a"), ("c", "b")]


def test_folds_of_the_reference_are_those_of_the_study(simulate):
    plan, results = fold_up(simulate({"a": 0.6, "b": 0.62}, (0, 1, 2, 3), splits=("val",)), 3)
    judged = judge_splits(group_runs(plan, results), "a").judged
    assert [item.study.all_folds for item in judged] == [3]
    assert judged[0].effects["b", "a"][HEADLINE].evaluated.folds == 3
    assert make_floors(judged, "a", LookSchedule())[0].folds == 3


def _variants_of(study, run_id):
    return {run.variant for run in study.plan.runs if run.id == run_id}


def test_more_seeds_of_two_groups_are_not_asked_for():
    judged = draw_judged([0.0, 0.02])
    few = {
        pair: {name: replace(e, spread=replace(e.spread, group_degrees=1.0)) for name, e in effects.items()}
        for pair, effects in judged.effects.items()
    }
    claim = make_comparisons([replace(judged, effects=few)], 0.0, LookSchedule(), judged.split)[0].headline
    assert (claim.outcome, claim.reason, claim.outlook) == ("undecided", "few groups", None)


@pytest.mark.parametrize(("declared", "taken"), [((3,), (3,)), ((), (3, 10))])
def test_seeds_beyond_the_last_look_are_not_judged_and_the_report_says_why(declared, taken):
    judged = draw_judged([0.0, 0.1], seeds=12)
    looks = LookSchedule(declared, tuple(replace(seen(v0=count, v1=count), is_whole=False) for count in taken))
    claim = make_comparisons([judged], 0.0, looks, "val")[0].headline
    assert (claim.outcome, claim.reason, claim.outlook) == ("undecided", "no look left", None)
    assert "spent at earlier looks" in conclude(claim, 0.0)
    assert make_floors([judged], "v0", looks)[0].detectable is None


def test_looks_that_were_not_declared_count_among_all():
    looks = LookSchedule((3, 10), tuple(replace(seen(v0=count, v1=count), is_whole=False) for count in (3, 4)))
    claim = make_comparisons([draw_judged([0.0, 0.1], seeds=5)], 0.0, looks, "val")[0].headline
    assert (claim.look, claim.looks) == (3, 4)  # at 3, 4 and 5 seeds, and at 10
