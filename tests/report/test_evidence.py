"""Evidence: planted regions, flow and images are found; what counts cannot tell is bounded; pages and figures."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.counts import make_counts
from harness.predictions import PredictedImage, pack_predictions
from harness.records import RunResult
from harness.report.evidence.confusion_shift import confusion_change, find_shifts
from harness.report.evidence.make import contributions, evidence_figures, make_evidence, measure_margins
from harness.report.figures.draw import draw_evidence, outcome_map
from harness.report.page import evidence_sections
from harness.report.page.markdown import render_markdown
from harness.report.page.model import Page
from harness.report.study.variants import VariantRuns, group_runs
from harness.scores import miou_dataset

CLASSES = ("grass", "rock", "sky")
COLOURS = ((215, 190, 110), (130, 130, 135), (130, 185, 235))
IMAGES = tuple(f"frame-{n}" for n in range(6))
BASE = np.array([[80, 20, 0], [10, 40, 0], [0, 0, 100]])


def counts_of(confusions):
    return make_counts([np.array(confusion) for confusion in confusions], IMAGES, IMAGES, CLASSES)


def picture(image: int, wrong_rows: int) -> PredictedImage:
    """Return truth with sky above, grass below, a rock; the lowest rows are predicted as rock."""
    label = np.zeros((60, 100), np.uint8)
    label[:25] = 2
    label[35:45, 10 * image : 10 * image + 15] = 1
    label[:, :3] = 255
    predicted = np.where(label == 255, 0, label).astype(np.uint8)
    predicted[60 - wrong_rows :] = 1
    return PredictedImage(np.array(COLOURS, np.uint8)[np.where(label == 255, 0, label)], label, predicted)


def result_of(confusions, wrong_rows=(0,) * 6, keep=IMAGES, regions=True) -> RunResult:
    whole = counts_of(confusions)
    border = counts_of([np.minimum(confusion, 5) for confusion in confusions])
    interior = counts_of([confusion - np.minimum(confusion, 5) for confusion in confusions])
    kept = [IMAGES.index(name) for name in keep]
    return RunResult(
        run_id="r",
        status="finished",
        counts={"val": whole},
        regions={"val": {"border": border, "interior": interior}} if regions else {},
        predictions=pack_predictions(keep, [picture(n, wrong_rows[n]) for n in kept]) if keep else None,
        colours=COLOURS,
    )


def group(name, *results) -> VariantRuns:
    return VariantRuns(name, (), dict(enumerate(results)))


def moved(amount: int, images=range(6)) -> list[np.ndarray]:
    """Return the base with `amount` grass pixels predicted as rock in place of grass, in some images."""
    step = np.array([[-amount, amount, 0], [0, 0, 0], [0, 0, 0]])
    return [BASE + step * (n in images) for n in range(6)]


def test_planted_flow_is_found_and_named():
    reference = group("base", result_of(moved(0)), result_of(moved(2)))
    changed = group("new", result_of(moved(10)), result_of(moved(12)))
    (item,) = make_evidence((reference, changed), [("new", "base")])
    (move,) = item.moves
    assert (move.true, move.source, move.target) == ("grass", "grass", "rock")
    assert (move.share, move.least, move.most) == pytest.approx((0.1, 0.1, 0.1))
    assert (move.pixels, move.agreeing, item.seeds) == (600, 2, (0, 1))
    said = evidence_sections.move_lines(item)
    assert said == ["10.0 % of grass (600 pixels) moved from correct to rock; in 2 of 2 seeds"]


def test_what_the_counts_cannot_tell_is_bounded():
    """Two classes lost 6 and 2, two gained 4 and 4: between the first pair 4 * 6 / 8, at least 2, at most 4."""
    before = np.diag([100, 100, 100, 100])
    before[0] = [40, 30, 20, 10]
    after = before.copy()
    after[0] = [34, 28, 24, 14]
    change = confusion_change(after, before)
    moves = find_shifts(change[None], before.sum(axis=1), ("a", "b", "c", "d"))
    found = {(move.source, move.target): (move.share, move.least, move.most) for move in moves}
    assert found == {
        ("a", "c"): pytest.approx((0.03, 0.02, 0.04)),
        ("a", "d"): pytest.approx((0.03, 0.02, 0.04)),
        ("b", "c"): pytest.approx((0.01, 0.0, 0.02)),
        ("b", "d"): pytest.approx((0.01, 0.0, 0.02)),
    }
    for source, lost in (("a", 0.06), ("b", 0.02)):
        assert sum(share for (a, _), (share, _, _) in found.items() if a == source) == pytest.approx(lost)


def test_absent_classes_have_no_moves_and_a_common_set_may_have_a_last_class_more():
    here, there = np.array([[5, 5, 0], [0, 0, 0], [0, 0, 0]]), np.array([[8, 2], [0, 0]])
    change = confusion_change(here, there)
    assert np.allclose(change[0], [-0.3, 0.3, 0])
    assert np.isnan(change[1:]).all()
    (move,) = find_shifts(change[None], there.sum(axis=1), ("a", "b", "ignored"))
    assert (move.source, move.target, move.share) == ("a", "b", pytest.approx(0.3))


def test_regions_are_paired_by_seed():
    reference = group("base", result_of(moved(0)), result_of(moved(2)), result_of(moved(0)))
    changed = group("new", result_of(moved(10)), result_of(moved(12)))
    (item,) = make_evidence((reference, changed), [("new", "base")])
    by_name = {region.region: region for region in item.regions}
    assert list(by_name) == ["all", "border", "interior"]
    assert by_name["border"].share + by_name["interior"].share == pytest.approx(1)
    whole = by_name["all"].miou_dataset
    grass = by_name["all"].iou_class["grass"]
    assert grass.by_seed == pytest.approx((70 / 110 - 80 / 110, 68 / 110 - 78 / 110))
    assert (grass.here, grass.against) == pytest.approx((69 / 110, 79 / 110))
    assert whole.seeds == (0, 1)
    assert whole.delta == pytest.approx(whole.here - whole.against)
    assert by_name["border"].miou_dataset.delta == 0


def test_images_that_changed_most_are_named_and_pictured_from_those_kept():
    reference = group("base", result_of(moved(0), keep=("frame-0", "frame-3")))
    confusions = moved(0)
    for place, amount in ((1, 30), (2, 20), (3, 10), (5, -15)):
        confusions[place] = moved(amount)[0]
    changed = group("new", result_of(confusions, keep=("frame-0", "frame-3", "frame-5")))
    (item,) = make_evidence((reference, changed), [("new", "base")])
    assert [change.image for change in item.lost] == ["frame-1", "frame-2", "frame-3"]
    assert [change.right for change in item.lost] == pytest.approx([-0.12, -0.08, -0.04])
    assert [(change.image, round(change.right, 9)) for change in item.gained] == [("frame-5", 0.06)]
    added = sum(change.change for change in (*item.lost, *item.gained))
    assert added == pytest.approx(item.regions[0].miou_dataset.delta)
    assert [change.image for change in item.pictured_lost] == ["frame-3"]
    assert item.pictured_gained == ()
    assert (item.images, item.kept, item.pictured_seed) == (6, 2, 0)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_images_add_up_to_the_difference_of_the_headline(seed):
    """With classes that are absent, that are never predicted, and that only one of the two runs predicts."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 50, (6, 3)) * (rng.random(3) < 0.8)
    here, against = (
        counts_of([[rng.multinomial(n, rng.dirichlet([0.3] * 3)) for n in row] for row in truth]) for _ in range(2)
    )
    scores = [miou_dataset(item.confusion_CC()) for item in (here, against)]
    parts = contributions(measure_margins(here), measure_margins(against))
    assert parts.shape == (6,)
    assert parts.sum() == pytest.approx(np.nan_to_num(scores[0] - scores[1]), abs=1e-12)


