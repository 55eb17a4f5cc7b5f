"""What a plan cannot answer is said before training, word for word."""

from __future__ import annotations

from dataclasses import replace

import pytest
from plans import plan_of
from toys import MINIMAL

from harness.spec.factors import Comparisons
from harness.spec.lint import CODES, lint
from harness.spec.lint_power import FEWEST_GROUPS, add_seeds, even_number

FOUR = """\
  gentle: {from: plain@best, set: {optimizer.lr: 0.01}}
  phase:
    from: gentle@best
    like: gentle
    components:
      rare: {loss.toy_entropy.class_weights: rare}
      overlap: {loss.toy_overlap: {}}
      mirror: {augment.toy_mirror: {}}
      cut: {augment.toy_cut: {size: [4, 4]}}
    design: DESIGN
seeds: [0, 1]
"""


def study(variants: str, seeds: str = "[0, 1]") -> str:
    lines = "".join(f"  {line}\n" for line in variants.splitlines())
    return f"{MINIMAL}{lines}seeds: {seeds}\n"


def concerns(path, **options):
    return {(concern.code, concern.variants[0]): concern for concern in lint(plan_of(path), **options)}


def four(design, write_spec):
    return write_spec(MINIMAL + FOUR.replace("DESIGN", design))


def test_four_changes_at_once_are_confounded(write_spec):
    found = {c.variants: c for c in lint(plan_of(four("together", write_spec)), seconds={"phase": 900.0})}
    concern = found["phase", "gentle"]
    assert concern.code == "confounded"
    assert concern.text == (
        "phase differs from gentle in 4 components (rare, overlap, mirror, cut): its delta cannot be attributed to any"
        " one of them"
    )
    assert concern.remedy == (
        "in phase write design: leave_one_out: 4 more variants, 8 runs, about 2.0 hours one after the other"
    )
    assert found["phase", "plain"].text == (
        "phase differs from plain in 5 factors (rare, overlap, mirror, cut, optimizer): its delta cannot be attributed"
        " to any one of them"
    )
    assert found["phase", "plain"].remedy == (
        "divide its difference from gentle; up to there the weights that they begin with differ too"
    )


@pytest.mark.parametrize(
    "design", ["one_at_a_time", "add_one_in", "leave_one_out", "[leave_one_out, add_one_in]", "factorial", "fractional"]
)
def test_designs_divide_what_they_run(design, write_spec):
    assert not {code for code, _ in concerns(four(design, write_spec))} & {"confounded", "stepwise"}


def test_all_but_each_does_not_divide_what_stands_beside_its_components(write_spec):
    text = (
        four("leave_one_out", write_spec)
        .read_text()
        .replace("like: gentle", "like: gentle\n    set: {train.clip_norm: 1.0}")
    )
    found = {c.variants: c for c in lint(plan_of(write_spec(text))) if c.code == "confounded"}
    assert found["phase", "gentle"].remedy == (
        "in phase write train.clip_norm as a component and design: leave_one_out: 1 more variant, 2 runs"
    )


def test_changes_that_are_no_components(write_spec):
    text = study("both: {set: {model.width: 4, model.freeze: backbone, loss.toy_overlap: {}, train.clip_norm: 1.0}}")
    concern = concerns(write_spec(text))["confounded", "both"]
    assert "in 3 factors (model, loss.toy_overlap, train.clip_norm)" in concern.text
    assert concern.remedy == (
        "in both write model, loss.toy_overlap and train.clip_norm as components and design: leave_one_out:"
        " 3 more variants, 6 runs"
    )


def test_a_pair_that_are_each_others_change_is_told_once(write_spec):
    text = study("slow: {set: {optimizer.lr: 0.01, model.width: 4}}\nlike: {like: slow, set: {model.width: 2}}")
    text = text.replace(
        "  plain: {}\n", "  plain: {}\n  first: {like: slow, set: {optimizer.lr: 0.1, model.width: 8}}\n"
    )
    pairs = [c.variants for c in lint(plan_of(write_spec(text))) if c.code in ("confounded", "stepwise")]
    assert len({frozenset(pair) for pair in pairs}) == len(pairs) > 1


def test_the_plan_may_hold_the_steps(write_spec):
    lines = "wide: {set: {model.width: 4}}\nwide-slow: {set: {model.width: 4, optimizer.lr: 0.01}}\n"
    lines += "wider-slow: {like: wide-slow, set: {model.width: 2}}\nslow: {set: {optimizer.lr: 0.01}}"
    found = concerns(write_spec(study(lines)))
    assert found["stepwise", "wide-slow"].remedy == "read it in steps of one factor: plain -> wide -> wide-slow"
    assert found["stepwise", "wider-slow"].remedy == "set it against wide-slow, from which it differs in model alone"


