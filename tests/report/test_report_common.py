"""Variants in different label sets are judged in the one they merge into; folds are not a conflict."""

from dataclasses import replace

import pytest
from families_made import GREEN, MERGED, with_taxonomies

from harness.records import Predictions
from harness.report.evidence.make import make_evidence
from harness.report.study.common_labels import find_common, merge_counts
from harness.report.study.summary import summarise
from harness.report.study.variants import group_runs
from harness.report.write import write_report
from harness.scores import miou_dataset


@pytest.mark.parametrize("coarse_variant", ["a", "b"])
def test_differences_are_in_the_common_classes(simulate, coarse_variant):
    study = simulate({"a": 0.7, "b": 0.8})
    results = with_taxonomies(study, coarse_variant)
    report = summarise(study.plan, results)
    assert report.common.taxonomy == "four"
    by_name = {variant.name: variant for variant in report.variants}
    expected = []
    for run_a, run_b in zip(study.plan.runs[:3], study.plan.runs[3:], strict=True):
        merged = [
            merge_counts(study.results[run.id].counts["val"], GREEN, MERGED).confusion_CC() for run in (run_a, run_b)
        ]
        expected.append(miou_dataset(merged[1]) - miou_dataset(merged[0]))
    assert by_name["b"].delta.scores["val"]["miou_dataset"].values == pytest.approx(expected)
    assert set(by_name["b"].delta.iou_class["val"]) == set(MERGED)
    for variant in report.common.variants:
        raised = variant.by_merging["val"].mean
        assert raised == 0 if variant.name == coarse_variant else raised > 0


def test_regions_are_merged_and_pictures_of_finer_labels_are_left_out(simulate):
    study = simulate({"a": 0.7, "b": 0.8})
    results = {
        id_: replace(result, regions={"val": {"border": result.counts["val"]}}, predictions=Predictions(("x",), b""))
        for id_, result in with_taxonomies(study).items()
    }
    common = find_common(group_runs(study.plan, results))
    for group in common.groups:
        for result in group.results.values():
            assert result.regions["val"]["border"].classes == MERGED
            assert (result.regions["val"]["border"].pixels_K == result.counts["val"].pixels_K).all()
            assert (result.predictions is None) == (group.name == "a")
    (found, _) = make_evidence(common.groups, [("b", "a")])
    assert {name for move in found.moves for name in (move.true, move.source, move.target)} <= set(MERGED)
    assert (found.kept, found.images_figure) == (0, None)


def test_the_report_says_so(simulate, tmp_path):
    study = simulate({"a": 0.7, "b": 0.8})
    write_report(study.plan, with_taxonomies(study), tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "given in the 4 classes of `four`" in text
    assert "| a | 10 classes of `ten` |" in text
    assert "What merging alone adds is no gain" in text
    assert (tmp_path / "figures/delta_class.png").stat().st_size > 1000


def test_label_sets_that_do_not_nest_are_refused(simulate):
    study = simulate({"a": 0.7, "b": 0.8})
    report = summarise(study.plan, with_taxonomies(study, class_of=False))
    assert report.common is None
    assert all(variant.delta is None for variant in report.variants)
    assert "taxonomy is four here and ten there" in report.notes[0]


def test_folds_are_judged_on_other_images_on_purpose(simulate):
    study = simulate({"a": 0.7, "b": 0.8})
    results = {
        run.id: replace(
            study.results[run.id], contract={**study.results[run.id].contract, "splits": {"val": f"fold {run.seed}"}}
        )
        for run in study.plan.runs
    }
    refused = summarise(study.plan, results)
    assert refused.variants[1].delta is None
    runs = tuple(
        replace(run, config=replace(run.config, data=run.config.data.with_settings(folds=3))) for run in study.plan.runs
    )
    report = summarise(replace(study.plan, runs=runs), results)
    assert len(report.variants[1].delta.scores["val"]["miou_dataset"].values) == 3
    assert any("The seeds validate on 3 of 3 folds" in note for note in report.notes)


def test_notes_of_the_data_come_first(simulate):
    study = simulate({"a": 0.7, "b": 0.8})
    note = "data.on_bad_image: skip left out 1 image: x (unreadable)"
    results = {key: replace(result, provenance={"data_notes": [note]}) for key, result in study.results.items()}
    assert summarise(study.plan, results).notes[0] == f"D{note[1:]}."