def test_a_rare_class_weighs_more_than_its_pixels():
    """One rock pixel of ten gained in the first image outweighs three grass pixels of 300 lost in the second."""
    before = [np.diag([150, 5, 0]), np.diag([150, 5, 0])]
    before[0][1] = [1, 4, 0]
    after = [np.diag([150, 5, 0]), np.diag([150, 5, 0])]
    after[1][0] = [147, 0, 3]
    empty = [np.zeros((3, 3), int)] * 4
    parts = contributions(*(measure_margins(counts_of([*item, *empty])) for item in (after, before)))
    assert parts[0] > -parts[1] > 0
    rock, grass = (9 / 10 + 1) / 2, (300 / 301 + 297 / 300) / 2
    assert parts[0] == pytest.approx(((1 - rock * 0) / 10 + (0 + grass * 1) / 300.5) / 2)
    assert parts[1] == pytest.approx(-3 / 300.5 / 2)


def test_seeds_that_disagree_cancel_and_bounds_hold():
    up, down = np.zeros((2, 3, 3))
    up[0], down[0] = [-0.10, 0.07, 0.03], [0.04, -0.04, 0.0]
    moves = find_shifts(np.array([up, down]), np.array([100, 0, 0]), CLASSES)
    found = {(move.source, move.target): (move.share, move.least, move.most, move.agreeing) for move in moves}
    assert found == {
        ("grass", "rock"): pytest.approx((0.015, 0.015, 0.015, 1)),
        ("grass", "sky"): pytest.approx((0.015, 0.015, 0.015, 1)),
    }