def test_a_step_begins_with_the_same_weights(write_spec):
    lines = "head: {from: plain@best, set: {model.freeze: backbone}}\n"
    lines += "gentle: {from: head@best, set: {optimizer.lr: 0.01}}"
    compared = Comparisons(plan_of(write_spec(study(lines))))
    assert compared.steps("plain", "head") == ("plain", "head")
    assert compared.steps("plain", "head", alike=True) == ()
    lines += "\nwarm: {from: plain@best}"
    warm = Comparisons(plan_of(write_spec(study(lines))))
    assert warm.steps("warm", "head", alike=True) == ("warm", "head")


@pytest.mark.parametrize(
    ("setting", "factors"),
    [
        ("model.weights: default", ("model",)),
        ("model: {name: toy_tower}", ("model",)),
        ("model.weights: default, data.normalize: unit", ("data", "model")),
        ("data.fraction: 0.5, train.epochs: 20", ("data",)),
        ("data.fraction: 0.5, train.epochs: 30", ("data", "train.epochs")),
        ("loss.toy_overlap: {weight: 2.0, smooth: 2.0}", ("loss.toy_overlap",)),
        ("train.batch_size: 4, evaluate.size: input", ("train.batch_size", "evaluate.size")),
    ],
)
def test_what_counts_as_one_factor(setting, factors, write_spec):
    plan = plan_of(write_spec(study(f"other: {{set: {{{setting}}}}}")))
    assert Comparisons(plan).factors("other", "plain") == factors


def test_the_order_of_terms_is_a_factor(write_spec):
    lines = "ab: {set: {augment: {toy_mirror: {}, toy_cut: {size: [4, 4]}}}}\n"
    lines += "ba: {set: {augment: {toy_cut: {size: [4, 4]}, toy_mirror: {}}}}"
    assert Comparisons(plan_of(write_spec(study(lines)))).factors("ab", "ba") == ("the order of augment",)


def test_pretrained_weights_want_their_normalization(write_spec):
    lines = "a: {set: {model.weights: default, data.normalize: unit}}\nb: {like: a, set: {data.normalize: centered}}\n"
    lines += "right: {set: {model.weights: default}}\nown: {set: {model.weights: mine.pt, data.normalize: unit}}\n"
    lines += "after: {from: a@best, like: a}"
    found = [c for c in lint(plan_of(write_spec(study(lines)))) if c.code == "normalization"]
    assert [(c.variants, c.text, c.remedy) for c in found] == [
        (
            ("a", "b"),
            "a and b begin with weights that were trained on images normalised with ImageNet's mean and deviation, and"
            " see others (data.normalize: unit and centered): part of what the weights know is lost",
            "write data.normalize: auto",
        )
    ]


def test_unequal_steps(write_spec):
    lines = "large: {set: {train.batch_size: 32}}\nkept: {set: {train.batch_size: 16, train.epochs: 20}}\n"
    lines += "longer: {set: {train.epochs: 15}}\nsummed: {set: {train.accumulate: 4}}"
    found = [c for c in lint(plan_of(write_spec(study(lines)))) if c.code == "budget"]
    assert [(c.variants, c.text, c.remedy) for c in found] == [
        (
            ("large", "summed", "plain"),
            "large and summed take 0.25 times as many steps of the optimizer as plain: a difference may be the"
            " training's length alone",
            "make the steps equal by train.epochs, or add a variant like plain with as many",
        )
    ]


def test_a_warm_up_of_as_many_steps_belongs_to_what_it_makes_up_for(write_spec):
    text = study("half: {set: {data.fraction: 0.5, train.epochs: 20, schedule.warmup: WARMUP}}")
    text = text.replace("{name: toy_flat}", "{name: toy_flat, warmup: 1.0}")
    assert not concerns(write_spec(text.replace("WARMUP", "2.0")), seconds={}).keys() & {("confounded", "half")}
    assert ("confounded", "half") in concerns(write_spec(text.replace("WARMUP", "1.5")))


def test_unequal_epochs_on_different_data(write_spec):
    text = study("photos: {set: {data: {name: toy_photos, root: there}, train.epochs: 20}}")
    assert concerns(write_spec(text))["budget", "photos"].text == (
        "photos takes 20 epochs, not the 10 of plain: a difference may be the training's length alone"
    )


