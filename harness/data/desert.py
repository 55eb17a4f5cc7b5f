"""`desert`: procedural off-road scenes, so that everything works with nothing downloaded."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from harness.catalog import part
from harness.data.desert_canvas import Canvas
from harness.data.desert_things import draw
from harness.data.desert_world import GENERATOR_VERSION, SplitName, make_scene
from harness.data.source import Image, Label, Source, Split
from harness.data.taxonomy import Taxonomy, map_ids
from harness.fingerprint import canonical, digest_bytes
from harness.settings import Count, Size

OFFROAD = Taxonomy(
    name="offroad",
    classes=(
        "Trees",
        "Lush Bushes",
        "Dry Grass",
        "Dry Bushes",
        "Ground Clutter",
        "Flowers",
        "Logs",
        "Rocks",
        "Landscape",
        "Sky",
    ),
    colours=(
        (0, 96, 60),
        (0, 158, 115),
        (240, 228, 66),
        (166, 118, 29),
        (110, 84, 110),
        (204, 121, 167),
        (120, 40, 20),
        (128, 128, 128),
        (230, 190, 140),
        (86, 180, 233),
    ),
    class_of={100: 0, 200: 1, 300: 2, 500: 3, 550: 4, 600: 5, 700: 6, 800: 7, 7100: 8, 10000: 9},
)
"""Classes and raw ids of the Duality AI off-road set; colours after Okabe and Ito where they look natural."""


@part("data")
def desert(
    *, train_images: Count = 96, val_images: Count = 48, test_images: Count = 24, size: Size = (96, 96)
) -> Source:
    """Procedural off-road scenes with the ten classes and raw ids of the Duality AI off-road set, drawn when read.

    Image k of a split is the same scene for every number of images and every size; `size` is the height and width
    it is drawn at, not resized to. `train` and `val` show one desert; `test` another one: other sky, soil and mix.
    """
    numbers: Mapping[SplitName, int] = {"train": train_images, "val": val_images, "test": test_images}
    height, width = size
    splits: dict[str, Split] = {split: make_split(split, number, (height, width)) for split, number in numbers.items()}
    return Source(taxonomy=OFFROAD, splits=splits, problems=lambda: None)


def make_split(split: SplitName, number: int, size: tuple[int, int]) -> Split:
    """Return the first `number` scenes of a split, drawn at [H, W] when read."""
    names = tuple(f"{split}_{index:04}" for index in range(number))

    @lru_cache(maxsize=1)  # image, label and depth of one scene are mostly read one after the other
    def drawn(index: int) -> Canvas:
        return draw(make_scene(split, index), size)

    def read_image(index: int) -> Image:
        bytes_3HW = (np.clip(drawn(index).rgb_3HW, 0.0, 1.0) * np.float32(255.0) + np.float32(0.5)).astype(np.uint8)
        return np.ascontiguousarray(bytes_3HW.transpose(1, 2, 0))

    def read_label(index: int) -> Label:
        return map_ids(drawn(index).label_HW, OFFROAD, where=names[index])

    def read_depth(index: int) -> npt.NDArray[np.float32]:
        return drawn(index).depth_HW.copy()

    digest = digest_bytes([canonical(["desert", GENERATOR_VERSION, split, number, list(size)]).encode()])
    return Split(names, names, read_image, read_label, digest, read_depth)
