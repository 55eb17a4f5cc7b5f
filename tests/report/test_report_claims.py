"""What a report claims: planted differences, none planted, one seed; and the words for each outcome."""

import re
from dataclasses import replace

import pytest
from claims_made import CLAIM, outlook

from harness.report.page.markdown import render_markdown
from harness.report.page.sections import make_page
from harness.report.page.sentences import conclude, conclusions, floor_sentence, ranking_sentence, what_next
from harness.report.study.chances import give_chances, turn_chances
from harness.report.study.summary import summarise
from harness.stats.chances import Chances

HELD = "3 seeds, 48 image groups (48 images)"
SIZE = "+1.8 points of miou_dataset (95 % interval +0.4 to +3.2)"


def test_planted_differences_are_found_and_none_is_invented(simulate):
    study = simulate({"a": 0.6, "better": 0.75, "same": 0.6, "worse": 0.45}, seeds=(0, 1, 2, 3))
    report = summarise(study.plan, study.results)
    chosen = [item for item in report.comparisons if (item.against, item.split) == ("a", "val")]
    outcomes = {item.variant: item.headline.outcome for item in chosen}
    assert outcomes["better"] == "improved"
    assert outcomes["worse"] == "regressed"
    assert outcomes["same"] in ("undecided", "equivalent")
    for item in report.comparisons:
        claim = item.headline
        assert claim.low < claim.delta < claim.high
        assert claim.delta == pytest.approx(sum(claim.by_seed) / 4)
        assert claim.groups == 4, "blocks of frames, not images"


def test_each_variant_is_held_against_the_reference_and_the_one_it_changes(simulate):
    study = simulate({"a": 0.6, "b": 0.7, "c": 0.7})
    report = summarise(study.plan, study.results)
    pairs = {(item.variant, item.against) for item in report.comparisons if item.split == "val"}
    assert pairs == {("b", "a"), ("c", "a"), ("c", "b")}
    assert {item.headline.family for item in report.comparisons if item.split == "val"} == {3}


def test_one_seed_gives_no_verdict(simulate):
    study = simulate({"a": 0.5, "b": 0.8}, seeds=(0,))
    claim = summarise(study.plan, study.results).comparisons[0].headline
    assert (claim.outcome, claim.reason, claim.scope) == ("undecided", "one seed", "these weights")
    assert "speaks for these weights only" in conclude(claim, 0.005)
    assert "More seeds are needed" in conclude(claim, 0.005)


def test_one_seed_on_one_group_has_no_interval_to_speak_of(simulate):
    study = simulate({"a": 0.5, "b": 0.8}, seeds=(0,))
    claim = summarise(study.plan, study.results).comparisons[0].headline
    alone = claim.model_copy(update={"low": None, "high": None, "scope": "these weights on these images"})
    assert "interval" not in conclude(alone, 0.005)
    assert "one seed and images of one group" in conclude(alone, 0.005)


