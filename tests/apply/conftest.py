"""A trained study on real files, shared by the tests of what is done with its winner. Its data are then taken away."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from finished_study import train_here
from PIL import Image
from tiny_study import harness_here

SPEC = """
study: rough
question: Do large pictures help?
base:
  data: {name: offroad, root: data, size: [32, 48]}
  model: {name: unet, base_channels: 4}
  loss: {cross_entropy: {}}
  optimizer: {name: adam, lr: 3.0e-3}
  train: {epochs: 2, batch_size: 4}
  evaluate: {batch_size: 2}
variants:
  small: {}
  native:
    set: {data.size: native}
seeds: [0, 1]
"""
SIZE = (60, 84)
VAL_IMAGES = 5
"""An odd number: the last batch of two takes in the one left over."""


@dataclass(frozen=True)
class Trained:
    """A finished study, and the validation files that are left of its data."""

    place: Path
    """The folder it was run in."""
    images: Path
    truth: Path


def write_scenes(root: Path, split: str, number: int) -> None:
    """Write drawn scenes with raw ids in the layout of the off-road set."""
    from harness.data.desert import make_split

    scenes = make_split("train" if split == "train" else "val", number, SIZE)
    for folder, read in (("Color_Images", scenes.read_image), ("Segmentation", scenes.read_ids)):
        (root / split / folder).mkdir(parents=True)
        for index, name in enumerate(scenes.names):
            Image.fromarray(np.asarray(read(index))).save(root / split / folder / f"{name}.png")


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Return the study, trained and judged for real; of its data the validation files alone are left, elsewhere."""
    from harness import api

    place = tmp_path_factory.mktemp("trained")
    write_scenes(place / "data", "train", 8)
    write_scenes(place / "data", "val", VAL_IMAGES)
    (place / "rough.yaml").write_text(SPEC)
    before = Path.cwd()
    os.chdir(place)
    try:
        train_here(api.make_plan(api.load_spec("rough.yaml")), api.open_store("mlruns"))
    finally:
        os.chdir(before)
    (place / "data" / "val").rename(place / "val")
    (place / "data").rename(place / "gone")
    return Trained(place, place / "val" / "Color_Images", place / "val" / "Segmentation")


@pytest.fixture
def call(trained, monkeypatch):
    """Return a function that runs the program where the study was run, in this process; returns exit code, out, err."""
    monkeypatch.chdir(trained.place)

    def call(*arguments):
        done = harness_here(*map(str, arguments))
        return done.returncode, done.stdout, done.stderr

    return call
