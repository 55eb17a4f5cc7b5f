"""Every field of a claim, against the statistics that it tells of."""

import dataclasses

import pytest
from judged_splits import judged_of

from harness.report.study.judge import judge_splits, make_comparisons, make_floors
from harness.report.study.variants import group_runs
from harness.stats.effects import compare
from harness.stats.looks import LookHistory, LookSchedule, TakenLook
from harness.stats.margins import HEADLINE
from harness.stats.power import Levels, forecast, power_of_difference, smallest_detectable
from harness.stats.verdicts import CLASS_SEEDS, judge

HITS = {
    "a": {0: 500, 1: 510, 2: 505},
    "b": {0: 600, 1: 608, 2: 610},
    "c": {0: 512, 1: 505, 2: 516},
    "d": {1: 503, 2: 498},
}
LOOK = {"b": LookHistory((2, 3), (2, 3, 9)), "c": LookHistory((3,), (2, 3, 9)), "d": LookHistory((2,), (2, 3, 9))}
LOOKS = LookSchedule((2, 3, 9), (TakenLook({name: {0: "", 1: ""} for name in "ab"}, is_whole=False),))
MARGIN = 0.012
OUTCOMES = {"b": "improved", "c": "undecided", "d": "equivalent"}


@pytest.fixture(scope="module")
def judged():
    drawn = judged_of(HITS)
    pairs = [(name, "a") for name in "bcd"]
    return dataclasses.replace(drawn, effects={pair: compare(drawn.study, *pair) for pair in pairs})


def told(effect, verdict, look):
    return {
        "variant": effect_pair(effect)[0],
        "against": "a",
        "split": "test",
        "measure": effect.measure,
        "delta": effect.delta,
        "low": effect.low,
        "high": effect.high,
        "p": effect.p,
        "scope": effect.scope,
        "outcome": verdict.outcome,
        "reason": verdict.reason,
        "p_adjusted": None if verdict.p_adjusted != verdict.p_adjusted else verdict.p_adjusted,
        "family": verdict.family,
        "low_margin": verdict.tost[0],
        "high_margin": verdict.tost[1],
        "margin_level": 1 - look.level(0.1),
        "look": len(look.counts),
        "looks": 3,
        "look_level": look.level(0.05),
        "seeds": tuple(effect.by_seed),
        "by_seed": tuple(effect.by_seed.values()),
        "left_out": (),
        "groups": 6,
        "images": 6,
        "alone": (),
        "folds": None,
        "all_folds": None,
        "called": None,
        "chances": None,
    }


def effect_pair(effect):
    return tuple(effect.weights)


def ahead(effect, verdict, look):
    def levels(seeds):
        after = LookHistory((*look.counts, seeds), look.declared)
        return Levels(after.level(0.05 / verdict.family), 1 - after.level(0.1))

    later = [count for count in look.declared if count > look.counts[-1]]
    return dataclasses.asdict(forecast(effect, later, levels, MARGIN))


def test_all_fields_of_headlines_and_cells(judged):
    found = make_comparisons([judged], MARGIN, LOOKS, "test")
    assert [(item.variant, item.against, item.split) for item in found] == [(name, "a", "test") for name in "bcd"]
    headlines = {name: judged.effects[name, "a"][HEADLINE] for name in "bcd"}
    verdicts = judge(headlines, MARGIN, looks=LOOK)
    cells = {(name, c): judged.effects[name, "a"][c] for name in "bcd" for c in ("road", "sky")}
    of_cells = judge(cells, 0.0, fewest_seeds=CLASS_SEEDS, looks={key: LOOK[key[0]] for key in cells})
    for item in found:
        name, effect, verdict = item.variant, headlines[item.variant], verdicts[item.variant]
        called = verdict.outcome == "improved"
        level = LOOK[name].level(0.05 / verdict.family)
        assert item.headline.model_dump() == told(effect, verdict, LOOK[name]) | {
            "power": power_of_difference(effect.delta, effect.spread, level) if called else None,
            "outlook": ahead(effect, verdict, LOOK[name]) if verdict.reason == "noise" else None,
        }
        assert [claim.measure for claim in item.classes] == ["road", "sky"]
        for claim in item.classes:
            effect, verdict = cells[name, claim.measure], of_cells[name, claim.measure]
            told_cell = told(effect, verdict, LOOK[name])
            assert {key: claim.model_dump()[key] for key in told_cell} == told_cell
            assert claim.outlook is None
            assert (claim.power is None) == (verdict.outcome == "undecided")
    assert {name: verdict.outcome for name, verdict in verdicts.items()} == OUTCOMES
    assert {verdict.reason for verdict in of_cells.values()} >= {"few seeds"}


def test_another_split_has_differences_and_no_verdict(judged):
    for item in make_comparisons([judged], MARGIN, LOOKS, "val"):
        for claim in (item.headline, *item.classes):
            effect = judged.effects[item.variant, "a"][claim.measure]
            assert (claim.delta, claim.low, claim.high, claim.p) == (effect.delta, effect.low, effect.high, effect.p)
            assert (claim.outcome, claim.reason, claim.family, claim.p_adjusted) == (
                "not judged",
                "other split",
                0,
                None,
            )
            assert (claim.low_margin, claim.high_margin, claim.margin_level) == (None, None, 0.9)
            assert (claim.look, claim.looks, claim.look_level) == (1, None, 0.05)
            assert (claim.power, claim.outlook) == (None, None)


def test_the_floor_is_at_the_smallest_level_of_the_looks(judged):
    (floor,) = make_floors([judged], "a", LOOKS)
    level = min(look.level(0.05 / 3) for look in LOOK.values())
    found = sorted(smallest_detectable(effects[HEADLINE].spread, level) for effects in judged.effects.values())
    assert (floor.variant, floor.split, floor.seeds) == ("a", "test", 3)
    assert floor.detectable == pytest.approx(found[1])
    assert floor.sd == pytest.approx(0.005)
    assert floor.sd_low < floor.sd < floor.sd_high
    assert make_floors([judged], "b", LOOKS)[0].detectable is None


def pairs_of(study, results=None):
    judged = judge_splits(group_runs(study.plan, results or study.results), "a").judged
    return [set(item.effects) for item in judged]


def test_of_two_variants_that_change_each_other_one_comparison_is_told(simulate):
    study = simulate({"a": 0.6, "b": 0.7, "c": 0.7}, (0, 1), splits=("val",))
    of = {"a": "", "b": "c", "c": "b"}
    runs = tuple(dataclasses.replace(run, settings_from=of[run.variant]) for run in study.plan.runs)
    changed = dataclasses.replace(study, plan=dataclasses.replace(study.plan, runs=runs))
    assert pairs_of(changed) == [{("b", "a"), ("c", "a"), ("b", "c")}]


def test_variants_without_a_seed_in_common_are_not_compared(simulate):
    study = simulate({"a": 0.6, "b": 0.7}, (0, 1), splits=("val",))
    kept = {run.id for run in study.plan.runs if (run.variant == "a") == (run.seed == 0)}
    assert pairs_of(study, {id_: study.results[id_] for id_ in kept}) == [set()]
