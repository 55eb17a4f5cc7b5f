"""The answer: a few sentences that say who is better, by how much, and what became of dominant and rare classes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.records import RunResult
from harness.report.page.markdown import render_markdown
from harness.report.page.sections import make_page
from harness.report.page.sentences import conclusions
from harness.report.study.answer import make_answer
from harness.report.study.summary import summarise
from harness.stats.chances import Chances

TWO = {"Sky": (0, 0, 255), "Grass": (0, 255, 0), "Logs": (99, 60, 20)}
SHARES = np.array([0.6, 0.395, 0.005])


@pytest.fixture(scope="module")
def one(simulate):
    """Reference, one variant, two splits; classes of 60, 39.5 and 0.5 % of the pixels."""
    made = simulate({"old": 0.6, "new": 0.75}, seeds=(0, 1, 2, 3), colours=TWO, shares=SHARES)
    return summarise(made.plan, made.results)


def told(report, *, claims=None, bands=None, **fields):
    """Return the answer of a report whose claims (variant -> what is changed) and bands were changed."""
    comparisons = tuple(
        item.model_copy(update={"headline": item.headline.model_copy(update=(claims or {}).get(item.variant, {}))})
        for item in report.comparisons
    )
    changed = tuple(
        item.model_copy(update={"claim": item.claim.model_copy(update=(bands or {}).get(item.band, {}))})
        for item in report.bands
    )
    return make_answer(report.model_copy(update={"comparisons": comparisons, "bands": changed} | fields))


WORSE = {"outcome": "regressed", "delta": -0.035, "low": -0.046, "high": -0.024, "reason": ""}
BETTER = {"outcome": "improved", "delta": 0.03, "low": 0.01, "high": 0.05, "reason": ""}
UNSURE = {"outcome": "undecided", "reason": "noise", "delta": 0.004, "low": -0.02, "high": 0.028, "outlook": None}
SAME = {"outcome": "equivalent", "reason": "", "delta": 0.001, "low": -0.003, "high": 0.005}
LOST = {"outcome": "regressed", "delta": -0.013, "low": -0.019, "high": -0.007, "reason": ""}
LOST_MORE = {"outcome": "regressed", "delta": -0.082, "low": -0.14, "high": -0.021, "reason": ""}
OPEN = {"outcome": "undecided", "delta": -0.082, "low": -0.19, "high": 0.021, "reason": "noise"}
BANDS = (
    "taken together, the dominant classes (Sky, Grass) lost 1.3 points (−1.9 to −0.7), the rare ones (Logs) lost 8.2 "
    "(−14.0 to −2.1)"
)
OPEN_BANDS = (
    "taken together, the dominant classes (Sky, Grass) lost 1.3 points (−1.9 to −0.7), the rare ones (Logs) changed by "
    "−8.2 (−19.0 to +2.1), which noise may explain"
)


CHANCES = Chances(better=0.45, within=0.4, worse=0.15, new_seed=0.6, margin=0.005, prior=0.01)


def test_what_is_undecided_is_told_with_its_probabilities(one):
    both = {"dominant": LOST, "rare": LOST_MORE}
    assert told(one, claims={"new": UNSURE | {"chances": CHANCES}}, bands=both)[0] == (
        "It is undecided whether new is better or worse than old on val: +0.4 points of miou_dataset (95 % interval "
        "−2.0 to +2.8), which noise may explain (better by more than 0.5 points: 45 %, within: 40 %, worse by more: "
        f"15 %; prior: differences of about 1 point); {BANDS}."
    )


def test_one_variant_in_words(one):
    both = {"dominant": LOST, "rare": LOST_MORE}
    assert told(one, claims={"new": WORSE}, bands=both) == (
        f"new regressed against old on val: −3.5 points of miou_dataset (95 % interval −4.6 to −2.4); {BANDS}.",
    )
    assert told(one, claims={"new": BETTER}, bands={**both, "rare": OPEN}) == (
        f"new improved against old on val: +3.0 points of miou_dataset (95 % interval +1.0 to +5.0); {OPEN_BANDS}.",
    )
    assert told(one, claims={"new": SAME}, bands=both) == (
        "new is equivalent to old on val: +0.1 points of miou_dataset (95 % interval −0.3 to +0.5), within the margin "
        f"of ±0.5; {BANDS}.",
    )
    assert told(one, claims={"new": {**UNSURE, "seeds": ()}}, bands=both) == (
        "It is undecided whether new is better or worse than old on val: +0.4 points of miou_dataset (95 % interval "
        f"−2.0 to +2.8), which noise may explain; {BANDS}.",
    )
    early = {**UNSURE, "reason": "only before correction", "family": 4}
    first, second = told(one, claims={"new": early}, bands=both)
    assert ", which is not enough among 4 comparisons; taken together, the dominant" in first
    assert second == "No look at this comparison is left."
    assert told(one, claims={"new": {"delta": 0.0, "low": 0.0, "high": 0.0, "outcome": "equivalent"}}) == (
        "new scores exactly like old on val with every seed.",
    )


def test_the_numbers_are_those_of_the_record_and_the_answer_stands_first(one):
    claim = one.comparisons[0].headline
    assert one.answer[0].startswith(f"new improved against old on val: +{100 * claim.delta:.1f} points of miou_dataset")
    lines = render_markdown(make_page(one)).splitlines()
    assert lines[2].startswith("> ")
    assert lines[4] == " ".join(one.answer)


def test_a_band_is_the_mean_of_its_classes_seed_by_seed(one):
    """Sky and Grass have 60 and 39.5 % of the pixels, Logs 0.5: dominant from 10 %, rare below 1 %."""
    old, new = one.variants
    bands = {item.band: item for item in one.bands}
    assert {band: item.classes for band, item in bands.items()} == {"dominant": ("Sky", "Grass"), "rare": ("Logs",)}
    for item in bands.values():
        change = [
            sum(new.iou_class["val"][name].values[k] - old.iou_class["val"][name].values[k] for name in item.classes)
            / len(item.classes)
            for k in range(4)
        ]
        assert item.claim.by_seed == pytest.approx(change)
        assert item.claim.delta == pytest.approx(sum(change) / 4)
        assert (item.claim.family, item.claim.split, item.claim.measure) == (2, "val", item.band)
    (logs,) = [claim for claim in one.comparisons[0].classes if claim.measure == "Logs"]
    assert (bands["rare"].claim.low, bands["rare"].claim.high) == pytest.approx((logs.low, logs.high))


def test_bands_are_judged_from_as_many_seeds_as_classes(simulate):
    made = simulate({"old": 0.4, "new": 0.8}, seeds=(0, 1), colours=TWO, shares=SHARES)
    report = summarise(made.plan, made.results)
    assert {(item.claim.outcome, item.claim.reason) for item in report.bands} == {("undecided", "few seeds")}
    assert report.answer[0].endswith("; classes are judged from 3 seeds on.")


def test_one_seed_decides_nothing(simulate):
    made = simulate({"old": 0.4, "new": 0.8}, seeds=(0,))
    report = summarise(made.plan, made.results)
    delta = report.comparisons[0].headline.delta
    assert report.answer[0].startswith("One seed decides nothing about new against old on val: +")
    assert report.answer[1] == "More seeds are needed before anything is said."
    assert "interval" not in report.answer[0]
    assert delta > 0
    many = simulate({"old": 0.4, "new": 0.8, "newer": 0.9}, seeds=(0,))
    assert summarise(many.plan, many.results).answer == (
        "Of 2 variants against old on val none is judged: one seed decides nothing.",
        "More seeds are needed before anything is said.",
    )


def test_many_variants_are_counted_and_the_decided_ones_named_first(simulate):
    names = {"old": 0.6} | {name: 0.6 for name in "abcdef"}
    made = simulate(names, seeds=(0, 1, 2), colours=TWO, shares=SHARES)
    report = summarise(made.plan, made.results)
    more = {**BETTER, "delta": 0.06, "low": 0.03, "high": 0.09}
    claims = {"a": BETTER, "b": more, "c": WORSE, "d": SAME, "e": UNSURE, "f": UNSURE}
    answer = told(report, claims=claims, bands={"dominant": LOST, "rare": OPEN})
    assert answer == (
        "Of 6 variants against old on val, 2 improved: b +6.0 points of miou_dataset (95 % interval +3.0 to +9.0), a "
        "+3.0 (+1.0 to +5.0); 1 regressed: c −3.5 (−4.6 to −2.4); 1 is equivalent: d; 2 are undecided: e, f.",
        f"With b, {OPEN_BANDS}.",
    )
    assert told(report, claims=dict.fromkeys("abcdef", UNSURE)) == (
        "Of 6 variants against old on val, all are undecided.",
    )
    assert told(report, claims={**dict.fromkeys("acdef", BETTER), "b": more})[0] == (
        "Of 6 variants against old on val, all improved, most of all b +6.0 points of miou_dataset (95 % interval +3.0 "
        "to +9.0)."
    )


def with_steps(report, claims):
    """Return the report with what is changed in the claim of each variant's own training."""
    steps = tuple(
        item.model_copy(update={"claim": item.claim.model_copy(update=claims.get(item.variant, {}))})
        for item in report.own_training
    )
    return report.model_copy(update={"own_training": steps})


