"""What the audit learns of each image, read once, several at a time.

Letters: C class, H, W.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from harness.audit.near_duplicates import ImageHash, hash_image
from harness.data.source import Fault, Label, Source, Split
from harness.data.taxonomy import Taxonomy
from harness.errors import InputError

GRID = (48, 64)
"""Rows and columns of the points at which the labels of two images are compared."""
UNDECODABLE = "cannot be decoded"
"""Kind of the faults that the check of a data set, which reads pictures' headers, does not see."""


@dataclass(frozen=True)
class ImageMeasures:
    """What one image and its label hold."""

    index: int
    """Place of the image in its split."""
    size: tuple[int, int]
    """Height and width of the picture in pixels."""
    pixels_C: npt.NDArray[np.int64]
    ignored: int
    """Pixels that the taxonomy ignores."""
    label_grid: Label
    """Label at the points of `GRID`, [48, 64]."""
    hash: ImageHash
    rgb_sum: npt.NDArray[np.float64]
    """Sum of each channel over the pixels, values from 0 to 1; [3]."""
    rgb_squares: npt.NDArray[np.float64]
    """Sum of squares of each channel, [3]."""


Answer = ImageMeasures | InputError
"""What reading an image gives: what it holds, or why it cannot be decoded."""


def read_split(
    source: Source, name: str, bad: Collection[str], listen: Callable[[int], object]
) -> tuple[list[ImageMeasures], list[Fault]]:
    """Return what the images of a split hold, in their order, and the faults that only decoding shows.

    Images named in `bad` are passed over: they have faults already. `listen` is told after each image how many
    are done.
    """
    split = source.splits[name]
    wanted = [index for index, image in enumerate(split.names) if image not in bad]
    seen: list[ImageMeasures] = []
    faults: list[Fault] = []
    answers = _each(lambda index: _see(split, source.taxonomy, index), wanted)
    for done, (index, answer) in enumerate(zip(wanted, answers, strict=True), start=1):
        if isinstance(answer, ImageMeasures):
            seen.append(answer)
        else:
            told = str(answer).removeprefix(f"{source.root}/")
            faults.append(Fault(UNDECODABLE, name, split.names[index], told.partition(": ")[0], told))
        listen(done)
    return seen, faults


def _each(see: Callable[[int], Answer], wanted: Sequence[int]) -> Iterator[Answer]:
    """Yield what `see` returns for each index, in order; a few images are in memory at a time."""
    workers = min(8, os.cpu_count() or 1)
    left = iter(wanted)
    with ThreadPoolExecutor(workers) as pool:
        running = deque(pool.submit(see, index) for index in islice(left, 2 * workers))
        while running:
            yield running.popleft().result()
            running.extend(pool.submit(see, index) for index in islice(left, 1))


def _see(split: Split, taxonomy: Taxonomy, index: int) -> Answer:
    try:
        image_HW3, ids_HW = split.read_image(index), split.read_ids(index)
    except InputError as error:
        return error
    num_classes = len(taxonomy.classes)
    label_HW = taxonomy.class_map.take(ids_HW)
    counts = np.bincount(label_HW.ravel(), minlength=257)
    values = np.arange(256) / 255
    channels = [np.bincount(image_HW3[..., channel].ravel(), minlength=256) for channel in range(3)]
    rows, columns = (
        np.linspace(0, length - 1, points).round().astype(int)
        for length, points in zip(ids_HW.shape, GRID, strict=True)
    )
    return ImageMeasures(
        index=index,
        size=(image_HW3.shape[0], image_HW3.shape[1]),
        pixels_C=counts[:num_classes].astype(np.int64),
        ignored=int(counts[255]),
        label_grid=np.minimum(label_HW[np.ix_(rows, columns)], 255).astype(np.uint8),
        hash=hash_image(image_HW3),
        rgb_sum=np.array([histogram @ values for histogram in channels]),
        rgb_squares=np.array([histogram @ values**2 for histogram in channels]),
    )
