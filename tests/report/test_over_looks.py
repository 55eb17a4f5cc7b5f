"""Families over recorded looks: the first that calls a comparison gives its verdict, if it can be worked out again."""

import re
from dataclasses import replace

import numpy as np
import pytest

from harness.judged import digest_counts
from harness.report.page.sentences import caveat, conclude, outcome_word
from harness.report.study.answer import make_answer
from harness.report.study.chances import tell_chances
from harness.report.study.class_bands import compare_bands, make_bands
from harness.report.study.judge import judge_splits, make_comparisons
from harness.report.study.over_looks import known_looks
from harness.report.study.own_training import make_own_training, own_training_lines
from harness.report.study.ranking import make_rankings
from harness.report.study.summary import summarise
from harness.report.study.variants import group_runs
from harness.report.write import write_report
from harness.runs.looks import new_look, taken_looks
from harness.stats.looks import LookHistory, LookSchedule, TakenLook
from harness.tune.record import _turned

FIRST, ALL = range(3), range(8)


@pytest.fixture(scope="module")
def turned(simulate):
    """Return a study in which b is far better than a with the first three seeds, and as far worse with five more."""
    study = simulate({"a": 0.6, "b": 0.75, "c": 0.6}, seeds=tuple(ALL))
    runs = {(run.variant, run.seed): run.id for run in study.plan.runs}
    results = dict(study.results)
    for seed in ALL[3:]:
        one, other = runs["a", seed], runs["b", seed]
        results[one] = replace(study.results[other], run_id=one)
        results[other] = replace(study.results[one], run_id=other)
    return replace(study, results=results)


def taken(study, seeds=FIRST, names="abc", digests=True):
    """Return the look at which these variants had these seeds."""
    ids = {(run.variant, run.seed): run.id for run in study.plan.runs}
    return TakenLook(
        {
            name: {seed: digest_counts(study.results[ids[name, seed]]) if digests else "" for seed in seeds}
            for name in names
        }
    )


def claim_of(study, looks, variant="b"):
    judged = [item for item in judge_splits(group_runs(study.plan, study.results), "a").judged if item.split == "val"]
    found = make_comparisons(judged, 0.0, known_looks(study.plan, study.results, looks), "val")
    return next(item for item in found if item.variant == variant)


def first_seeds(study):
    """Return the study as it was with its first three seeds."""
    plan = replace(study.plan, runs=tuple(run for run in study.plan.runs if run.seed in FIRST))
    return replace(study, plan=plan, results={run.id: study.results[run.id] for run in plan.runs})


def test_the_first_call_is_the_verdict_and_the_numbers_are_those_of_all_seeds(turned):
    then = claim_of(first_seeds(turned), ()).headline
    now = claim_of(turned, (taken(turned),)).headline
    alone = claim_of(turned, (replace(taken(turned), is_whole=False),)).headline
    assert (then.outcome, then.called) == ("improved", None)
    assert (now.outcome, now.look, now.called.seeds, now.called.agrees) == ("improved", 1, (0, 1, 2), False)
    assert (now.p_adjusted, now.look_level, now.power) == (then.p_adjusted, then.look_level, then.power)
    assert (now.called.delta, now.called.low, now.called.high) == (then.delta, then.low, then.high)
    assert (alone.outcome, alone.look) == ("undecided", 2)
    assert (now.delta, now.low, now.high, now.p, now.seeds) == (
        alone.delta,
        alone.low,
        alone.high,
        alone.p,
        alone.seeds,
    )
    assert now.seeds == tuple(ALL)


def test_the_sentence_says_when_it_was_called_and_that_all_seeds_do_not_say_so(turned):
    claim = claim_of(turned, (taken(turned),)).headline
    size = f"{100 * claim.delta:+.1f}".replace("-", "\N{MINUS SIGN}")
    told = conclude(claim, 0.0)
    assert told.startswith(f"**b improved** against a: {size} points of miou_dataset (95 % interval ")
    assert "; 8 seeds, 4 image groups (20 images). It was called at look 1, with 3 seeds: +" in told
    assert " after Holm over 3 comparisons." in told
    assert told.endswith(" But **the interval of all 8 seeds no longer excludes 0**: read the verdict with care.")
    assert caveat(claim) == " (called improved with 3 seeds; the interval of all 8 seeds no longer excludes 0)"
    assert outcome_word(claim) == "improved (with 3 seeds)"
    other = claim.model_copy(update={"low": -0.03, "high": -0.01, "looks": 3})
    assert "at look 1 of 3, with 3 seeds" in conclude(other, 0.0)
    assert "the interval of all 8 seeds lies on the other side of 0" in conclude(other, 0.0)
    agreed = claim.model_copy(update={"called": claim.called.model_copy(update={"agrees": True})})
    assert "But" not in conclude(agreed, 0.0)
    assert caveat(agreed) == ""


