"""Whether an exported model gives what the run's own model gives, on real pictures. Letters: B, C, H, W.

The pictures are given ones, the data set's own, or those kept with the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.apply.choose import ChosenRun
from harness.apply.export.formats import Artifact
from harness.apply.export.graph import Program
from harness.apply.model import Model
from harness.apply.predict.input_images import LabelName, find_labels, name_labels
from harness.data import open_source
from harness.data.images import read_image, resize_image
from harness.data.listing import IMAGE_ENDINGS
from harness.data.source import Image, Source
from harness.data.subsets import divide_val
from harness.errors import InputError, describe_missing
from harness.predictions import choose_evenly, unpack

MOST = 50
AGREEMENT = 0.999
"""Least share of pixels whose label must be the same: equal scores of two classes may fall either way."""
TOLERANCE = 1e-3
"""Largest difference of logits, as a share of the largest logit: sums are computed in another order, no more."""
OTHER_SIZES = 3
"""Pictures that are also given at another size, together."""
Batch = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Pictures:
    """Pictures that are read one by one."""

    names: tuple[str, ...]
    read: Callable[[int], Image]
    """Place -> picture [H, W, 3]."""
    source: str
    """Where they are from, in words for the user."""


def find_pictures(chosen: ChosenRun, folder: Path | None) -> Pictures:
    """Return up to 50 real pictures, evenly spaced: of `folder`, else of the val split, else those kept with the run.

    Raises:
        InputError: the folder has none; or there is no folder, and neither data set nor record has any.
    """
    if folder is not None:
        return _of_folder(folder, name_labels(chosen.config.data))
    try:
        split = open_judged(chosen).splits["val"]
    except InputError as error:
        missing = str(error)
    else:
        places = choose_evenly(len(split.names), MOST)
        names = tuple(split.names[place] for place in places)
        return Pictures(names, lambda place: split.read_image(places[place]), "val split of the data set")
    recorded = chosen.result.predictions
    if recorded is None or not recorded.names:
        raise InputError(f"no picture to check the export on ({missing}); give some with --images FOLDER")
    places = choose_evenly(len(recorded.names), MOST)
    names = tuple(recorded.names[place] for place in places)
    source = "val pictures kept with the run (JPEG): the data set is not at hand"
    return Pictures(names, lambda place: unpack(recorded, names[place]).image, source)


def open_judged(chosen: ChosenRun) -> Source:
    """Open the data set that a run was judged on.

    Raises:
        InputError: it is not where the run's config says, or its val split is no longer the same.
    """
    config = chosen.config
    source = divide_val(open_source(config.data, config.seed), config.evaluate)
    if source.splits["val"].digest != chosen.result.contract["splits"]["val"]:
        raise InputError(f"data '{config.data.name}': its val split is not the one that the run was judged on")
    return source


def _of_folder(folder: Path, label_name: LabelName) -> Pictures:
    if not folder.is_dir():
        raise InputError(f"--images {describe_missing(folder)}")
    listed = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_ENDINGS]
    found = sorted({*listed} - find_labels(listed, label_name))
    if not found:
        raise InputError(f"--images {folder}: no pictures there; known endings: {', '.join(IMAGE_ENDINGS)}")
    files = [found[place] for place in choose_evenly(len(found), MOST)]
    return Pictures(tuple(path.name for path in files), lambda place: read_image(files[place]), str(folder))


@dataclass(frozen=True)
class Parity:
    """How an exported model compares with the original (PyTorch, float32, same pictures)."""

    images: int
    source: str
    """Where the pictures are from."""
    shapes: tuple[tuple[int, int, int], ...]
    """Batch, height and width of what was given, each once."""
    max_difference: float
    """Of a logit."""
    max_logit: float
    agreement: float
    """Share of pixels with the same label."""
    passed: bool = field(init=False)

    def __post_init__(self) -> None:
        close = self.max_difference <= TOLERANCE * self.max_logit
        object.__setattr__(self, "passed", close and self.agreement >= AGREEMENT)

    def describe(self) -> str:
        """Return it in one line."""
        shapes = ", ".join("x".join(map(str, shape)) for shape in self.shapes)
        return (
            f"largest difference of logits {self.max_difference:.1e} (largest logit {self.max_logit:.1f}), labels "
            f"agree on {100 * self.agreement:.4f} % of pixels; {self.images} pictures ({self.source}); batch x height "
            f"x width: {shapes}"
        )


def check_parity(model: Model, artifact: Artifact, pictures: Pictures, program: Program) -> Parity:
    """Compare on each picture at the size the run uses, and on a few together at another size that it claims to take.

    Raises:
        HarnessError: it stops at a size that it claims to take.
    """
    shapes: dict[tuple[int, int, int], None] = {}
    difference = largest = 0.0
    same = total = 0
    for batch_BHWC in _batches(model, pictures, program):
        wanted, got = model(list(batch_BHWC)).cpu().numpy(), artifact.run(batch_BHWC)
        shapes[(len(batch_BHWC), *batch_BHWC.shape[1:3])] = None
        difference = max(difference, float(np.abs(got - wanted).max()))
        largest = max(largest, float(np.abs(wanted).max()))
        same += int((got.argmax(axis=1) == wanted.argmax(axis=1)).sum())
        total += wanted[:, 0].size
    return Parity(len(pictures.names), pictures.source, tuple(shapes), difference, largest, same / total)


def _batches(model: Model, pictures: Pictures, program: Program) -> Iterator[Batch]:
    first = pictures.read(0)
    height, width = model.size or first.shape[:2]
    if program.size is None:  # first, because what a model cannot do shows here
        sides = ((side // program.multiple | 1) * program.multiple for side in (height * 3 // 4, width * 5 // 4))
        other = next(sides), next(sides)  # odd multiples: no model halves them further than it claims
        some = range(min(OTHER_SIZES, len(pictures.names)))
        yield np.stack([resize_image(pictures.read(place), other) for place in some])
    for place in range(len(pictures.names)):
        image = pictures.read(place)
        yield resize_image(image, model.size or image.shape[:2])[None]
