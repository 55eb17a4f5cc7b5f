"""A run of a plugin that lies elsewhere, or has changed: what commands say, and that the command they print works."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile

import pytest
from tiny_study import harness_command

SPEC = """
study: lab
question: Does our own loss work?
plugins: [our_lab.losses]
base:
  data: {name: desert, size: [32, 32], train_images: 4, val_images: 2, test_images: 1}
  model: {name: unet, base_channels: 4}
  loss: {ours: {}}
  optimizer: {name: adam, lr: 3.0e-3}
  train: {epochs: 1, batch_size: 4}
variants:
  baseline: {}
seeds: [0]
"""
LOSSES = '''
from harness.registry import part
from harness.data.source import IGNORE
from our_lab import helpers

from .helpers import SCALE


@part("loss")
def ours(*, factor: float = 1.0):
    """Cross-entropy times a factor."""
    from torch.nn import functional

    def loss(logits_BCHW, labels_BHW):
        return SCALE * factor * functional.cross_entropy(logits_BCHW, labels_BHW, ignore_index=IGNORE)

    return loss
'''
pytestmark = pytest.mark.slow
COMMANDS = {
    "predict": ("predict", "lab/baseline@best", "picture.png", "--out", "predicted"),
    "card": ("card", "lab/baseline@best", "--out", "card.md"),
    "export": ("export", "lab/baseline@best", "--out", "model.onnx"),
    "reproduce": ("reproduce", "lab/baseline@best"),
}
TRIED_AS_PRINTED = ("predict", "reproduce")
"""One that applies a network, one that trains it; the card's printed command is tried where a plugin changed."""


def run(place, *arguments, check=True):
    done = subprocess.run(harness_command(*arguments), cwd=place, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stderr
    return done


def as_printed(place, command):
    """Run a command in a shell that finds the program as it is installed."""
    script = place / "bin" / "harness"
    script.parent.mkdir()
    script.write_text(
        f"#!{sys.executable}\nfrom harness.cli.app import main\n\nif __name__ == '__main__':\n    main()\n"
    )
    script.chmod(0o755)
    environment = {**os.environ, "PATH": f"{script.parent}:{os.environ['PATH']}"}
    return subprocess.run(
        ["bash", "-c", command], cwd=place, capture_output=True, text=True, env=environment, check=False
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a study that is finished, with its plugin, and a picture."""
    import numpy as np
    from PIL import Image

    place = tmp_path_factory.mktemp("lab")
    (place / "our_lab").mkdir()
    (place / "our_lab" / "__init__.py").write_text("")
    (place / "our_lab" / "helpers.py").write_text("SCALE = 1.0\n")
    (place / "our_lab" / "unused.py").write_text("raise SystemExit('never imported')\n")
    (place / "our_lab" / "losses.py").write_text(LOSSES)
    (place / "lab.yaml").write_text(SPEC)
    Image.fromarray(np.full((32, 32, 3), 90, np.uint8)).save(place / "picture.png")
    run(place, "run", "lab.yaml", "--jobs", "1")
    return place


@pytest.fixture
def elsewhere(trained, tmp_path):
    """A copy of the folder without the plugin."""
    place = tmp_path / "elsewhere"
    shutil.copytree(trained, place, ignore=shutil.ignore_patterns("our_lab", "__pycache__"))
    return place


def test_the_run_keeps_what_its_plugin_is_made_of_and_says_from_where(trained):
    (folder,) = (trained / "mlruns" / "runs").iterdir()
    with zipfile.ZipFile(folder / "plugins.zip") as archive:
        assert archive.namelist() == ["our_lab/__init__.py", "our_lab/helpers.py", "our_lab/losses.py"]
        assert archive.read("our_lab/losses.py").decode() == LOSSES
    facts = json.loads((folder / "provenance.json").read_text())["plugins"]
    assert facts["modules"] == {"our_lab.losses": str(trained / "our_lab" / "losses.py")}
    assert list((trained / "mlruns" / "artifacts").rglob("plugins.zip"))


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_without_the_plugin_each_command_says_where_it_was_and_a_command_that_works(trained, elsewhere, command):
    root = ("--root", str(elsewhere / "mlruns"))
    done = run(elsewhere, *command, *root, check=False)
    assert done.returncode == 2
    message = done.stderr[done.stderr.index("error: ") :]
    assert "the plugin 'our_lab.losses' cannot be imported: ModuleNotFoundError: No module named 'our_lab'" in message
    assert f"It was {trained}/our_lab/losses.py" in message
    printed = message.splitlines()[-1].strip()
    assert re.match(r"PYTHONPATH=\S+plugins\.zip\S* harness ", printed)
    if command[0] in TRIED_AS_PRINTED:
        again = as_printed(elsewhere, printed)
        assert again.returncode == 0, again.stderr
        assert "plugins.zip/our_lab/losses.py" in again.stderr


def test_a_plugin_that_changed_is_noted_and_the_copy_goes_before_it_where_it_is_asked_for(trained, elsewhere):
    shutil.copytree(trained / "our_lab", elsewhere / "our_lab")
    root = ("--root", str(elsewhere / "mlruns"))
    assert "differ" not in run(elsewhere, *COMMANDS["card"], *root).stderr
    assert "other source" not in run(elsewhere, "plan", "lab.yaml").stderr
    (elsewhere / "our_lab" / "helpers.py").write_text("SCALE = 2.0\n")
    told = "note: baseline/seed0: made with other source of our_lab.losses than is here now, and taken as they are"
    assert told in run(elsewhere, "plan", "lab.yaml").stderr
    noted = run(elsewhere, *COMMANDS["card"], *root).stderr
    assert "its plugins are not what they were when it was made: our_lab/helpers.py differ" in noted
    printed = next(line.strip() for line in noted.splitlines() if line.strip().startswith("PYTHONPATH="))
    done = as_printed(elsewhere, printed)
    assert done.returncode == 0, done.stderr
    assert "differ" not in done.stderr
    reproduced = run(elsewhere, *COMMANDS["reproduce"], *root, check=False)
    assert "source of plugins" in reproduced.stdout + reproduced.stderr


def test_a_damaged_copy_is_refused(elsewhere):
    (copy,) = elsewhere.glob("mlruns/runs/*/plugins.zip")
    content = bytearray(copy.read_bytes())
    content[len(content) // 2] ^= 1
    copy.write_bytes(content)
    done = run(elsewhere, *COMMANDS["card"], "--root", str(elsewhere / "mlruns"), check=False)
    assert done.returncode == 2
    assert f"error: {copy}: damaged" in done.stderr