def test_warm_started_variants_have_trained_longer(write_spec):
    found = concerns(four("[leave_one_out, add_one_in]", write_spec))
    assert found["continued", "gentle"].text == (
        "counted with the runs that they start from, these train up to another number of epochs than the reference"
        " plain (10): gentle 20, phase 30; a difference from it may be the training's length alone"
    )
    assert len(found["continued", "gentle"].variants) == 1 + 8
    text = four("add_one_in", write_spec).read_text() + "compare: {reference: phase-none}\n"
    assert "phase-none (30): plain 10, gentle 20;" in concerns(write_spec(text))["continued", "plain"].text
    assert not [code for code, _ in concerns(write_spec(study("cold: {set: {model.width: 4}}"))) if code == "continued"]


def test_batches_of_one_image(write_spec):
    concern = concerns(write_spec(study("single: {set: {train.batch_size: 1, train.accumulate: 8}}")))
    assert concern["batch_norm", "single"].text.startswith("single trains on one image a step: a model with BatchNorm")
    assert "train.accumulate does not help" in concern["batch_norm", "single"].remedy


def test_one_seed(write_spec):
    path = write_spec(study("other: {set: {model.width: 4}}", seeds="[7]"))
    concern = concerns(path, seconds={"plain": 1800.0, "other": 3600.0})["one_seed", "plain"]
    assert concern.text == (
        "each variant runs with one seed: a difference then speaks of these weights, not of the settings, because"
        " another seed may turn it round"
    )
    assert concern.remedy == "write seeds: [7, 0, 1]: 4 more runs, about 3.0 hours one after the other"


def test_two_seeds_are_too_few(write_spec):
    concern = concerns(write_spec(study("other: {set: {model.width: 4}}", seeds="[0, 7]")))["few_seeds", "plain"]
    assert concern.text == (
        "each variant runs with two seeds: they show only differences several times as large as the noise of training,"
        " and no class is judged"
    )
    assert concern.remedy == "write seeds: [0, 7, 1]: 2 more runs"
    assert not concerns(write_spec(study("other: {set: {model.width: 4}}", seeds="[0, 7, 1]")))


def over_folds(folds, seeds):
    return study("other: {set: {model.width: 4}}", seeds=seeds).replace("toy_scenes}", f"toy_scenes, folds: {folds}}}")


def test_seeds_that_leave_folds_out(write_spec):
    (concern,) = lint(plan_of(write_spec(over_folds(5, "[0, 7, 4]"))))
    assert (concern.code, concern.variants) == ("few_folds", ("plain", "other"))
    assert concern.text == "the seeds validate on 3 of 5 folds: images of the others judge nothing"
    assert concern.remedy == "write seeds: [0, 4, 7, 1, 3]: 4 more runs"
    assert not lint(plan_of(write_spec(over_folds(3, "[0, 1, 5, 6]"))))


def test_fewer_than_three_folds_give_no_verdict(write_spec):
    (concern,) = lint(plan_of(write_spec(over_folds(4, "[1, 5]"))))
    assert concern.text == (
        "the seeds validate on 1 of 4 folds: fewer than 3 say nothing of other data, so there is no verdict over folds"
    )
    assert concern.remedy == "write seeds: [1, 5, 0, 2, 3]: 6 more runs"
    (concern,) = lint(plan_of(write_spec(over_folds(2, "[0, 1]"))))
    assert concern.text.startswith("the seeds validate on 2 of 2 folds: fewer than 3 say nothing")
    assert concern.remedy == "write data.folds: 3 and seeds: [0, 1, 2]: 2 more runs"


def test_verdicts_on_test_are_none_over_folds(write_spec):
    plan, groups = plan_of(write_spec(over_folds(3, "[0, 1, 2]"))), {"val": (1,) * 20, "test": (1,) * 20}
    (concern,) = lint(plan, groups=groups)
    assert concern.code == "judged_on_test"
    assert "they do not speak for new training images" in concern.text
    assert concern.remedy == "write compare.split: val, which judges over the folds"
    assert not lint(replace(plan, split="val"), groups=groups)


def test_more_recordings_and_not_folds_help_a_study_over_folds(write_spec):
    found = {c.code: c for c in lint(plan_of(write_spec(over_folds(3, "[0, 1, 2]"))), groups={"val": (4, 4, 4)})}
    assert found["few_groups"].text.startswith("the folds that are judged hold 3 independent groups of images (at")
    assert found["few_groups"].remedy == "judge on more recordings"


