"""Components of a family: shares that add up, brackets where the design gives no more, and their words."""

from dataclasses import replace

import pytest

from harness.report.attribution_sections import open_question
from harness.report.summary import make_report
from harness.report.write import write_report

SKILLS = {"all": 0.72, "none": 0.6, "only-crop": 0.63, "only-dice": 0.68}
ON = {"all": {"crop", "dice"}, "none": set(), "only-crop": {"crop"}, "only-dice": {"dice"}}


@pytest.fixture
def factorial(simulate):
    return as_family(simulate(SKILLS), ("factorial",))


def as_family(study, design):
    runs = tuple(
        replace(
            run,
            family="all",
            design=design,
            components={name: name in ON[run.variant] for name in ("crop", "dice")},
        )
        for run in study.plan.runs
    )
    return replace(study, plan=replace(study.plan, runs=runs, reference="none"))


def test_shares_add_up_to_the_total(factorial):
    report = make_report(factorial.plan, factorial.results)
    item = next(item for item in report.attributions if item.split == "val")
    scores = {v.name: v.scores["val"]["miou_dataset"].mean for v in report.variants}
    assert item.total.delta == pytest.approx(scores["all"] - scores["none"])
    assert sum(share.delta for share in item.shapley) == pytest.approx(item.total.delta, abs=1e-12)
    crop = next(share for share in item.shapley if share.name == "crop")
    by_hand = (scores["only-crop"] - scores["none"] + scores["all"] - scores["only-dice"]) / 2
    assert crop.delta == pytest.approx(by_hand)


def test_a_design_without_all_combinations_gives_brackets_and_says_what_is_open(simulate):
    study = as_family(simulate({name: SKILLS[name] for name in ("all", "only-crop", "only-dice")}), ("leave_one_out",))
    study = replace(study, plan=replace(study.plan, reference="all"))
    item = make_report(study.plan, study.results).attributions[0]
    assert item.total is None
    assert not item.shapley
    assert {bracket.name: bracket.few_on for bracket in item.brackets} == {"crop": ("dice",), "dice": ("crop",)}
    assert "does not divide the total" in open_question(item)


def test_the_page_and_the_picture(factorial, tmp_path):
    write_report(factorial.plan, factorial.results, tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "## Which component did it" in text
    assert "all on val: factorial, 4 combinations. All components together: +" in text
    assert "| crop x dice |" in text
    assert (tmp_path / "figures/attribution.png").stat().st_size > 5000


def test_studies_without_designs_have_none(simulate):
    study = simulate({"a": 0.6, "b": 0.7})
    assert make_report(study.plan, study.results).attributions == ()
