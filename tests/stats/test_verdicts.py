"""Verdicts, and the planning of what would decide an open question."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.stats.effects import Effect, EvaluatedImages, compare, make_study
from harness.stats.looks import LookHistory
from harness.stats.margins import HEADLINE
from harness.stats.power import (
    Levels,
    chance_of_decision,
    forecast,
    measure_floor,
    power_of_difference,
    smallest_detectable,
)
from harness.stats.spread import Spread, p_value, t_interval
from harness.stats.verdicts import CLASS_SEEDS, CORRECTION, FAMILY_ERROR, holm, judge


def make_effect(delta, seed_sd=0.01, group_se=0.002, seeds=3, groups=50, shared_se=0.0):
    """Return an effect with this noise, of seeds that borrow nothing."""
    seed_sd = seed_sd if seeds > 1 else 0.0
    spread = Spread(seeds, seed_sd**2, seeds - 1.0, seed_sd**2, group_se**2, groups - 1.0, shared_se**2)
    return Effect(
        HEADLINE,
        {"b": 1.0, "a": -1.0},
        delta,
        spread.se,
        spread.degrees,
        *t_interval(delta, spread.se, spread.degrees, 0.95),
        p_value(delta, spread.se, spread.degrees),
        "new seeds and images" if seeds > 1 else "these weights",
        dict.fromkeys(range(seeds), delta),
        EvaluatedImages(groups, groups, (), True),
        spread,
    )


def test_holm_by_hand():
    # Holm (1979): sorted .005 .01 .03 .04 times 4 3 2 1 = .02 .03 .06 .04, made monotone: .02 .03 .06 .06
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_is_between_raw_and_bonferroni(p_values):
    adjusted = holm(p_values)
    for raw, corrected in zip(p_values, adjusted, strict=True):
        assert raw <= corrected <= min(1.0, len(p_values) * raw) + 1e-12
    assert sorted(adjusted) == [corrected for _, corrected in sorted(zip(p_values, adjusted, strict=True))]


@pytest.mark.parametrize(
    ("delta", "margin", "outcome", "reason"),
    [
        (0.05, 0.005, "improved", ""),
        (-0.05, 0.005, "regressed", ""),
        (0.001, 0.02, "equivalent", ""),
        (0.015, 0.1, "equivalent", ""),
        (0.001, 0.005, "undecided", "noise"),
        (0.001, 0.0, "undecided", "noise"),
    ],
)
def test_outcomes(delta, margin, outcome, reason):
    effect = make_effect(delta, seed_sd=0.005, groups=80)
    assert (verdict := judge({"b": effect}, margin)["b"]).outcome == outcome
    assert verdict.reason == reason
    assert verdict.p_adjusted == effect.p


def test_equivalence_is_two_one_sided_tests():
    effect = make_effect(0.004)
    edge = 0.004 + stats.t.ppf(0.95, effect.degrees) * effect.se
    assert judge({"b": effect}, edge + 1e-9)["b"].outcome == "equivalent"
    assert judge({"b": effect}, edge - 1e-9)["b"].outcome == "undecided"
    assert judge({"b": effect}, edge)["b"].tost[1] == pytest.approx(edge)


def test_a_family_is_harder_to_convince_than_one_comparison():
    effect = make_effect(0.025)
    assert 0.025 < effect.p < 0.05
    assert judge({"b": effect}, 0.0)["b"].outcome == "improved"
    family = judge({"b": effect, "c": make_effect(0.0)}, 0.0)
    assert (family["b"].outcome, family["b"].reason) == ("undecided", "only before correction")
    assert (family["c"].outcome, family["c"].reason) == ("undecided", "noise")


def test_what_differs_nowhere_is_equivalent_and_leaves_the_family_as_it_is():
    effect = make_effect(0.03, seeds=5)
    nothing = make_effect(0.0, seed_sd=0.0, group_se=0.0, seeds=5)
    alone = judge({"effect": effect}, 0.0)["effect"]
    among = judge({"effect": effect} | {f"copy {n}": nothing for n in range(9)}, 0.0)
    assert among["effect"] == alone
    assert alone.outcome == "improved"
    assert {(among[f"copy {n}"].outcome, among[f"copy {n}"].p_adjusted) for n in range(9)} == {("equivalent", 1.0)}
    assert judge({"copy": nothing}, 0.0)["copy"].family == 0


def test_one_seed_gets_no_verdict_and_is_in_no_family():
    verdicts = judge({"b": make_effect(0.5, seeds=1), "c": make_effect(0.05)}, 0.005)
    assert (verdicts["b"].outcome, verdicts["b"].reason) == ("undecided", "one seed")
    assert math.isnan(verdicts["b"].p_adjusted)
    assert forecast(make_effect(0.5, seeds=1), (2, 3), one_look, 0.0) is None
    assert verdicts["c"].family == 1
    assert verdicts["c"].outcome == "improved"


def test_power_of_the_smallest_detectable_difference_by_simulation():
    spread = make_effect(0.0, seed_sd=0.01, group_se=0.0, seeds=5).spread
    delta = smallest_detectable(spread, 0.05)
    seeds = np.random.default_rng(0).normal(delta, 0.01, (40_000, 5))
    found = stats.ttest_1samp(seeds, 0, axis=1).pvalue < 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.01)


def one_look(seeds):
    return Levels(difference=0.05, tost=0.9)


def test_power_of_a_difference_by_a_textbook_case():
    # One-sample t test, d = 1, two-sided 5 %: 10 observations have 80 % power (Cohen 1988; G*Power), 9 have not.
    power = [power_of_difference(-0.01, make_effect(0.0, group_se=0.0, seeds=n).spread, 0.05) for n in (9, 10)]
    assert power == pytest.approx([0.748, 0.803], abs=5e-4)
    assert power_of_difference(0.01, make_effect(0.0, seed_sd=0.0, group_se=0.0).spread, 0.05) == 1
    assert power_of_difference(0.0, make_effect(0.0, seed_sd=0.0, group_se=0.0).spread, 0.05) == 0


def simulate_outlook(effect, seeds, images, margin, draws=200_000):
    """Return how often more data decide an effect: their mean is drawn around its own, the noise is as planned."""
    spread, planned = effect.spread, effect.spread.planned(seeds, images)
    moved = math.sqrt(spread.se**2 - planned.se**2)
    later = effect.delta + moved * np.random.default_rng(0).standard_t(effect.degrees, draws)
    called = 2 * stats.t.sf(abs(later) / planned.se, planned.degrees) <= 0.05
    return (called | (abs(later) + stats.t.ppf(0.95, planned.degrees) * planned.se <= margin)).mean()


@pytest.mark.parametrize(
    ("delta", "margin", "images"),
    [(0.01, 0.0, 1), (-0.01, 0.0, 1), (0.002, 0.01, 1), (0.006, 0.015, 1), (0.01, 0.012, 1), (0.01, 0.0, 9)],
)
def test_the_chance_of_a_decision_by_simulation(delta, margin, images):
    effect = make_effect(delta, group_se=0.002 * images)
    chance = chance_of_decision(effect, effect.spread.planned(8, images), one_look(8), margin)
    assert chance == pytest.approx(simulate_outlook(effect, 8, images, margin), abs=0.004)
    assert 0.02 < chance < 0.999


def test_nothing_new_and_no_level_decide_nothing():
    effect = make_effect(0.05)
    assert chance_of_decision(effect, effect.spread, one_look(3), 0.0) == 0
    assert chance_of_decision(effect, effect.spread.planned(8, 1.0), Levels(0.0, 1.0), 0.0) == 0


def test_the_first_look_that_decides_is_told():
    effect = make_effect(0.014)
    found = forecast(effect, range(4, 11), one_look, 0.0)
    chances = [chance_of_decision(effect, effect.spread.planned(n, 1.0), one_look(n), 0.0) for n in range(4, 11)]
    assert [chance >= 0.8 for chance in chances].index(True) == found.seeds - 4 > 0
    assert found.chance == chances[found.seeds - 4]
    assert found.groups == 50


def test_where_no_look_decides_the_last_is_told_and_images_are_tried_with_it():
    noisy = make_effect(0.012, seed_sd=0.002, group_se=0.01)
    found = forecast(noisy, (5, 7, 10), one_look, 0.0)
    assert found.seeds == 10
    assert found.chance_most == chance_of_decision(noisy, noisy.spread.planned(10, 100), one_look(10), 0.0)
    assert found.chance < 0.8 <= found.chance_most
    assert chance_of_decision(noisy, noisy.spread.planned(10, found.groups / 50), one_look(10), 0.0) >= 0.8
    assert chance_of_decision(noisy, noisy.spread.planned(10, (found.groups - 1) / 50), one_look(10), 0.0) < 0.8
    hopeless = forecast(make_effect(0.0), (5, 10), one_look, 0.0)
    assert (hopeless.seeds, hopeless.groups) == (10, None)
    assert hopeless.chance < hopeless.chance_most + 0.1 < 0.5
    assert forecast(noisy, (), one_look, 0.0) is None


def test_planning_for_what_is_there_changes_nothing():
    spread = make_effect(0.0, shared_se=0.001).spread
    same = spread.planned(3, 1.0)
    assert (same.se, same.degrees) == pytest.approx((spread.se, spread.degrees))


def test_noise_floor(make_margins):
    study = make_study(make_margins(0, seeds=4))
    effects = [compare(study, name, "v0")[HEADLINE] for name in ("v1", "v2")]
    floor = measure_floor(study, "v0", HEADLINE, effects, 0.025)
    scores_S = study.scores_VSM[0, :, 0]
    assert floor.sd == pytest.approx(np.std(scores_S, ddof=1))
    assert (floor.sd_low / floor.sd, floor.sd_high / floor.sd) == pytest.approx((0.566, 3.729), abs=1e-3)  # 3 df
    assert floor.detectable == pytest.approx(np.mean([smallest_detectable(e.spread, 0.025) for e in effects]))
    assert math.isnan(measure_floor(study, "v0", HEADLINE, [], 0.05).detectable)


def test_two_seeds_have_a_noise_floor(make_margins):
    study = make_study(make_margins(0, seeds=2))
    floor = measure_floor(study, "v0", HEADLINE, [], 0.05)
    assert floor.sd == pytest.approx(abs(np.subtract(*study.scores_VSM[0, :, 0])) / math.sqrt(2))


def test_one_seed_has_no_noise_floor(make_margins):
    study = make_study(make_margins(0, seeds=1))
    floor = measure_floor(study, "v0", HEADLINE, [compare(study, "v1", "v0")[HEADLINE]], 0.05)
    assert all(math.isnan(value) for value in (floor.sd, floor.sd_low, floor.sd_high, floor.detectable))


def test_a_class_that_one_group_holds_gets_no_verdict(make_margins):
    margins = make_margins(0)
    holder = np.flatnonzero(margins.true_GC[:, 2])[0]
    alone = np.ones((12, 4), np.int64)
    alone[np.arange(12) != holder, 2] = 0
    margins = replace(margins, hit_KGC=margins.hit_KGC * alone, true_GC=margins.true_GC * alone)
    effects = compare(make_study(margins), "v1", "v0")
    assert (margins.true_GC[:, 2] > 0).sum() == 1
    assert judge(effects, 0.0)["c2"].reason == "one group"
    assert effects[HEADLINE].evaluated.alone == ("c2",)
    assert effects[HEADLINE].scope == "new seeds and images"


def test_a_copy_of_a_comparison_counts_once():
    effect = make_effect(0.025)
    assert 0.025 < effect.p < 0.05
    copied = {"b": effect, "copy": effect, "turned": replace(effect, delta=-effect.delta), "c": make_effect(0.0)}
    verdicts = judge({"b": effect, "c": make_effect(0.0)}, 0.0)
    assert verdicts["b"].family == 2
    among = judge(copied, 0.0)
    assert {verdict.family for verdict in among.values()} == {2}
    assert among["copy"] == among["b"] == verdicts["b"]
    assert among["turned"].p_adjusted == verdicts["b"].p_adjusted


def test_two_groups_are_too_few_to_call():
    effect = make_effect(0.5, seed_sd=0.001, groups=2)
    assert (judge({"b": effect}, 0.0)["b"].outcome, judge({"b": effect}, 0.0)["b"].reason) == (
        "undecided",
        "few groups",
    )
    assert judge({"b": effect}, 0.0)["b"].family == 0
    many_degrees = replace(effect, spread=replace(effect.spread, group_degrees=1.6))  # classes suggest more than groups
    assert judge({"b": many_degrees}, 0.0)["b"].reason == "few groups"
    three = replace(effect.evaluated, groups=3)
    enough = replace(effect, evaluated=three, spread=replace(effect.spread, group_degrees=1.25))
    assert judge({"b": enough}, 0.0)["b"].outcome == "improved"


def test_a_look_has_its_own_level():
    effect = make_effect(0.025)
    first = judge({"b": effect}, 0.0, looks={"b": LookHistory((3,))})["b"]
    assert first.p_adjusted == pytest.approx(effect.p / 0.8)
    assert first.tost_level == pytest.approx(0.92)
    assert first.tost == pytest.approx(effect.interval(0.92))
    late = judge({"b": effect}, 0.0, looks={"b": LookHistory((2, 3), (2, 3, 10))})["b"]
    assert (late.outcome, late.reason) == ("undecided", "only before correction")
    assert late.tost_level == pytest.approx(1 - LookHistory((2, 3), (2, 3, 10)).level(0.1))


def test_holm_goes_over_the_levels_of_the_looks():
    # At a declared look at 5 of 10 seeds the levels of alpha and alpha / 2 are those of its tables.
    look = LookHistory((3, 5), (3, 5, 10))
    strong, weak = look.level(0.025), look.level(0.05)
    effects = {"b": make_effect(0.02), "c": make_effect(0.01)}
    for shift, called in ((0.999, {"improved"}), (1.001, {"undecided"})):
        found = {
            "b": replace(effects["b"], p=strong * shift),
            "c": replace(effects["c"], p=weak * shift),
        }
        verdicts = judge(found, 0.0, looks=dict.fromkeys(found, look))
        assert {verdict.outcome for verdict in verdicts.values()} == called


def test_equivalence_holds_on_the_lower_side_too():
    effect = make_effect(-0.004)
    edge = 0.004 + stats.t.ppf(0.95, effect.degrees) * effect.se
    assert judge({"b": effect}, edge + 1e-9)["b"].outcome == "equivalent"
    assert judge({"b": effect}, edge - 1e-9)["b"].outcome == "undecided"


@pytest.mark.parametrize(("p", "reason"), [(0.05, "only before correction"), (0.0501, "noise")])
def test_only_before_correction_means_at_five_percent(p, reason):
    found = {"b": replace(make_effect(0.01), p=p), "c": make_effect(0.0)}
    assert judge(found, 0.0)["b"].reason == reason


def test_five_percent_is_called():
    assert judge({"b": replace(make_effect(0.01), p=0.05)}, 0.0)["b"].outcome == "improved"
    assert judge({"b": replace(make_effect(0.01), p=0.0501)}, 0.0)["b"].outcome == "undecided"


@pytest.mark.parametrize("alpha", [0.001, 0.9])
@pytest.mark.parametrize(
    "spread", [Spread(2, 1e-4, 1.0, 1e-4, 0.0, 0.0, 0.0), Spread(4, 4.0, 30.0, 4.0, 0.0, 0.0, 0.0)]
)
def test_the_smallest_detectable_difference_has_its_power(spread, alpha):
    assert power_of_difference(smallest_detectable(spread, alpha), spread, alpha) == pytest.approx(0.8, abs=1e-6)


def test_nothing_is_detectable_without_a_level_and_everything_without_noise():
    assert math.isnan(smallest_detectable(make_effect(0.0).spread, 0.0))
    assert smallest_detectable(make_effect(0.0, seed_sd=0.0, group_se=0.0).spread, 0.05) == 0


@pytest.mark.parametrize(
    ("seeds", "group_degrees", "look", "reason"),
    [
        (2, 49.0, None, "few seeds"),
        (3, 49.0, None, ""),
        (3, 0.9, None, "few groups"),
        (3, 1.2, None, "few groups"),
        (3, 0.0, None, ""),  # groups that do not differ at all have no degrees of freedom
        (3, 49.0, LookHistory((3, 5, 10, 12), (3, 5, 10)), "no look left"),
        (3, 49.0, LookHistory((3, 5), (3, 5, 10)), ""),
    ],
)
def test_why_an_effect_is_not_judged(seeds, group_degrees, look, reason):
    effect = make_effect(0.5, seed_sd=1e-4, group_se=1e-4 if group_degrees else 0.0, seeds=seeds)
    effect = replace(effect, spread=replace(effect.spread, group_degrees=group_degrees))
    verdict = judge({"b": effect}, 0.0, fewest_seeds=CLASS_SEEDS, looks=None if look is None else {"b": look})["b"]
    assert (verdict.outcome, verdict.reason) == ("undecided" if reason else "improved", reason)
    assert math.isnan(verdict.p_adjusted) == bool(reason)
    assert verdict.family == (1 if reason in ("", "no look left") else 0)


def test_the_first_call_of_a_family_shares_five_percent_among_all_that_are_left():
    assert [CORRECTION.first_level(left) for left in (4, 2, 1, 0)] == [0.0125, 0.025, 0.05, 0.05]
    for level in (0.0124, 0.0126):  # the largest p-value of four at which Holm's procedure calls the first
        called = CORRECTION.adjust([level, 0.5, 0.6, 0.7])[0] <= FAMILY_ERROR
        assert called == (level <= CORRECTION.first_level(4))


def test_what_is_not_judged_for_seeds_that_are_left_out_frees_no_error_for_the_others():
    """It keeps its place in the family, with a p-value of 1: Holm's procedure does not step over it."""
    effects = {"b": replace(make_effect(0.5), p=1e-9), "c": replace(make_effect(0.01), p=0.03)}
    left_out, whole = LookHistory((3, 5), (3, 5, 10), missing=(7,)), LookHistory((3,), (3,))
    verdicts = judge(effects, 0.0, looks={"b": left_out, "c": whole})
    assert (verdicts["b"].outcome, verdicts["b"].reason) == ("undecided", "seeds left out")
    assert verdicts["c"].outcome == "undecided" and verdicts["c"].p_adjusted == pytest.approx(0.06)
    assert judge({"c": effects["c"]}, 0.0, looks={"c": whole})["c"].outcome == "improved"


def test_two_seeds_are_enough_where_nothing_else_is_asked_for():
    assert judge({"b": make_effect(0.9, seeds=2)}, 0.0)["b"].reason == ""
