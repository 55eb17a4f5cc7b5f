"""A study with a plugin, reported where there is neither the plugin nor the data."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_study import harness_command

PLUGIN = '''
from harness.registry import part


@part("loss")
def half(num_classes: int, /, *, share: float = 0.5):
    """Cross-entropy, times a share."""

    import torch

    return lambda logits_BCHW, labels_BHW: share * torch.nn.functional.cross_entropy(logits_BCHW, labels_BHW.long())
'''
STUDY = """\
study: elsewhere
question: Is the report the same without the plugin and the data?
plugins: [lab_parts]
base:
  data: {name: folder, root: %s, classes: [ground, sky], val_fraction: 0.5, size: [16, 16]}
  model: {name: unet, base_channels: 4}
  loss: {half: {}}
  optimizer: {name: adam, lr: 1.0e-3}
  train: {epochs: 1, batch_size: 2}
variants:
  plain: {}
  other: {set: {loss.half.share: 0.25, optimizer.lr: 1.0e-2}}
seeds: [0, 1]
"""


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def draw_data(root: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(8):
        for kind, pixels in (("images", rng.integers(0, 255, (16, 16, 3))), ("masks", rng.integers(0, 2, (16, 16)))):
            (root / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(root / kind / f"{number}.png")


@pytest.mark.slow
def test_the_same_bytes_come_out_without_the_plugin_and_the_data(workplace, harness_cli):
    lab, data = workplace / "lab", workplace / "data"
    lab.mkdir()
    draw_data(data)
    (lab / "lab_parts.py").write_text(PLUGIN)
    (workplace / "study.yaml").write_text(STUDY % data)
    done = harness_cli(
        "run", "study.yaml", PYTHONPATH=os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(lab)]), timeout=550
    )
    assert done.returncode == 0, done.stderr
    here = files_of(workplace / "reports/elsewhere")
    assert {name.rpartition(".")[2] for name in here} == {"md", "html", "json", "csv", "png"}
    concerns = json.loads(here["report.json"])["concerns"]
    assert {"confounded", "few_seeds", "few_groups"} <= {concern["code"] for concern in concerns}
    assert all(concern["text"][1:] in here["report.md"].decode().replace("\\", "") for concern in concerns)

    (lab / "lab_parts.py").unlink()
    data.rename(workplace / "moved")
    other = workplace / "other"
    other.mkdir()
    command = harness_command("report", "elsewhere", "--root", str(workplace / "mlruns"))
    there = subprocess.run(command, capture_output=True, text=True, cwd=other, check=False)
    assert there.returncode == 0, there.stderr
    assert files_of(other / "reports/elsewhere") == here
