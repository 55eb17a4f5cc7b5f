"""`desert`: procedural off-road scenes, so that everything works with nothing downloaded."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated

import numpy as np
from pydantic import Field

from harness.data.desert_canvas import Canvas
from harness.data.desert_things import draw
from harness.data.desert_world import GENERATOR_VERSION, SplitName, make_scene
from harness.data.label_sets import shipped_taxonomy
from harness.data.source import Depth, Image, Label, Source, Split
from harness.data.taxonomy import map_ids
from harness.fingerprint import digest
from harness.registry import part

TAXONOMY = "offroad"
Scenes = Annotated[int, Field(ge=1, le=10_000)]
DrawnSide = Annotated[int, Field(ge=1, le=2048)]
"""Pixels. Drawing takes some hundred bytes and a microsecond for each pixel of a scene."""


@part("data", takes=("size",))
def desert(
    *,
    train_images: Scenes = 96,
    val_images: Scenes = 48,
    test_images: Scenes = 24,
    size: tuple[DrawnSide, DrawnSide] = (96, 96),
) -> Source:
    """Procedural off-road scenes with the ten classes and raw ids of the Duality AI off-road set, drawn when read.

    Image k of a split is the same scene for every number of images and every size; `size` is the height and width
    it is drawn at, not resized to. `train` and `val` show one desert; `test` another one: other sky, soil and mix.
    """
    numbers: Mapping[SplitName, int] = {"train": train_images, "val": val_images, "test": test_images}
    splits: dict[str, Split] = {split: make_split(split, number, size) for split, number in numbers.items()}
    return Source(taxonomy=shipped_taxonomy(TAXONOMY), splits=splits)


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
        return map_ids(drawn(index).label_HW, shipped_taxonomy(TAXONOMY), where=names[index])

    def read_depth(index: int) -> Depth:
        metres_HW = drawn(index).depth_HW  # 0 in the sky: what no sensor measures
        return np.divide(1, metres_HW, out=np.full(metres_HW.shape, np.nan, np.float32), where=metres_HW > 0)

    content = digest(["desert", GENERATOR_VERSION, split, number, list(size)])
    return Split(names, names, read_image, read_label, lambda index: drawn(index).label_HW.copy(), content, read_depth)
