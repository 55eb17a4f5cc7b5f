"""A study over folds from results to page: verdicts that rest on folds, and words that say so."""

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from folded import fold_up

from harness.apply.card.facts import seed_interval
from harness.judged import digest_counts
from harness.report.gate import make_gate
from harness.report.page.sentences import conclude, floor_sentence
from harness.report.study.judge import judge_splits
from harness.report.study.ranking import propose_next
from harness.report.study.summary import summarise
from harness.report.study.until_decided import look_line
from harness.report.study.variants import counts_by_split, group_runs
from harness.report.write import write_report
from harness.runs.looks import RecordedLook, taken_looks
from harness.scores import miou_dataset
from harness.stats.power import Outlook

ONE = ("val",)


@pytest.fixture(scope="module")
def folded(simulate):
    return fold_up(simulate({"a": 0.6, "better": 0.75, "same": 0.6}, seeds=(0, 1, 2, 3, 4), warm=True), 5)


def test_verdicts_over_folds_are_those_of_the_corrected_variance(folded):
    plan, results = folded
    report = summarise(plan, results)
    score = {(run.variant, run.seed): miou_dataset(results[run.id].counts["val"].confusion_CC()) for run in plan.runs}
    difference_S = np.array([score["better", seed] - score["a", seed] for seed in range(5)])
    claim = next(item.headline for item in report.comparisons if (item.variant, item.split) == ("better", "val"))
    half = 2.7764451 * math.sqrt((1 / 5 + 1 / 4) * difference_S.var(ddof=1))
    assert claim.by_seed == pytest.approx(difference_S)
    assert (claim.low, claim.high) == pytest.approx((difference_S.mean() - half, difference_S.mean() + half), rel=1e-6)
    assert (claim.outcome, claim.scope, claim.folds, claim.all_folds) == ("improved", "new seeds and data", 5, 5)
    assert (claim.groups, claim.images, claim.alone) == (20, 100, ())
    assert claim.chances is None, "probabilities are not given over folds"
    other = next(item.headline for item in report.comparisons if (item.variant, item.split) == ("same", "val"))
    assert (other.outcome, other.reason, other.outlook) == ("undecided", "noise", None)
    assert report.answer[0].startswith("Of 2 variants against a on val, 1 improved: better +")


def test_every_part_of_the_report_rests_on_folds(folded):
    report = summarise(*folded)
    assert {item.claim.folds for item in report.bands} == {5}
    assert {item.claim.folds for item in report.own_training if item.split == "val"} == {5}
    assert {(claim.folds, claim.scope) for claim in report.comparisons[0].classes} == {(5, "new seeds and data")}
    assert any(claim.outcome == "improved" for claim in report.comparisons[0].classes)
    (ranking,) = report.rankings
    assert next(rank.variant for rank in ranking.ranks if not rank.behind) == "better"
    assert report.floors[0].folds == 5
    told = floor_sentence(report.floors[0])
    assert "(training and other data together; 5 seeds over 5 folds)" in told


def test_a_split_that_all_seeds_share_is_crossed_with_them(folded):
    plan, results = folded
    report = summarise(replace(plan, split="test"), results)
    claims = [item.headline for item in report.comparisons if item.split == "test"]
    assert {(claim.scope, claim.folds) for claim in claims} == {("new seeds and images", None)}
    assert {claim.outcome for claim in claims} & {"improved"}
    assert report.floors[0].folds is None


def test_the_note_on_folds_tells_how_many_and_what_verdicts_speak_for(folded):
    plan, results = folded
    some = replace(plan, runs=tuple(run for run in plan.runs if run.seed in (0, 2)))
    (note,) = [note for note in summarise(some, results).notes if "folds" in note]
    assert note.startswith("The seeds validate on 2 of 5 folds of the data, each on one, and train on the others:")
    assert "Intervals over folds speak for new training images too" in note
    (note,) = [note for note in summarise(replace(plan, split="test"), results).notes if "folds" in note]
    assert note.endswith(
        "Verdicts are given on test, whose images all seeds share, and do not speak for new training images;"
        " `compare.split: val` judges over the folds."
    )
    assert "Intervals over folds" not in note