def test_the_interval_that_is_held_against_the_margin_is_of_all_seeds_too(turned):
    now = claim_of(turned, (taken(turned),)).headline
    (item,) = [
        item for item in judge_splits(group_runs(turned.plan, turned.results), "a").judged if item.split == "val"
    ]
    effect = item.effects["b", "a"]["miou_dataset"]
    assert (now.low_margin, now.high_margin) == effect.interval(1 - LookHistory((3,)).level(0.1))
    assert now.low_margin < now.delta < now.high_margin


def test_what_was_called_before_has_its_probabilities_too(turned):
    report = summarise(turned.plan, turned.results, (taken(turned),))
    claim = next(item.headline for item in report.comparisons if item.variant == "b" and item.split == "val")
    assert claim.called is not None
    assert conclude(claim, 0.005).endswith(tell_chances(claim))
    assert "prior: differences of about 1 point" in tell_chances(claim)


def test_what_is_equivalent_says_so_too(turned):
    claim = claim_of(turned, (taken(turned),)).headline.model_copy(update={"outcome": "equivalent"})
    assert "no longer within the margin" in conclude(claim, 0.01)
    assert "after Holm" not in conclude(claim, 0.01)


@pytest.mark.parametrize("lost", ["gone", "failed", "made anew"])
def test_a_look_whose_results_are_not_there_as_they_were_calls_nothing(turned, lost):
    """Even those of another variant: what was lent, and the family, would not be as they were. It stays a look."""
    looks = (taken(turned),)
    run, other = [run.id for run in turned.plan.runs if run.variant == "c"][:2]
    results = dict(turned.results)
    if lost == "gone":
        del results[run]
    elif lost == "failed":
        results[run] = replace(results[run], status="failed", counts={}, last_counts={})
    else:
        results[run] = replace(results[other], run_id=run)
    study = replace(turned, results=results)
    claim = claim_of(study, looks).headline
    assert (claim.outcome, claim.look, claim.called) == ("undecided", 2, None)


def test_a_look_that_kept_no_digests_is_taken_as_it_is(turned):
    assert claim_of(turned, (taken(turned, digests=False),)).headline.called.seeds == (0, 1, 2)


def test_the_family_is_that_of_the_look(turned):
    """At the first look c had no seeds: b was judged alone, and so it stays."""
    claim = claim_of(turned, (taken(turned, names="ab"),)).headline
    assert (claim.outcome, claim.family) == ("improved", 1)
    assert claim_of(turned, (taken(turned, names="ab"),), "c").headline.family == 3


def test_a_look_without_all_seeds_that_were_seen_before_judges_nothing(turned):
    """Seeds 5 to 7 were seen first; at the look at 0 to 2 alone nobody may choose them."""
    looks = (replace(taken(turned, (5, 6, 7)), is_whole=False), taken(turned))
    assert claim_of(turned, looks).headline.called is None


def test_a_look_at_nothing_that_is_compared_here_calls_nothing(turned):
    judged = [item for item in judge_splits(group_runs(turned.plan, turned.results), "a").judged if item.split == "val"]
    for look in (TakenLook({"elsewhere": {0: "", 1: ""}}), taken(turned, names="c")):
        found = make_comparisons(judged, 0.0, LookSchedule((), (look,)), "val")
        assert {(item.headline.look, item.headline.called) for item in found} == {(1, None)}


def test_the_look_at_what_is_there_now_is_the_present_one(turned):
    claim = claim_of(turned, (taken(turned), taken(turned, ALL))).headline
    assert claim == claim_of(turned, (taken(turned),)).headline


