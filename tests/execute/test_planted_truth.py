"""Real training with a component that certainly hurts and one that certainly does nothing."""

import json

import pytest

PLUGIN = '''
from harness.registry import part


@part("augment")
def shuffle_class(*, index: int):
    """Give every pixel of one class another class, at random: what it says of that class is noise."""

    def apply(sample, rng):
        import torch

        label = sample.label_HW.numpy().copy()
        chosen = label == index
        label[chosen] = (index + rng.integers(1, 10, chosen.sum())) % 10
        return sample._replace(label_HW=torch.from_numpy(label))

    return apply
'''
STUDY = """\
study: planted
question: Is what was planted found, and what was not left alone?
plugins: [planted_parts]
base:
  data: {name: desert, size: [32, 32], train_images: 32, val_images: 32, test_images: 4}
  model: {name: unet, base_channels: 8}
  loss: {cross_entropy: {}}
  optimizer: {name: adam, lr: 5.0e-3}
  schedule: {name: poly}
  train: {epochs: 12, batch_size: 4}
variants:
  trained:
    components:
      noise-in-sky: {augment.shuffle_class: {index: 9}}
      nothing: {augment.flip: {p: 0.0}}
    design: one_at_a_time
seeds: [0, 1, 2, 3, 4, 5, 6, 7]
compare: {reference: trained-none, margin: 0.005, split: val}
"""


@pytest.mark.slow
def test_what_is_planted_is_found_and_nothing_else(workplace, harness_cli):
    (workplace / "planted_parts.py").write_text(PLUGIN)
    (workplace / "planted.yaml").write_text(STUDY)
    done = harness_cli("run", "planted.yaml", PYTHONPATH=str(workplace), timeout=550)
    assert done.returncode == 0, done.stderr
    report = json.loads((workplace / "reports/planted/report.json").read_text())
    by_variant = {item["variant"]: item for item in report["comparisons"] if item["split"] == "val"}
    harmful, harmless = by_variant["trained-only-noise-in-sky"], by_variant["trained-only-nothing"]
    assert harmful["headline"]["outcome"] == "regressed"
    classes = {claim["measure"]: claim for claim in harmful["classes"]}
    assert classes["Sky"]["outcome"] == "regressed"
    assert classes["Sky"]["delta"] == min(claim["delta"] for claim in classes.values())
    assert harmless["headline"]["outcome"] not in ("improved", "regressed")
    assert not {claim["outcome"] for claim in harmless["classes"]} & {"improved", "regressed"}
    text = (workplace / "reports/planted/report.md").read_text()
    assert "**trained-only-noise-in-sky regressed** against trained-none" in text
