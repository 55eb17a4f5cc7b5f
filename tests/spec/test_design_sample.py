"""The study by which the format was designed loads with the parts that harness ships."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SAMPLE = """\
study: phase3
question: Do class weights, Dice, random crop and flips help on top of gentle backbone fine-tuning?
base:
  data: {name: desert, size: [96, 96]}
  model: {name: deeplabv3_mobilenet_v3_large, weights: none}
  loss: {cross_entropy: {}}                 # terms are summed; each may have a weight
  augment: {}                               # applied in the order written
  optimizer: {name: adam, lr: 1.0e-3}
  schedule: {name: constant}
  train: {epochs: 10, batch_size: 8, early_stop: {patience: 3}}
  evaluate: {select_on: miou_dataset, size: native}
variants:
  baseline: {}
  head-only:
    from: baseline@best                     # seed to seed; the parent's id is part of the child's
    set: {model.freeze: backbone}
  gentle-backbone:
    from: head-only@best
    set: {optimizer.lr: 1.0e-4, optimizer.multipliers.backbone: 0.1}
  phase3:
    from: gentle-backbone@best
    components:                             # first-class names; a design decides which combinations run
      weights: {loss.cross_entropy.class_weights: inverse_frequency}
      dice:    {loss.dice: {weight: 1.0}}
      crop:    {augment.crop: {size: [64, 64]}}
      flips:   {augment.flip: {p: 0.5}}
    design: together
seeds: [0, 1, 2]
compare: {reference: baseline, margin: 0.005}
"""

CODE = """
import json, sys
from harness import registry
from harness.spec.load import load_spec
from harness.spec.plan import expand
from harness.spec.schema import json_schema
if "deeplabv3_mobilenet_v3_large" not in {part.name for part in registry.parts("model")}:
    sys.exit(77)
plan = expand(load_spec(sys.argv[1]), lambda config: {"data": "digest"})
schema = json_schema()
print(json.dumps([[run.label for run in plan.runs], "torch" in sys.modules, schema]))
"""


def test_design_sample(write_spec):
    """In a process of its own, because the catalog of these tests holds toys alone."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(write_spec(SAMPLE))], capture_output=True, text=True, check=False
    )
    if done.returncode == 77:
        pytest.skip("the catalog has no deeplabv3_mobilenet_v3_large")
    assert done.returncode == 0, done.stderr
    labels, imported_torch, schema = json.loads(done.stdout)
    variants = ["baseline", "head-only", "gentle-backbone", "phase3"]
    assert labels == [f"{variant}/seed{seed}" for variant in variants for seed in range(3)]
    assert not imported_torch
    _assert_valid(schema)


def _assert_valid(schema):
    import jsonschema
    import yaml

    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(yaml.safe_load(SAMPLE))
