"""The mistakes that studies of this kind are read wrongly by: each made on purpose, and what the user is told."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_study import harness_here

import harness.data
from harness import api
from harness.errors import InputError
from harness.parts.sample import Sample
from harness.registry import build, choose
from harness.spec.plan import expand

SPEC = """\
study: mistakes
question: What is the user told?
base:
  data: {name: desert, size: [32, 32], train_images: 8, val_images: 24, test_images: 2}
  model: {name: unet, base_channels: 4}
  loss: {cross_entropy: {}}
  train: {epochs: 1, batch_size: 4}
variants:
  old: {}
  new:
    components:
      weights: {loss.cross_entropy.class_weights: inverse_frequency}
      dice: {loss.dice: {}}
      crop: {augment.crop: {size: [24, 24]}}
      flips: {augment.flip: {}}
seeds: [0, 1, 2]
compare: {reference: old, margin: 0.005}
"""


def plan_of(tmp_path, text):
    path = tmp_path / "study.yaml"
    path.write_text(text)
    return expand(api.load_spec(path), lambda config: {"data": "digest"})


def told_of(plan, code):
    return [concern.text for concern in api.lint_plan(plan) if concern.code == code]


def test_four_changes_at_once_and_three_causes_named(tmp_path):
    (told,) = told_of(plan_of(tmp_path, SPEC), "confounded")
    assert told == (
        "new differs from old in 4 components (weights, dice, crop, flips): its delta cannot be attributed to any one"
        " of them"
    )


def test_one_seed(tmp_path):
    (told,) = told_of(plan_of(tmp_path, SPEC.replace("seeds: [0, 1, 2]", "seeds: [0]")), "one_seed")
    assert "each variant runs with one seed" in told


def test_a_longer_training_called_a_better_method(tmp_path):
    longer = SPEC.replace("    components:", "    set: {train.epochs: 3}\n    components:")
    (told,) = told_of(plan_of(tmp_path, longer), "budget")
    assert "new takes 3 times as many steps of the optimizer as old" in told


@pytest.mark.slow
def test_training_images_have_no_scores(workplace):
    """A score on training images is never in a table with validation scores: there is none."""
    done = harness_here("run", "tiny.yaml", "--seeds", "0", "--only", "baseline")
    assert done.returncode == 0, done.stderr
    report = json.loads((workplace / "reports/tiny/report.json").read_text())
    scored = {split for variant in report["variants"] for split in variant["scores"]}
    assert scored == {"val", "test"}
    assert (
        "The same images chose the best epoch, so these scores are a little too high"
        in (workplace / "reports/tiny/report.md").read_text()
    )
    shutil.rmtree(next(workplace.glob("mlruns/runs/*/checkpoints")))
    missing = harness_here("run", "tiny.yaml", "--seeds", "0", "--json")
    assert missing.returncode == 0
    assert "the weights that others start from now were not kept; trained again for them" in missing.stderr
    assert {row["status"] for row in json.loads(missing.stdout)["runs"]} == {"finished"}


def test_a_rotated_border_is_no_class():
    step = build("augment", choose("augment", "rotate", {"degrees": 45.0}))
    label = torch.full((40, 40), 3, dtype=torch.uint8)
    seen = {
        int(value)
        for seed in range(10)
        for value in step(Sample(label.expand(3, 40, 40), label), np.random.default_rng(seed)).label_HW.unique()
    }
    assert seen == {3, 255}


def test_a_class_list_shifted_by_one(tmp_path):
    """Masks hold 1 to 3; a list of three names stands for 0 to 2."""
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for number in range(10):
        Image.fromarray(np.full((8, 8, 3), 9 * number, np.uint8)).save(tmp_path / f"images/{number}.png")
        ids = np.resize(np.array([1, 2, 3], np.uint8), (8, 8))
        Image.fromarray(ids).save(tmp_path / f"masks/{number}.png")
    settings = {"root": str(tmp_path), "classes": ["road", "grass", "sky"]}
    source = harness.data.open_whole(choose("data", "folder", settings))
    with pytest.raises(InputError) as caught:
        harness.data.refuse(source, source.check())
    assert "label ids without a class: 3 (210 px); known ids: 0-2; give them a class, or declare them ignored" in str(
        caught.value
    )