def test_class_tables_bands_and_rankings_keep_their_first_calls(turned):
    looks = (taken(turned),)
    cells = claim_of(turned, looks).classes
    called = [cell for cell in cells if cell.called]
    assert called
    assert {(cell.outcome, len(cell.seeds), len(cell.called.seeds)) for cell in called} == {("improved", 8, 3)}
    groups = group_runs(turned.plan, turned.results)
    judged = [item for item in judge_splits(groups, "a").judged if item.split == "val"]
    now = known_looks(turned.plan, turned.results, looks)
    bands = [item.claim for item in compare_bands(judged, make_bands(groups, "a"), "a", now)]
    assert {(claim.outcome, claim.called.agrees) for claim in bands if claim.variant == "b"} == {("improved", False)}
    (ranking,) = make_rankings(judged, now)
    assert ranking.ranks[0].variant == "a", "all seeds together put a first"
    behind = {rank.variant: rank.behind for rank in ranking.ranks}
    assert not behind["b"], "b was called ahead of a, so it is not behind it"


def flipped(simulate):
    """Return a study whose b gains on its start with the first three seeds, and loses as much with five more."""
    study = simulate({"a": 0.6, "b": 0.75, "c": 0.76}, seeds=tuple(ALL), warm=True)
    results = {
        id_: replace(result, counts=result.start_counts, start_counts=result.counts)
        if result.start_counts and next(run.seed for run in study.plan.runs if run.id == id_) in ALL[3:]
        else result
        for id_, result in study.results.items()
    }
    return replace(study, plan=replace(study.plan, reference="b"), results=results)


def test_own_training_keeps_its_first_call(simulate):
    study = flipped(simulate)
    results = study.results
    looks = known_looks(study.plan, results, (taken(study),))
    (own,) = [
        item
        for item in make_own_training(study.plan, group_runs(study.plan, results), looks, "val")
        if item.split == "val" and item.variant == "b"
    ]
    assert (own.claim.outcome, own.claim.look, own.claim.called.seeds) == ("improved", 1, (0, 1, 2))
    assert own.claim.seeds == tuple(ALL)


def test_what_training_made_of_its_start_is_told_with_its_doubt(simulate):
    study = flipped(simulate)
    report = summarise(study.plan, study.results, (taken(study),))
    doubt = " (called improved with 3 seeds; the interval of all 8 seeds"
    (step,) = [text for text in report.answer if text.startswith("On the way to b")]
    assert "b differs from a by \N{MINUS SIGN}" in step and doubt in step
    line = next(line for line in own_training_lines(report) if line.startswith("Start -> own training: **b improved**"))
    assert " It was called at look 1, with 3 seeds: +" in line
    assert line.endswith(": read the verdict with care.")


def test_an_answer_does_not_say_within_the_margin_of_what_no_longer_is(turned):
    report = summarise(turned.plan, turned.results, (taken(turned),))
    (found,) = [item for item in report.comparisons if item.variant == "b" and item.split == "val"]
    claim = found.headline.model_copy(update={"outcome": "equivalent"})
    only = report.model_copy(update={"comparisons": (found.model_copy(update={"headline": claim}),)})
    assert "no longer within the margin" in make_answer(only)[0]
    assert ", within the margin" not in make_answer(only)[0]
    agreed = claim.model_copy(update={"called": claim.called.model_copy(update={"agrees": True})})
    only = report.model_copy(update={"comparisons": (found.model_copy(update={"headline": agreed}),)})
    assert ", within the margin of ±0.5;" in make_answer(only)[0]


def test_the_whole_report_is_a_function_of_the_looks(turned):
    looks = (taken(turned),)
    report = summarise(turned.plan, turned.results, looks)
    assert report == summarise(turned.plan, turned.results, looks)
    claim = next(item.headline for item in report.comparisons if item.variant == "b" and item.split == "val")
    assert claim.called.seeds == (0, 1, 2)
    assert "called improved with 3 seeds" in report.answer[0]
    later = (*looks, taken(turned, range(5)))
    again = next(c.headline for c in summarise(turned.plan, turned.results, later).comparisons if c.variant == "b")
    assert (again.outcome, again.look, again.called) == (claim.outcome, claim.look, claim.called)
    assert np.isclose(claim.look_level, LookHistory((3,)).level(0.05))