def test_the_steps_that_lead_to_the_reference_come_last(simulate):
    """The reference is the third of a chain; asked is about the fourth."""
    skills = {"baseline": 0.6, "head": 0.6, "gentle": 0.6, "phase3": 0.6}
    made = simulate(skills, seeds=(0, 1, 2), warm=True, colours=TWO, shares=SHARES)
    report = summarise(replace(made.plan, reference="gentle"), made.results)
    asked = {"claims": {"phase3": WORSE}, "bands": {"dominant": LOST, "rare": LOST_MORE}}
    first, second = told(with_steps(report, {"head": BETTER, "gentle": UNSURE}), **asked)
    assert first == (
        f"phase3 regressed against gentle on val: −3.5 points of miou_dataset (95 % interval −4.6 to −2.4); {BANDS}."
    )
    assert second == (
        "On the way to gentle, head gained 3.0 points over baseline (+1.0 to +5.0); whether gentle gained over head is "
        "undecided: +0.4 (−2.0 to +2.8)."
    )
    assert "phase3 against gentle" in conclusions(report)[0]
    exact = {"delta": 0.0, "low": 0.0, "high": 0.0}
    assert told(with_steps(report, {"head": SAME, "gentle": WORSE}), **asked)[1] == (
        "On the way to gentle, head is equivalent to baseline: +0.1 points (−0.3 to +0.5); gentle lost 3.5 to head "
        "(−4.6 to −2.4)."
    )
    assert told(with_steps(report, {"head": exact, "gentle": WORSE}), **asked)[1].startswith(
        "On the way to gentle, head scores exactly like baseline; gentle lost 3.5"
    )
    back = summarise(replace(made.plan, reference="phase3"), made.results)
    everything = told(back, claims=dict.fromkeys(("baseline", "head", "gentle"), WORSE))
    assert everything[0].startswith("Of 3 variants against phase3 on val, all regressed: ")
    assert not any("On the way" in sentence for sentence in everything), (
        "all of them are what the reference starts from: then they are what is asked about"
    )