def test_the_page_says_what_the_interval_speaks_for(folded, tmp_path):
    write_report(*folded, tmp_path)
    page = (tmp_path / "report.md").read_text()
    assert "5 seeds over 5 folds, 20 image groups (100 images)." in page
    assert (
        "An interval over folds speaks for new seeds and for new images of the same kind, trained on and judged" in page
    )
    assert "paired by seed; how intervals" in page
    assert "Verdicts are given on val: 100 images in 20 groups." in page
    assert "What single images do to a difference is not told over folds" in page
    assert "## Where the differences are" not in page
    assert "Every fold has its seed, and what more seeds on the same folds would add is not forecast." in page
    told = json.loads((tmp_path / "report.json").read_text())
    assert told["comparisons"][0]["headline"]["all_folds"] == 5


def test_a_split_holds_all_folds_each_image_once(simulate):
    plan, results = fold_up(simulate({"a": 0.6}, seeds=(0, 1, 2, 3), splits=ONE), 3)
    found = counts_by_split(group_runs(plan, results))["val"]
    assert len(found.images) == len(set(found.images)) == 60
    parts = [results[run.id].counts["val"] for run in plan.runs[:3]]
    assert (found.confusion_CC() == sum(part.confusion_CC() for part in parts)).all()
    assert (found.confusion_NCC()[20:40] == parts[1].confusion_NCC()).all()


def test_two_folds_say_nothing_of_other_data(simulate):
    plan, results = fold_up(simulate({"a": 0.6, "b": 0.7}, seeds=(0, 1), splits=ONE), 5)
    report = summarise(plan, results)
    claim = report.comparisons[0].headline
    assert (claim.outcome, claim.reason, claim.low, claim.scope) == ("undecided", "few folds", None, "these folds")
    assert "on too few folds" in report.answer[0]
    told = conclude(claim, 0.005)
    assert "seeds of fewer than three folds: nothing is known about other data" in told
    assert told.endswith("Seeds on three folds at least are needed before anything is said.")
    assert "2 seeds over 2 of 5 folds" in told
    assert look_line(claim, goes_on=False).endswith("no more seeds: its seeds are of fewer than three folds")


def test_a_look_at_two_folds_spends_nothing(simulate):
    plan, results = fold_up(simulate({"a": 0.6, "b": 0.62}, seeds=(0, 5, 1, 2, 3, 4), splits=ONE), 5)
    two = RecordedLook({run.id: digest_counts(results[run.id]) for run in plan.runs if run.seed in (0, 1, 5)}, 1)
    before, after = (summarise(plan, results, taken) for taken in ((), taken_looks(plan, (two,))))
    claim = after.comparisons[0].headline
    assert (claim.look, claim.folds) == (1, 5)
    assert claim == before.comparisons[0].headline


def test_the_folds_that_are_left_may_decide(simulate):
    plan, results = fold_up(simulate({"a": 0.6, "b": 0.604}, seeds=(0, 1, 2), splits=ONE), 5)
    claim = summarise(plan, results).comparisons[0].headline
    assert claim.outcome == "undecided"
    assert 4 <= claim.outlook.seeds <= 5
    assert f"{claim.outlook.seeds} seeds would decide it with a probability of about" in conclude(claim, 0.005)
    assert "image groups of" not in conclude(claim, 0.005)
    whole = claim.model_copy(update={"folds": 5, "outlook": None})
    assert look_line(whole, goes_on=False).endswith("no more seeds: every fold has its seed")


