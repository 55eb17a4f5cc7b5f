"""Dominant and rare classes: which they are, and what variants did to them, each number worked out another way."""

from dataclasses import replace

import numpy as np
import pytest

from harness.counts import make_counts
from harness.report.study.class_bands import compare_bands, make_bands
from harness.report.study.judge import judge_splits, make_comparisons
from harness.report.study.variants import group_runs
from harness.stats.effects import compare, over_classes
from harness.stats.looks import LookHistory, LookSchedule, TakenLook
from harness.stats.margins import HEADLINE
from harness.stats.verdicts import holm

SKILLS = {"a": 0.6, "b": 0.75, "c": 0.61}


def of_pixels(study, variant, pixels_C):
    """Return the study in which a variant's runs saw these true pixels of Trees, Lush Bushes, ... on val."""
    confusion_CC = np.zeros((10, 10), np.int64)
    confusion_CC[: len(pixels_C), 9] = pixels_C
    ids = [run.id for run in study.plan.runs if run.variant == variant]
    counts = {
        id_: {"val": make_counts([confusion_CC], ["x"], ["x"], study.results[id_].counts["val"].classes)} for id_ in ids
    }
    results = {id_: replace(item, counts=counts.get(id_, item.counts)) for id_, item in study.results.items()}
    return replace(study, results=results)


def bands_of(study):
    return [
        (item.name, item.share, item.band)
        for item in make_bands(group_runs(study.plan, study.results), "b")
        if item.share
    ]


def test_shares_are_those_of_the_references_true_pixels(simulate):
    study = of_pixels(simulate({"a": 0.6, "b": 0.7}, (0,)), "b", [100, 895, 5])
    expected = [("Lush Bushes", 0.895, "dominant"), ("Trees", 0.1, "dominant"), ("Dry Grass", 0.005, "rare")]
    assert bands_of(study) == expected
    groups = group_runs(study.plan, study.results)
    assert [item.band for item in make_bands(groups, "b")][3:] == ["absent"] * 7


def test_without_counts_of_the_reference_others_tell_and_without_any_nobody_does(simulate):
    study = of_pixels(simulate({"a": 0.6, "b": 0.7}, (0,)), "a", [60, 40])
    only_test = {id_: {"test": item.counts["val"]} for id_, item in study.results.items()}
    lost = {run.id: replace(study.results[run.id], counts=only_test[run.id]) for run in study.plan.runs[1:]}
    assert bands_of(replace(study, results={**study.results, **lost}))[0] == ("Trees", 0.6, "dominant")
    nowhere = {id_: replace(item, counts=only_test[id_]) for id_, item in study.results.items()}
    assert make_bands(group_runs(study.plan, nowhere), "b") == ()


def test_pixels_of_no_class_make_no_band(simulate):
    study = of_pixels(simulate({"a": 0.6, "b": 0.7}, (0,)), "b", [0])
    assert {item.band for item in make_bands(group_runs(study.plan, study.results), "b")} == {"absent"}


@pytest.mark.parametrize("seeds", [(0, 1), (0, 1, 2)])
def test_bands_of_all_variants_are_one_family_at_their_looks(simulate, seeds):
    study = simulate(SKILLS, seeds)
    groups = group_runs(study.plan, study.results)
    bands = make_bands(groups, "a")
    judged = [item for item in judge_splits(groups, "a").judged if item.split == "val"]
    looks = LookSchedule((2, 3, 5), (TakenLook({name: {0: "", 1: ""} for name in "ab"}, is_whole=False),))
    found = compare_bands(judged, bands, "a", looks)
    assert [(item.claim.variant, item.claim.against, item.band) for item in found] == [
        (variant, "a", band) for variant in "bc" for band in ("dominant", "rare")
    ], "and not c against b, whose settings it changes"
    spent = []
    for item in found:
        claim = item.claim
        assert item.classes == tuple(band.name for band in bands if band.band == item.band)
        narrowed = over_classes(judged[0].study, item.classes)
        effect = compare(narrowed, claim.variant, "a")[HEADLINE]
        assert (claim.measure, claim.split, claim.outlook) == (item.band, "val", None)
        assert (claim.delta, claim.low, claim.high, claim.p) == (effect.delta, effect.low, effect.high, effect.p)
        earlier = (2,) if claim.variant == "b" and len(seeds) > 2 else ()
        look = LookHistory((*earlier, len(seeds)), (2, 3, 5))
        assert (claim.look, claim.looks) == (len(look.counts), 3)
        spent.append(look.adjusted(effect.p))
    if len(seeds) == 2:
        assert {(item.claim.reason, item.claim.family) for item in found} == {("few seeds", 0)}
        return
    assert {item.claim.family for item in found} == {4}
    assert [item.claim.p_adjusted for item in found] == pytest.approx(holm(spent), rel=1e-9)
    assert found[0].claim.outcome == "improved"


def test_a_band_has_no_margin_and_counts_no_class_that_the_split_lacks(simulate):
    study = simulate({"a": 0.6, "b": 0.6})
    groups = group_runs(study.plan, study.results)
    (judged, _) = judge_splits(groups, "a").judged
    bands = [item.model_copy(update={"band": "rare"}) for item in make_bands(groups, "a")]
    (found,) = compare_bands([judged], bands, "a", LookSchedule())
    assert "Logs" in {item.name for item in bands}
    assert set(found.classes) == {item.name for item in bands} - {"Logs"}
    (headline,) = [item.headline for item in make_comparisons([judged], 0.9, LookSchedule(), "val")]
    assert found.claim.delta == pytest.approx(headline.delta), "all classes together"
    assert (headline.outcome, found.claim.outcome) == ("equivalent", "undecided")