def test_counts_of_other_pixels_give_a_note_and_no_claim(simulate):
    study = simulate({"a": 0.6, "b": 0.7})
    run = study.plan.runs[-1]
    counts = study.results[run.id].counts["val"]
    changed = replace(counts, pixels_K=counts.pixels_K + 1)
    results = {**study.results, run.id: replace(study.results[run.id], counts={"val": changed})}
    report = summarise(study.plan, results)
    assert not [item for item in report.comparisons if item.split == "val"]
    assert any(note.startswith("No intervals or verdicts are given on val") for note in report.notes)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, f"**b improved** against a: {SIZE}; p = 0.012 after Holm over 3 comparisons; {HELD}."),
        (
            {
                "outcome": "equivalent",
                "delta": 0.001,
                "low": -0.003,
                "high": 0.005,
                "low_margin": -0.002,
                "high_margin": 0.004,
            },
            "**b is equivalent** to a: +0.1 points of miou_dataset (95 % interval \u22120.3 to +0.5); its 90 % "
            f"interval, \u22120.2 to +0.4, lies within the margin of ±0.5 points; {HELD}.",
        ),
        (
            {"outcome": "equivalent", "delta": 0.0, "low": 0.0, "high": 0.0},
            f"**b scores exactly like** a with every seed; {HELD}.",
        ),
        (
            {"outcome": "undecided", "reason": "noise", "p_adjusted": 0.4, "outlook": outlook(9, 0.81, 48, 0.9)},
            f"**Undecided:** b against a, {SIZE}; noise may explain it, p = 0.400 after Holm over 3 comparisons; "
            f"{HELD}. 9 seeds would decide it with a probability of about 81 %.",
        ),
        (
            {
                "outcome": "undecided",
                "reason": "noise",
                "p_adjusted": 0.4,
                "family": 1,
                "outlook": outlook(10, 0.3, 900, 0.95),
            },
            f"**Undecided:** b against a, {SIZE}; noise may explain it, p = 0.400; {HELD}. The last look, at 10 seeds, "
            "would decide it with a probability of about 30 %, with 900 image groups of 80 %.",
        ),
        (
            {
                "outcome": "undecided",
                "reason": "only before correction",
                "p_adjusted": 0.06,
                "outlook": outlook(10, 0.3, None, 0.45),
            },
            f"**Undecided:** b against a, {SIZE}; alone it would count, but p = 0.060 after Holm over 3 comparisons: "
            f"chance alone gives 0.15 such among so many; {HELD}. The last look, at 10 seeds, would decide it with a "
            "probability of about 30 %, with 100 times as many images of 45 %.",
        ),
        (
            {"look": 2, "looks": 4, "look_level": 0.0125, "power": 0.556},
            f"**b improved** against a: {SIZE}; p = 0.012 after Holm over 3 comparisons, look 2 of 4 at level 0.0125; "
            f"{HELD}. A true difference of this size is called in 56 % of such studies: those that call it measure "
            "more than is true, on average.",
        ),
        (
            {"outcome": "undecided", "reason": "only before correction", "p_adjusted": 0.06, "family": 1, "look": 3},
            f"**Undecided:** b against a, {SIZE}; alone it would count, but p = 0.060, look 3 at level 0.0400; {HELD}. "
            "No look at this comparison is left.",
        ),
        (
            {"chances": Chances(better=0.937, within=0.062, worse=0.001, new_seed=0.712, margin=0.005, prior=0.01)},
            f"**b improved** against a: {SIZE}; p = 0.012 after Holm over 3 comparisons; {HELD}. Better by more than "
            "0.5 points: 94 %, within: 6 %; a new seed of b beats one of a in 71 % of cases (prior: differences of "
            "about 1 point).",
        ),
        (
            {
                "outcome": "undecided",
                "reason": "noise",
                "p_adjusted": 0.4,
                "family": 1,
                "chances": Chances(better=0.004, within=0.78, worse=0.216, new_seed=None, margin=0.003, prior=0.025),
            },
            f"**Undecided:** b against a, {SIZE}; noise may explain it, p = 0.400; {HELD}. Within ±0.3 points: 78 %, "
            "worse by more: 22 % (prior: differences of about 2.5 points). No look at this comparison is left.",
        ),
        (
            {"chances": Chances(better=0.9955, within=0.0, worse=0.0045, new_seed=0.004, margin=0.0, prior=0.01)},
            f"**b improved** against a: {SIZE}; p = 0.012 after Holm over 3 comparisons; {HELD}. Better: > 99 %; a new "
            "seed of b beats one of a in < 1 % of cases (prior: differences of about 1 point).",
        ),
        (
            {"outcome": "undecided", "reason": "few groups", "p_adjusted": None},
            f"**Undecided:** b against a, {SIZE}; the images are of two groups, or of one that holds nearly all: too "
            f"few groups to call; {HELD}. Images of other recordings are needed before anything is said.",
        ),
    ],
)
def test_words(change, told):
    assert conclude(CLAIM.model_copy(update=change), 0.005) == told


def test_probabilities_are_printed_from_five_seeds_on(simulate):
    pages = []
    for seeds in ((0, 1, 2), (0, 1, 2, 3, 4)):
        study = simulate({"a": 0.6, "b": 0.603, "c": 0.63}, seeds=seeds)
        report = summarise(replace(study.plan, expected=0.02), study.results)
        pages.append(render_markdown(make_page(report)))
    few, enough = pages
    assert "prior" not in few
    lines = [line for line in enough.splitlines() if "(prior: differences of about 2 points)" in line]
    assert len(lines) == len([item for item in report.comparisons if item.split == "val"])
    assert all(re.search(r"(Better|Worse) by more than 0\.5 points: |Within ±0\.5 points: ", line) for line in lines)
    assert "Probabilities are of the true difference" in enough


