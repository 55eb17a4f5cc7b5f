"""Whose weights a report judges: those that a recipe trained, never those that it started from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.counts import make_counts
from harness.judged import judged_results
from harness.predictions import PredictedImage, pack_predictions
from harness.records import Plan, Run
from harness.report.page.markdown import render_markdown
from harness.report.page.sections import make_page
from harness.report.study.own_training import own_training_lines
from harness.report.study.summary import summarise
from harness.scores import miou_dataset

GROUPS = 12
TWO = {"colours": {"road": (90, 90, 90), "rest": (0, 0, 0)}, "shares": np.array([0.9, 0.1])}


def counted(hits: int, seed: int):
    """Twelve images of one class and 100 pixels each; `hits` of each, give or take a few, are right: its IoU."""
    rng = np.random.default_rng([hits, seed])
    right = [hits + int(rng.integers(-2, 3)) for _ in range(GROUPS - 1)]
    right.append(hits * GROUPS - sum(right))
    confusions = [np.array([[share, 100 - share], [0, 0]]) for share in right]
    names = [f"image{index}" for index in range(GROUPS)]
    return {"val": make_counts(confusions, names, names, ["road", "rest"])}


def with_counts(study, hits, scores=None):
    """Give each run's best, last and start counts: variant -> seed -> (best, last, start), in percent of miou_dataset.

    `scores` sets the score that selects epochs: variant -> seed -> (start, best own epoch).
    """
    results = {}
    for run in study.plan.runs:
        best, last, start = hits[run.variant][run.seed]
        zero, own = (scores or {}).get(run.variant, {}).get(run.seed, (0.0, 1.0))
        result = study.results[run.id]
        values = {0: zero, result.best_epoch: own}
        history = tuple(
            replace(item, metrics={**item.metrics, "val/miou_dataset": values.get(item.epoch, 0.0)})
            for item in result.history
        )
        results[run.id] = replace(
            result,
            history=history,
            counts=counted(best, run.seed),
            last_counts=counted(last, run.seed),
            start_counts=counted(start, run.seed) if run.start else {},
        )
    return replace(study, results=results)


def points(value: float) -> int:
    return round(100 * value)


@pytest.fixture
def fallen(simulate):
    """A recipe that ruins what it starts from, with each of four seeds by 27 to 33 points."""
    made = simulate({"parent": 0.8, "ruin": 0.8}, seeds=(0, 1, 2, 3), warm=True, splits=("val",), **TWO)
    falls = (27, 29, 31, 33)
    hits = {
        "parent": {seed: (80, 79, 0) for seed in range(4)},
        "ruin": {seed: (80 - fall, 40, 80) for seed, fall in enumerate(falls)},
    }
    return with_counts(made, hits, {"ruin": {seed: (0.8, 0.5) for seed in range(4)}})


def test_a_recipe_that_ruins_its_start_is_judged_by_what_it_made_of_it(fallen):
    report = summarise(fallen.plan, fallen.results)
    (against_parent,) = report.comparisons
    (own,) = report.own_training
    assert (own.variant, own.start, own.split) == ("ruin", "parent@best", "val")
    for claim in (against_parent.headline, own.claim):
        assert [points(value) for value in claim.by_seed] == [-27, -29, -31, -33]
        assert points(claim.delta) == -30
        assert claim.outcome == "regressed"
        assert claim.high < 0
    assert own.claim.family == 1
    page = render_markdown(make_page(report))
    assert "exactly like" not in page
    assert "- Start -> own training: **ruin regressed** against its start parent@best: \u221230.0 points" in page
    told = "Kept if better: whoever keeps, with each seed, the better of ruin and parent@best has 80.0 %; "
    assert f"- {told}it is the start with 4 of 4 seeds." in page


def test_kept_if_better_takes_each_seeds_choice_by_the_score_that_selects_epochs(simulate):
    """Seed 0 keeps 60, seed 1 (a tie) keeps 60, seed 2 takes its own 45 although it is lower where it is reported."""
    made = simulate({"parent": 0.8, "child": 0.8}, seeds=(0, 1, 2), warm=True, splits=("val",), **TWO)
    hits = {
        "parent": {seed: (60, 60, 0) for seed in range(3)},
        "child": {0: (50, 40, 60), 1: (70, 40, 60), 2: (45, 40, 60)},
    }
    study = with_counts(made, hits, {"child": {0: (0.6, 0.5), 1: (0.6, 0.6), 2: (0.4, 0.5)}})
    (own,) = summarise(study.plan, study.results).own_training
    assert own.kept_start == (0, 1)
    assert [points(value) for value in own.kept.values] == [60, 60, 45]
    assert own.kept.mean == pytest.approx(0.55)
    assert [points(value) for value in own.claim.by_seed] == [-10, 10, -15]


def test_kept_if_better_looks_at_the_epoch_that_is_compared(simulate):
    """The best epoch beats its start; the last, whose score is 0, does not."""
    made = simulate({"parent": 0.8, "child": 0.8}, seeds=(0, 1), warm=True, splits=("val",), **TWO)
    made = replace(made, results={id_: replace(item, best_epoch=3) for id_, item in made.results.items()})
    hits = {"parent": dict.fromkeys((0, 1), (60, 60, 0)), "child": dict.fromkeys((0, 1), (70, 40, 60))}
    study = with_counts(made, hits, {"child": {0: (0.4, 0.5), 1: (0.4, 0.5)}})
    for epoch, kept, value in (("best", (), 70), ("last", (0, 1), 60)):
        (own,) = summarise(replace(study.plan, epoch=epoch), study.results).own_training
        assert own.kept_start == kept
        assert [points(found) for found in own.kept.values] == [value] * 2


def test_all_variants_that_trained_on_are_one_family(simulate):
    made = simulate({"parent": 0.7, "same": 0.7, "better": 0.9}, seeds=(0, 1, 2, 3), warm=True)
    report = summarise(made.plan, made.results)
    assert [(item.variant, item.start) for item in report.own_training if item.split == "test"] == [
        ("same", "parent@best"),
        ("better", "same@best"),
    ]
    assert {item.claim.family for item in report.own_training if item.split == "val"} == {2}
    assert len(list(own_training_lines(report))) == 4


def test_each_outcome_of_own_training_has_its_words(fallen):
    report = summarise(fallen.plan, fallen.results)
    (own,) = report.own_training

    def first_line(**changes):
        changed = own.model_copy(update={"claim": own.claim.model_copy(update=changes)})
        return next(own_training_lines(report.model_copy(update={"own_training": (changed,)})))

    same = {"delta": 0.0, "low": 0.0, "high": 0.0}
    small = {"delta": 0.001, "low": -0.003, "high": 0.005}
    size = "+0.1 points of miou_dataset (95 % interval \u22120.3 to +0.5)."
    begin = "Start -> own training:"
    assert first_line(**same) == f"{begin} **ruin scores exactly like** its start parent@best with every seed."
    assert first_line(outcome="equivalent", **small) == (
        f"{begin} **ruin is equivalent** to its start parent@best: {size}"
    )
    assert first_line(outcome="undecided", **small) == (
        f"{begin} **undecided** whether ruin is better or worse than its start parent@best: {size}"
    )


@pytest.mark.parametrize("which", ["best", "last"])
def test_the_epoch_that_is_compared_is_the_one_in_every_table(fallen, which):
    plan = replace(fallen.plan, epoch=which)
    report = summarise(plan, fallen.results)
    ruin = report.variants[1]
    expected = {"best": [53, 51, 49, 47], "last": [40] * 4}[which]
    assert report.epoch == which
    assert [points(value) for value in ruin.scores["val"]["miou_dataset"].values] == expected
    assert [points(value) for value in ruin.iou_class["val"]["road"].values] == expected
    assert [points(seed.last["miou_dataset"]) for seed in ruin.seeds] == [40] * 4
    reference = {"best": 80, "last": 79}[which]
    delta = [value - reference for value in expected]
    (comparison,) = report.comparisons
    assert [points(value) for value in comparison.headline.by_seed] == delta
    assert [points(value) for value in comparison.classes[0].by_seed] == delta
    assert [points(value) for value in report.own_training[0].claim.by_seed] == [value - 80 for value in expected]
    assert points(report.evidence[0].regions[0].miou_dataset.delta) == round(sum(delta) / 4)
    assert {points(rank.mean) for rank in report.rankings[0].ranks} == {reference, round(sum(expected) / 4)}
    assert f"of each run's {which} epoch. Verdicts are given on val: 12 images" in render_markdown(make_page(report))


def test_what_is_judged_twice_is_judged_once(fallen):
    for which in ("best", "last"):
        plan = replace(fallen.plan, epoch=which)
        once = judged_results(plan, fallen.results)
        assert judged_results(plan, once) == once
        assert {result.contract.get("checkpoint", "best") for result in once.values()} == {which}


def test_regions_and_predictions_are_those_of_the_best_epoch_alone(fallen):
    """With the last epoch compared they would tell of other weights than the counts beside them."""
    seen = pack_predictions(
        ("image0",), [PredictedImage(np.zeros((2, 2, 3), np.uint8), *np.zeros((2, 2, 2), np.uint8))]
    )
    last = {id_: item.history[-1].epoch for id_, item in fallen.results.items()}
    for best, pictured in ((1, False), (None, True)):
        results = {
            id_: replace(
                item, best_epoch=best or last[id_], regions={"val": {"border": counted(9, 0)["val"]}}, predictions=seen
            )
            for id_, item in fallen.results.items()
        }
        kept = judged_results(fallen.plan, results)
        assert all(item.regions and item.predictions for item in kept.values())
        told = judged_results(replace(fallen.plan, epoch="last"), results)
        assert not any(item.regions for item in told.values())
        assert {bool(item.predictions) for item in told.values()} == {pictured}


def older(study, variant: str, **changes):
    """Return the study as an older version of harness left it: no counts of last epochs and of starts."""
    results = {
        run.id: replace(
            study.results[run.id], last_counts={}, start_counts={}, **(changes if run.variant == variant else {})
        )
        for run in study.plan.runs
    }
    return replace(study, results=results)


def test_a_stored_result_whose_best_epoch_is_its_parents_is_named_and_judged_nowhere(fallen):
    """As an older version kept it: under the recipe's name lie the parent's counts."""
    parents = {"counts": counted(80, 0), "best_epoch": 0}
    study = older(fallen, "ruin", **parents)
    report = summarise(study.plan, study.results)
    ruin = report.variants[1]
    assert {(seed.status, seed.best_epoch) for seed in ruin.seeds} == {("unjudged", None)}
    assert not any((ruin.scores, ruin.iou_class, ruin.delta, report.comparisons, report.evidence, report.own_training))
    assert {rank.variant for ranking in report.rankings for rank in ranking.ranks} <= {"parent"}
    (note,) = [note for note in report.notes if "older version" in note]
    assert note.startswith("'ruin' with seed 0, 1, 2, 3 is not judged: an older version of harness took the weights")
    assert "4 finished, 4 unjudged" in render_markdown(make_page(report))


def test_an_older_result_with_a_best_epoch_of_its_own_is_judged_and_its_start_is_said_to_be_unknown(fallen):
    study = older(fallen, "ruin")
    report = summarise(study.plan, study.results)
    assert report.comparisons[0].headline.outcome == "regressed"
    assert report.own_training == ()
    assert any("kept no counts of its start" in note for note in report.notes)


def test_older_results_have_a_last_epoch_only_where_it_is_their_best(fallen):
    last = {run.id: fallen.results[run.id].history[-1].epoch for run in fallen.plan.runs}
    study = older(fallen, "")
    plan = replace(study.plan, epoch="last")
    results = {id_: replace(item, best_epoch=last[id_]) for id_, item in study.results.items()}
    assert {seed.status for variant in summarise(plan, results).variants for seed in variant.seeds} == {"finished"}
    results = {id_: replace(item, best_epoch=1) for id_, item in study.results.items()}
    report = summarise(plan, results)
    assert {seed.status for variant in report.variants for seed in variant.seeds} == {"unjudged"}
    assert sum("kept no counts of its last epoch, which compare.epoch asks for" in note for note in report.notes) == 2


def idle(plan: Plan, variant: str) -> Plan:
    """Return the plan in which a variant trains nothing."""

    def still(run: Run) -> Run:
        return replace(run, config=replace(run.config, train=run.config.train.model_copy(update={"epochs": 0})))

    return replace(plan, runs=tuple(still(run) if run.variant == variant else run for run in plan.runs))


def test_what_is_evaluated_only_has_scores_and_no_verdict(simulate):
    made = simulate({"a": 0.6, "given": 0.9, "b": 0.7}, seeds=(0, 1, 2))
    report = summarise(idle(made.plan, "given"), made.results)
    assert [variant.evaluated_only for variant in report.variants] == [False, True, False]
    assert {(item.variant, item.against) for item in report.comparisons} == {("b", "a")}
    assert {item.variant for item in report.evidence} == {"b"}
    assert all({rank.variant for rank in ranking.ranks} == {"a", "b"} for ranking in report.rankings)
    given = report.variants[1]
    assert given.scores["val"]["miou_dataset"].mean is not None
    assert given.delta is None
    assert any(note.startswith("'given' is evaluated only (0 epochs)") for note in report.notes)
    row = next(line for line in render_markdown(make_page(report)).splitlines() if line.startswith("| given |"))
    assert "| evaluated only |" in row


def test_recipes_may_be_held_against_given_weights(simulate):
    made = simulate({"given": 0.5, "a": 0.7}, seeds=(0, 1, 2))
    report = summarise(idle(made.plan, "given"), made.results)
    assert {(item.variant, item.against) for item in report.comparisons} == {("a", "given")}
    assert any(note.endswith("the others are compared with these.") for note in report.notes)


def test_a_run_of_an_odd_score_keeps_its_start_only_where_that_is_defined(simulate):
    """A score that nothing defines is lower than any other."""
    made = simulate({"parent": 0.8, "child": 0.8}, seeds=(0, 1), warm=True, splits=("val",), **TWO)
    hits = {"parent": dict.fromkeys((0, 1), (60, 60, 0)), "child": dict.fromkeys((0, 1), (50, 50, 60))}
    nan = float("nan")
    study = with_counts(made, hits, {"child": {0: (nan, 0.1), 1: (nan, nan)}})
    (own,) = summarise(study.plan, study.results).own_training
    assert own.kept_start == (1,)
    assert [round(miou_dataset(counted(hit, 0)["val"].confusion_CC()), 2) for hit in (50, 60)] == [0.5, 0.6]
    assert [points(value) for value in own.kept.values] == [50, 60]
