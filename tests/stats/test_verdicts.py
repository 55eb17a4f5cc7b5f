"""Verdicts, and the planning of what would decide an open question."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.stats.effects import Effect, Held, compare, make_study
from harness.stats.margins import HEADLINE
from harness.stats.power import Needed, find_needed, measure_floor, smallest_detectable
from harness.stats.spread import Spread, p_value, t_interval
from harness.stats.verdicts import holm, judge


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
        Held(groups, groups, (), True),
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
    assert verdict.p_holm == effect.p


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
    assert {(among[f"copy {n}"].outcome, among[f"copy {n}"].p_holm) for n in range(9)} == {("equivalent", 1.0)}
    assert judge({"copy": nothing}, 0.0)["copy"].family == 0


def test_one_seed_gets_no_verdict_and_is_in_no_family():
    verdicts = judge({"b": make_effect(0.5, seeds=1), "c": make_effect(0.05)}, 0.005)
    assert (verdicts["b"].outcome, verdicts["b"].reason) == ("undecided", "one seed")
    assert math.isnan(verdicts["b"].p_holm)
    assert find_needed(make_effect(0.5, seeds=1), 0.05, 0.0) is None
    assert verdicts["c"].family == 1
    assert verdicts["c"].outcome == "improved"


def test_power_of_the_smallest_detectable_difference_by_simulation():
    spread = make_effect(0.0, seed_sd=0.01, group_se=0.0, seeds=5).spread
    delta = smallest_detectable(spread, 0.05)
    seeds = np.random.default_rng(0).normal(delta, 0.01, (40_000, 5))
    found = stats.ttest_1samp(seeds, 0, axis=1).pvalue < 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.01)


def test_the_seeds_needed_by_a_textbook_case():
    # One-sample t test, d = 1, 80 % power, two-sided 5 %: 10 observations (Cohen 1988; G*Power).
    assert find_needed(make_effect(0.01, group_se=0.0), 0.05, 0.0) == Needed(seeds=10, groups=50)


def test_more_seeds_do_not_help_where_images_are_the_noise():
    noisy = make_effect(0.01, seed_sd=0.002, group_se=0.01)
    needed = find_needed(noisy, 0.05, 0.0)
    assert needed.seeds == 10
    assert needed.groups > 50
    enough = noisy.spread.planned(needed.seeds, needed.groups / 50)
    assert smallest_detectable(enough, 0.05) <= 0.01
    assert smallest_detectable(noisy.spread.planned(needed.seeds, (needed.groups - 1) / 50), 0.05) > 0.01


def test_nothing_decides_a_difference_of_nothing_but_a_margin():
    assert find_needed(make_effect(0.0), 0.05, 0.0) is None
    needed = find_needed(make_effect(0.0), 0.05, 0.01)
    assert 3 < needed.seeds < 30


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
    assert effects[HEADLINE].held.alone == ("c2",)
    assert effects[HEADLINE].scope == "new seeds and images"
