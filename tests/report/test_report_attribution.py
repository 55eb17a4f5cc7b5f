"""Components of a family: shares that add up, brackets where the design gives no more, and their words."""

from dataclasses import replace

import pytest
from families_made import SKILLS, as_family

from harness.report.page.attribution_sections import brackets_table, open_question, parts_table, summary
from harness.report.page.markdown import render_markdown
from harness.report.page.model import Page, Table
from harness.report.study.claims import EarlierCall
from harness.report.study.summary import summarise
from harness.report.write import write_report
from harness.stats.looks import LookHistory, TakenLook
from harness.stats.verdicts import holm


@pytest.fixture
def factorial(simulate):
    return as_family(simulate(SKILLS), ("factorial",))


def written(table: Table) -> str:
    return render_markdown(Page("s", (table,))).removeprefix("# s\n\n")


def test_shares_add_up_to_the_total(factorial):
    report = summarise(factorial.plan, factorial.results)
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
    item = summarise(study.plan, study.results).attributions[0]
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
    assert summarise(study.plan, study.results).attributions == ()


def test_main_effects_are_one_family_and_interactions_another(factorial):
    item = next(item for item in summarise(factorial.plan, factorial.results).attributions if item.split == "val")
    look = LookHistory((3,))
    assert [part.p_adjusted for part in item.main] == pytest.approx(holm([look.adjusted(part.p) for part in item.main]))
    assert [part.outcome for part in item.main] == [
        ("improved" if part.delta > 0 else "regressed") if part.p_adjusted <= 0.05 else "undecided"
        for part in item.main
    ]
    (interaction,) = item.interactions
    assert interaction.p_adjusted == pytest.approx(look.adjusted(interaction.p))
    assert {part.outcome for part in (item.total, *item.shapley)} == {None}
    assert f"| {item.main[0].p_adjusted:.3f} |" in written(parts_table(item)) or "< 0.001" in written(parts_table(item))


def test_both_sides_of_all_brackets_are_one_family(simulate):
    skills = {"all": 0.72, "none": 0.6, "only-crop": 0.66, "only-dice": 0.64}
    study = as_family(simulate(skills), ("one_at_a_time", "leave_one_out"))
    item = summarise(study.plan, study.results).attributions[0]
    sides = [side for bracket in item.brackets for side in (bracket.few, bracket.many)]
    assert [side.p_adjusted for side in sides] == pytest.approx(
        holm([LookHistory((3,)).adjusted(side.p) for side in sides])
    )
    opened = [bracket.interaction for bracket in item.brackets]
    assert opened[0].p_adjusted == opened[1].p_adjusted == pytest.approx(LookHistory((3,)).adjusted(opened[0].p)), (
        "one test"
    )


def test_a_recorded_look_at_all_combinations_is_one_at_the_attribution(factorial):
    pair = {name: {0: "", 1: ""} for name in ("all", "none")}
    every = {name: {0: "", 1: ""} for name in factorial.plan.variants}
    for complete, look in ((pair, LookHistory((3,))), (every, LookHistory((2, 3)))):
        looks = (TakenLook(complete, is_whole=False),)
        part = summarise(factorial.plan, factorial.results, looks).attributions[0].interactions[0]
        assert part.p_adjusted == pytest.approx(look.adjusted(part.p), rel=1e-6)


def test_leave_one_out_alone_has_one_surrounding(simulate):
    study = as_family(simulate({name: SKILLS[name] for name in ("all", "only-crop", "only-dice")}), ("leave_one_out",))
    item = summarise(replace(study.plan, reference="all"), study.results).attributions[0]
    head, _, crop, _ = written(brackets_table(item)).splitlines()
    assert head == "| component | effect, and what else is on |"
    assert crop.endswith(", with dice on |")
    assert "fewest" not in summary(item) + written(brackets_table(item)) + open_question(item)
    assert "is not among them: there is no total" in summary(item)
    called = item.model_copy(update={"brackets": tuple(as_called(bracket) for bracket in item.brackets)})
    assert written(brackets_table(called)).count("**") == 4


def as_called(bracket):
    return bracket.model_copy(update={"few": bracket.few.model_copy(update={"outcome": "improved"})})


def test_a_part_that_an_earlier_look_called_says_so_and_its_doubt(factorial):
    item = summarise(factorial.plan, factorial.results).attributions[0]
    then = EarlierCall(seeds=(0, 1), delta=0.02, low=0.01, high=0.03, agrees=False)
    main = item.main[0].model_copy(update={"called": then})
    table = written(parts_table(item.model_copy(update={"main": (main, *item.main[1:])})))
    assert table.count(" (called with 2 seeds; the interval of all 3 seeds does not say so) |") == 1
    assert "called with" not in written(parts_table(item))