def test_pages_mark_what_all_seeds_do_not_say(turned, tmp_path):
    write_report(turned.plan, turned.results, tmp_path, (taken(turned),))
    page = (tmp_path / "report.html").read_text()
    assert page.count("▲ improved?") == 1, "the chart of differences"
    assert re.search(r"<td [^>]*>[^<]* ▲\?</td>", page), "the table of classes"
    assert "but the interval of all 8 seeds no longer excludes 0" in page
    level = f"{100 * (1 - LookHistory((3,)).level(0.1)):.2f}".rstrip("0").rstrip(".")
    assert f"\n{level} % interval " in page
    plain = tmp_path / "plain"
    write_report(turned.plan, turned.results, plain)
    assert "improved?" not in (plain / "report.html").read_text()


def test_a_report_that_is_made_is_not_made_again(turned, tmp_path, monkeypatch):
    made = summarise(turned.plan, turned.results)
    monkeypatch.setattr("harness.report.write.summarise", None)
    assert write_report(turned.plan, turned.results, tmp_path, made=made) is made
    assert made.answer[0] in (tmp_path / "report.md").read_text()


def test_a_claim_the_other_way_round_turns_its_call_too(turned):
    then = claim_of(turned, (taken(turned),)).headline
    back = _turned(then)
    assert (back.outcome, back.called.delta) == ("regressed", -then.called.delta)
    assert (back.called.low, back.called.high) == (-then.called.high, -then.called.low)


@pytest.fixture(scope="module")
def noisy(simulate):
    """Return a study that five seeds leave undecided, and that four of them, chosen afterwards, would call."""
    return simulate({"a": 0.6, "b": 0.63}, seeds=(20, 21, 22, 23, 24), splits=("val",))


def without(study, *seeds):
    """Return the study with these seeds' results gone."""
    kept = {run.id: study.results[run.id] for run in study.plan.runs if run.seed not in seeds}
    return replace(study, results=kept)


def test_leaving_out_a_seed_that_was_looked_at_calls_nothing(noisy):
    looks = (taken(noisy, (20, 21, 22, 23, 24), "ab"),)
    assert claim_of(noisy, looks).headline.outcome == "undecided"
    assert claim_of(without(noisy, 23), ()).headline.outcome == "improved", "nobody had looked: it may be called"
    claim = claim_of(without(noisy, 23), looks).headline
    assert (claim.outcome, claim.reason, claim.left_out) == ("undecided", "seeds left out", (23,))
    assert {cell.outcome for cell in claim_of(without(noisy, 23), looks).classes} == {"undecided"}
    told = conclude(claim, 0.0)
    assert (
        "; seed 23 was looked at and left out, and whoever chooses among seeds after a look calls nothing new; " in told
    )
    assert told.endswith(" Bring seed 23 back, among the study's seeds and by harness run: nothing new is said before.")
    answer = summarise(noisy.plan, without(noisy, 23).results, looks).answer
    assert "seed 23 was looked at and left out" in answer[0]
    assert answer[1].startswith("Bring seed 23 back")


def test_what_was_called_stands_where_later_seeds_are_left_out(turned):
    looks = (taken(turned), taken(turned, ALL))
    for left_out in ((7,), tuple(ALL[3:])):
        claim = claim_of(without(turned, *left_out), looks).headline
        assert (claim.outcome, claim.look) == ("improved", 1)
        other = claim_of(without(turned, *left_out), looks, "c").headline
        assert (other.outcome, other.left_out) == ("undecided", left_out)


def test_a_seed_that_the_plan_drops_was_looked_at_all_the_same(noisy):
    looks = new_look(noisy.plan, noisy.results, ())
    plan = replace(noisy.plan, runs=tuple(run for run in noisy.plan.runs if run.seed != 23))
    report = summarise(plan, without(noisy, 23).results, taken_looks(plan, looks))
    claim = next(item.headline for item in report.comparisons if item.split == "val")
    assert (claim.outcome, claim.left_out) == ("undecided", (23,))
    assert report.answer[1].startswith("Bring seed 23 back, among the study's seeds")