def still(plan, *variants):
    return replace(
        plan,
        runs=tuple(
            replace(run, config=replace(run.config, train=run.config.train.model_copy(update={"epochs": 0})))
            if run.variant in variants
            else run
            for run in plan.runs
        ),
    )


def test_where_there_is_nothing_to_say_it_says_why(simulate):
    made = simulate({"old": 0.6, "new": 0.7}, seeds=(0, 1))
    plan, results = made.plan, made.results
    failed = {run.id: RunResult(run.id, "failed", "out of memory") for run in plan.runs}

    def answer(plan, results):
        (sentence,) = summarise(plan, results).answer
        return sentence

    def only(variant):
        return {run.id: results[run.id] for run in plan.runs if run.variant == variant}

    assert answer(plan, {}) == "There is no answer yet: none of 4 runs has finished."
    assert answer(plan, failed) == "There is no answer yet: none of 4 runs has finished, and 4 failed."
    assert answer(plan, only("new")).startswith("There is no answer yet: no run of old counts")
    assert answer(plan, only("old")) == "There is no answer yet: only old has finished runs."
    assert answer(still(plan, "new"), results) == (
        "There is no answer: every variant but old is evaluated only, and no recipe."
    )
    alone = replace(plan, runs=tuple(run for run in plan.runs if run.variant == "old"))
    assert answer(alone, results).startswith("Nothing is compared: old is alone, with ")
    other = {
        id_: replace(result, contract={**result.contract, "size": "input"}) if id_ in only("new") else result
        for id_, result in results.items()
    }
    assert answer(plan, other) == "There is no answer: the results cannot be compared; the notes say why."
    assert answer(replace(plan, reference="gone"), results).startswith("There is no answer: gone, with which")


def test_runs_without_a_result_are_counted(simulate):
    made = simulate({"old": 0.4, "new": 0.8}, seeds=(0, 1, 2, 3))
    lost = made.plan.runs[-1]
    report = summarise(made.plan, {**made.results, lost.id: RunResult(lost.id, "failed", "the loss is nan")})
    assert report.answer[0].startswith("new improved against old")
    assert report.answer[1] == "1 of 8 runs has no result."


def test_a_result_that_is_not_judged_is_not_said_to_be_absent(simulate):
    """As an older version left it: it kept no counts of the last epoch, which is compared here."""
    made = simulate({"old": 0.4, "new": 0.8}, seeds=(0, 1, 2, 3))
    plan = replace(made.plan, epoch="last")
    older = {id_: replace(result, best_epoch=1, last_counts={}) for id_, result in made.results.items()}
    lost, unjudged = made.plan.runs[-1].id, made.plan.runs[-2].id
    report = summarise(plan, {**made.results, unjudged: older[unjudged]})
    assert report.answer[1] == "1 of 8 runs is finished but not judged; the notes say why."
    assert not any("no result" in note for note in report.notes)
    both = {**made.results, unjudged: older[unjudged], lost: RunResult(lost, "failed", "the loss is nan")}
    report = summarise(plan, both)
    assert report.answer[1] == ("1 of 8 runs has no result, and 1 is finished but not judged; the notes say why.")
    assert [note for note in report.notes if "no result" in note] == [
        "1 of 8 runs has no result: new/seed3 (failed). Means are over the seeds that finished; differences are over "
        "the seeds that both variants have."
    ]
    report = summarise(plan, older)
    assert report.answer == ("There is no answer: no run has a result that is judged; the notes say why.",)
    assert "There are no scores: no run has a result that is judged." in render_markdown(make_page(report))


def test_what_is_evaluated_only_is_not_counted(simulate):
    made = simulate({"old": 0.4, "given": 0.9, "new": 0.8}, seeds=(0, 1, 2, 3))
    report = summarise(still(made.plan, "given"), made.results)
    assert report.answer[0].startswith("new improved against old")
    assert not any("given" in sentence for sentence in report.answer)