def test_nothing_changed_is_nothing_found():
    same = [group(name, result_of(moved(0)), result_of(moved(3))) for name in ("base", "new")]
    (item,) = make_evidence(same, [("new", "base")])
    assert item.moves == item.lost == item.gained == item.pictured_lost == ()
    assert item.images_figure is None
    assert item.flow_figure == "flow_new_vs_base.png"


def test_older_results_and_pairs_without_a_common_seed():
    old = [group(name, result_of(moved(n), keep=(), regions=False)) for n, name in enumerate(("base", "new"))]
    (item,) = make_evidence(old, [("new", "base")])
    assert [region.region for region in item.regions] == ["all"]
    assert (item.kept, item.pictured_seed, item.images_figure) == (0, None, None)
    assert "By region" not in render((item,))
    apart = (group("base", result_of(moved(0))), VariantRuns("new", (), {5: result_of(moved(1))}))
    assert make_evidence(apart, [("new", "base")]) == ()


def test_there_is_none_on_a_split_whose_images_differ():
    reference, changed = group("base", result_of(moved(0))), result_of(moved(1))
    test = changed.counts["val"]
    others = replace(test, images=tuple(f"other-{n}" for n in range(6)))
    reference = group("base", replace(reference.results[0], counts={"val": test, "test": test}))
    changed = group("new", replace(changed, counts={"val": test, "test": others}))
    assert [item.split for item in make_evidence((reference, changed), [("new", "base")])] == ["val"]


def test_figures_go_to_the_pairs_that_moved_most():
    groups = [group("base", result_of(moved(0))), *(group(f"v{n}", result_of(moved(n))) for n in range(1, 12))]
    found = make_evidence(groups, [(item.name, "base") for item in groups[1:]])
    assert len(found) == 11
    assert {item.variant for item in found if item.flow_figure} == {f"v{n}" for n in range(4, 12)}


def test_every_pixel_has_one_outcome():
    label = np.array([[0, 0, 0, 0, 255]], np.uint8)
    there = PredictedImage(label, label, np.array([[0, 1, 1, 0, 0]], np.uint8))
    here = PredictedImage(label, label, np.array([[0, 2, 0, 1, 1]], np.uint8))
    assert outcome_map(here, there).tolist() == [[0, 1, 2, 3, 255]]


def render(evidence) -> str:
    return render_markdown(Page("s", tuple(evidence_sections.evidence_section(evidence, "val"))))


def test_page_and_figures_from_counts(tmp_path):
    rows = (0, 2, 4, 6, 8, 10)
    reference = group("base|line", *(result_of(moved(0), rows[::-1]) for _ in range(2)))
    confusions = [moved(4 * n - 8)[0] for n in range(6)]
    changed = group("new", *(result_of(confusions, rows) for _ in range(2)))
    found = make_evidence((reference, changed), [("new", "base|line")])
    names = evidence_figures(found)
    assert names == ("flow_new_vs_base-line.png", "changed_new_vs_base-line.png")
    draw_evidence(found, (reference, changed), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    first = {name: (tmp_path / name).read_bytes() for name in names}
    draw_evidence(found, (reference, changed), tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in names} == first
    page = render(found)
    assert all(f"](figures/{name})" in page for name in names)
    assert "of the 6 of 6 images whose predictions were kept" in page
    assert "base\\|line" in page
    assert "\n\n\n" not in page
    assert render(()) == "# s\n"


def test_a_study_of_ten_classes_with_failed_seeds(study):
    groups = group_runs(study.plan, study.results)
    pairs = [(name, study.plan.reference) for name in study.plan.variants if name != study.plan.reference]
    found = make_evidence(groups, pairs)
    assert [(item.variant, item.split) for item in found] == [(v, s) for v, _ in pairs for s in ("val", "test")]
    assert all(len(item.moves) <= 6 and item.moves for item in found)
    assert {item.seeds for item in found if item.variant == "phase3"} == {(0, 1)}