def test_what_is_advised_and_what_is_warned_of_name_the_same_seeds(simulate):
    plan, results = fold_up(simulate({"a": 0.6, "b": 0.61}, seeds=(0, 1, 7), splits=ONE), 5)
    report = summarise(plan, results)
    (few,) = [item for item in report.concerns if item.code == "few_folds"]
    assert few.remedy.startswith("write seeds: [0, 1, 7, 3, 4]: ")
    claim = report.comparisons[0].headline
    for seeds, told in ((4, "--seeds 0,1,7,3"), (5, "--seeds 0,1,7,3,4")):
        likely = Outlook(seeds=seeds, chance=0.9, groups=None, chance_most=0.9)
        open_claim = claim.model_copy(update={"outcome": "undecided", "outlook": likely})
        item = report.comparisons[0].model_copy(update={"headline": open_claim})
        (advice,) = propose_next(replace(plan, command="harness run s.yaml"), [item])
        assert f"harness run s.yaml {told}, or" in advice


def test_attribution_over_folds_has_intervals_over_folds(simulate):
    made = simulate({"a": 0.6, "a+x": 0.7, "a+y": 0.6, "a+x+y": 0.7}, seeds=(0, 1, 2), splits=ONE)
    parts = {"a": {}, "a+x": {"x": True}, "a+y": {"y": True}, "a+x+y": {"x": True, "y": True}}
    off = {"x": False, "y": False}
    runs = tuple(
        replace(run, family="a", design=("factorial",), components={**off, **parts[run.variant]})
        for run in made.plan.runs
    )
    plan, results = fold_up(replace(made, plan=replace(made.plan, runs=runs)), 3)
    (found,) = summarise(plan, results).attributions
    score = {(run.variant, run.seed): miou_dataset(results[run.id].counts["val"].confusion_CC()) for run in plan.runs}
    effect_S = np.array([(score["a+x", s] + score["a+x+y", s] - score["a", s] - score["a+y", s]) / 2 for s in range(3)])
    (main,) = [part for part in found.main if part.name == "x"]
    assert main.delta == pytest.approx(effect_S.mean())
    half = 4.3026527 * math.sqrt((1 / 3 + 1 / 2) * effect_S.var(ddof=1))
    assert main.high - main.low == pytest.approx(2 * half, rel=1e-6)


def test_variants_on_folds_of_other_numbers_are_not_compared(simulate):
    plan, results = fold_up(simulate({"a": 0.6, "b": 0.7}, splits=ONE), 3)
    apart = {
        run.id: replace(results[run.id], contract={**results[run.id].contract, "splits": {"val": f"half {run.seed}"}})
        for run in plan.runs
        if run.variant == "b"
    }
    (judged,) = judge_splits(group_runs(plan, {**results, **apart}), "a").judged
    assert judged.effects == {}


def test_a_gate_judges_folds_by_their_interval(folded):
    plan, results = folded
    study = judge_splits(group_runs(plan, results), "a").judged[0]
    effect = study.effects["better", "a"]["miou_dataset"]
    options = {"baseline": "a", "variants": ("better",), "split": "val"}
    (check,) = make_gate(plan, results, drops={"miou_dataset": 0.0}, **options).checks
    assert check.passed
    assert check.lowest == pytest.approx(effect.delta - 2.1318468 * effect.se)  # Student's 95 % point of 4 degrees
    two = {run_id: result for run_id, result in results.items() if run_id in {run.id for run in plan.runs[:2]}}
    two |= {run.id: results[run.id] for run in plan.runs if run.variant == "better" and run.seed < 2}
    (check,) = make_gate(plan, two, drops={"miou_dataset": 0.5}, **options).checks
    assert (check.passed, check.lowest) == (False, None)


def test_a_card_tells_the_mean_over_folds(folded):
    plan, results = folded
    config = plan.runs[0].config
    chosen = SimpleNamespace(variant="a", which="best", config=config)
    effect = seed_interval(plan, chosen, "val", results)
    score_S = np.array([miou_dataset(results[run.id].counts["val"].confusion_CC()) for run in plan.runs[:5]])
    half = 2.7764451 * math.sqrt((1 / 5 + 1 / 4) * score_S.var(ddof=1))
    assert (effect.delta, effect.scope) == (pytest.approx(score_S.mean()), "new seeds and data")
    assert (effect.low, effect.high) == pytest.approx((score_S.mean() - half, score_S.mean() + half), rel=1e-6)
    assert seed_interval(plan, chosen, "test", results).scope == "new seeds and images"
