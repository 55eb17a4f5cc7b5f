"""How a data set calls the label of a picture, and which files among pictures are labels by their names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from harness.records import Choice

LabelName = Callable[[str], str]
"""Name of a picture -> name of its label, both without ending."""


def name_labels(data: Choice) -> LabelName:
    """Return how the data set that a run was trained on calls the label of a picture."""
    suffix = data.settings.get("mask_suffix", "")
    if data.name == "cityscapes":
        return lambda name: name.replace("_leftImg8bit", "_gtFine_labelIds")
    return lambda name: f"{name}{suffix}"


def find_labels(files: Iterable[Path], label_name: LabelName) -> set[Path]:
    """Return those of some files that are the label of another one of them, in the same folder."""
    own = {path: path.with_suffix("") for path in files}
    labels = {path.with_name(label_name(path.name)) for path in own.values() if label_name(path.name) != path.name}
    return {path for path, bare in own.items() if bare in labels}