def test_probabilities_of_a_pair_in_the_other_order():
    chances = Chances(better=0.7, within=0.2, worse=0.1, new_seed=0.75, margin=0.005, prior=0.01)
    assert turn_chances(chances) == Chances(better=0.1, within=0.2, worse=0.7, new_seed=0.25, margin=0.005, prior=0.01)
    assert turn_chances(replace(chances, new_seed=None)).new_seed is None
    assert turn_chances(None) is None


def test_the_noise_floor_in_words(simulate):
    study = simulate({"a": 0.6, "b": 0.62})
    floor = summarise(study.plan, study.results).floors[0]
    told = floor_sentence(floor)
    assert told.startswith("Noise floor on val: a's seeds differ by a standard deviation of ")
    assert "3 seeds" in told
    assert "80 % probability" in told
    alone = simulate({"a": 0.6, "b": 0.62}, seeds=(0,))
    assert "one seed only" in floor_sentence(summarise(alone.plan, alone.results).floors[0])


def test_two_seeds_judge_headlines_and_no_class(simulate):
    study = simulate({"a": 0.4, "b": 0.8}, seeds=(0, 1))
    comparison = summarise(study.plan, study.results).comparisons[0]
    assert {claim.outcome for claim in comparison.classes} == {"undecided"}
    assert {claim.reason for claim in comparison.classes} == {"few seeds"}
    assert comparison.headline.family == 1
    assert comparison.headline.p_adjusted is not None


def test_the_ranking_shows_ties(simulate):
    study = simulate({"a": 0.6, "b": 0.75, "c": 0.751}, seeds=(0, 1, 2, 3))
    report = summarise(study.plan, study.results)
    ranking = next(item for item in report.rankings if item.split == "val")
    assert {rank.variant: rank.behind for rank in ranking.ranks} == {"b": False, "c": False, "a": True}
    assert ranking.family == 3
    told = ranking_sentence(ranking)
    assert "is first; not told apart from it: " in told
    assert told.endswith(f"shown to be behind it: a {100 * ranking.ranks[2].mean:.1f}.")


def test_what_to_run_next_is_a_command_that_decides(simulate):
    study = simulate({"a": 0.6, "b": 0.63}, seeds=(0, 1))
    report = summarise(study.plan, study.results)
    claim = next(item.headline for item in report.comparisons if item.split == "val")
    assert claim.outcome == "undecided"
    assert 2 < claim.outlook.seeds <= 10
    assert claim.outlook.chance >= 0.8
    seeds = ",".join(map(str, range(claim.outlook.seeds)))
    command = "harness run ablations/phase3.yaml"
    assert report.next_runs[0].endswith(f"{command} --seeds {seeds}, or look by look: {command} --until decided")


def test_the_next_seeds_keep_those_that_are_finished(simulate):
    study = simulate({"a": 0.6, "b": 0.63}, seeds=(41, 42))
    assert " --seeds 41,42,0" in summarise(study.plan, study.results).next_runs[0]


def test_many_undecided_differences_are_told_in_short(simulate):
    names = {f"v{k}": 0.6 for k in range(8)}
    study = simulate(names)
    report = summarise(study.plan, study.results)
    lines = conclusions(report)
    short = [line for line in lines if line.startswith("Undecided: ")]
    assert len(short) > 5
    assert all(" against " in line and ", p " in line for line in short)
    assert not [line for line in lines if line.startswith("**Undecided")]


def test_combinations_of_a_design_are_compared_with_the_reference_alone(simulate):
    study = simulate({"a": 0.6, "b": 0.7, "c": 0.7})
    runs = tuple(
        replace(run, family="c", design=("leave_one_out",)) if run.variant == "c" else run for run in study.plan.runs
    )
    report = summarise(replace(study.plan, runs=runs), study.results)
    assert {(item.variant, item.against) for item in report.comparisons} == {("b", "a"), ("c", "a")}


def test_whoever_leaves_seeds_out_gets_no_probabilities():
    assert (
        give_chances(CLAIM.model_copy(update={"reason": "seeds left out"}), effect=None, margin=0.0, expected=0.01)
        is None
    )


@pytest.mark.parametrize(("all_folds", "said"), [(2, "2 folds say nothing of other data"), (5, "Seeds on three folds")])
def test_what_brings_more_folds_is_said(all_folds, said):
    few = {"reason": "few folds", "outcome": "undecided", "outlook": None, "folds": 2, "all_folds": all_folds}
    assert what_next(CLAIM.model_copy(update=few)).startswith(said)