def test_added_seeds_keep_those_that_are_there():
    assert add_seeds([41, 42], 4) == (41, 42, 0, 1)
    assert add_seeds([1, 0], 3) == (1, 0, 2)
    assert add_seeds([1, 0], 2) == (1, 0)
    assert add_seeds([1, 0], 1) == (1, 0)


def test_added_seeds_take_the_empty_folds_first():
    assert add_seeds([0, 1, 7], 4, 5) == (0, 1, 7, 3)
    assert add_seeds([0, 5, 10], 9, 5) == (0, 5, 10, 1, 2, 3, 4, 6, 7)
    assert add_seeds([0, 5], 2, 5) == (0, 5)


def test_a_margin_that_nothing_can_reach(write_spec):
    # t(2) 0.95 = 2.920; times sqrt(2/3) = 2.384 standard deviations of a seed
    lines = study("other: {set: {model.width: 4}}", seeds="[0, 1, 2]")
    text = f"{lines}compare: {{margin: MARGIN}}\n"
    concern = concerns(write_spec(text.replace("MARGIN", "0.0023")))["margin", "plain"]
    assert concern.text == (
        "with 3 seeds nothing will be called equivalent within a margin of 0.23 points: even seeds that differ by a"
        " standard deviation of 0.1 points, which is little, leave 0.24 points of doubt"
    )
    assert concern.remedy == "write compare.margin: 0.003 or more, or more seeds"
    assert not concerns(write_spec(text.replace("MARGIN", "0.0024")))
    assert not concerns(write_spec(text.replace("MARGIN", "0")))
    # over three folds, 2.920 times sqrt(2 (1/3 + 1/2)) = 3.770
    folded = f"{over_folds(3, '[0, 1, 2]')}compare: {{margin: MARGIN}}\n"
    (concern,) = lint(plan_of(write_spec(folded.replace("MARGIN", "0.0037"))))
    assert "leave 0.38 points of doubt" in concern.text
    assert not lint(plan_of(write_spec(folded.replace("MARGIN", "0.0038"))))


def test_weak_splits(write_spec):
    path = write_spec(study("other: {set: {model.width: 4}}", seeds="[0, 1, 2]"))
    found = concerns(path, groups={"val": (5, 5, 4)})
    assert found["few_groups", "plain"].text == (
        "val holds 3 independent groups of images (at least 20 are wanted): what other images would do is hardly known,"
        " and only large differences are called"
    )
    assert found["same_images", "plain"].text == (
        "the best epoch is chosen on val and reported on val: its score is too high, the more so the more it jumps from"
        " epoch to epoch"
    )
    assert found["few_groups", "plain"].remedy.endswith("or divide train and val anew with data.folds")
    assert concerns(path, groups={"val": (1,), "test": (2,) * FEWEST_GROUPS}) == concerns(path) == {}


def test_groups_are_few_on_the_split_that_is_judged(write_spec):
    """Val chooses epochs, so verdicts are given on test, unless the study says otherwise."""
    text, groups = study("other: {set: {model.width: 4}}", seeds="[0, 1, 2]"), {"val": (1,) * 99, "test": (3, 3)}
    concern = concerns(write_spec(text), groups=groups)["few_groups", "plain"]
    assert concern.text.startswith("test holds 2 independent groups of images (at least 20 are wanted)")
    assert concern.remedy == "judge on more recordings"
    assert concerns(write_spec(f"{text}compare: {{split: val}}\n"), groups=groups) == {}


def test_one_group_that_holds_most_images_is_worth_little(write_spec):
    # 39 groups of 1 image and one of 61: 100^2 / (39 + 61^2) = 2.66
    assert even_number([1] * 39 + [61]) == pytest.approx(10_000 / 3760)
    path = write_spec(study("other: {set: {model.width: 4}}", seeds="[0, 1, 2]"))
    found = concerns(path, groups={"val": (61, *[1] * 39)})
    assert found["few_groups", "plain"].text.startswith(
        "val holds 40 independent groups of images, the largest with 61% of the images: as much as 2.7 even ones (at"
        " least 20 are wanted)"
    )


def test_the_most_serious_comes_first(write_spec):
    lines = "a: {set: {model.weights: default, data.normalize: unit, train.batch_size: 1}}"
    codes = [concern.code for concern in lint(plan_of(write_spec(study(lines, seeds="[0]"))), groups={"val": (1,)})]
    assert codes == sorted(codes, key=CODES.index)
    assert codes[0] == "normalization"
    assert set(codes) == set(CODES) - {"continued", "stepwise", "few_seeds", "few_folds", "judged_on_test", "margin"}
