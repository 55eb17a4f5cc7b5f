"""What tests share: a private cache, tiny studies, and the program as a user runs it."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

TINY = """
study: tiny
question: Does Dice help a tiny network on tiny scenes?
base:
  data: {name: desert, size: [32, 32], train_images: 12, val_images: 6, test_images: 3}
  model: {name: unet, base_channels: 4}
  loss: {cross_entropy: {}}
  augment: {flip: {p: 0.5}}
  optimizer: {name: adam, lr: 3.0e-3}
  train: {epochs: 3, batch_size: 4}
variants:
  baseline: {}
  finetune:
    from: baseline@best
    like: baseline
    components:
      dice: {loss.dice: {weight: 1.0}}
seeds: [0, 1]
"""


@pytest.fixture(autouse=True, scope="session")
def private_surroundings(tmp_path_factory):
    """Keep the tests away from the user's caches and from a tracking server the user has set."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        yield


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """Return an empty folder that the test works in, with the tiny study in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(textwrap.dedent(TINY))
    return tmp_path


def harness_command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from harness.cli import main; main()", *arguments]


@pytest.fixture
def harness_cli(workplace):
    """Return a function that runs the program in the workplace to its end."""

    def call(*arguments: str, timeout: float = 240, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            harness_command(*arguments),
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=workplace,
            env={**os.environ, **environment},
            check=False,
        )

    return call


def final_counts(root: Path) -> dict[str, dict[str, bytes]]:
    """Return run id -> split -> the arrays of its counts, as bytes."""
    import numpy as np

    found: dict[str, dict[str, bytes]] = {}
    for path in sorted(root.glob("runs/*/evaluation/*.npz")):
        with np.load(path) as file:
            content = b"".join(file[name].tobytes() for name in sorted(file.files))
        found.setdefault(path.parts[-3], {})[path.stem] = content
    return found
