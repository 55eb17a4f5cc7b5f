from pathlib import Path

import numpy as np
import PIL.Image

from harness.audit.figures import Example, draw_class_pixels, draw_labels, lay_over
from harness.data.taxonomy import Taxonomy, distinct_colours


def taxonomy_of(number: int) -> Taxonomy:
    names = tuple(f"class {k}" for k in range(number))
    return Taxonomy("many", names, distinct_colours(number), {**{k: k for k in range(number)}, 200: 255})


def test_masks_are_laid_over_with_borders_and_dark_where_ignored() -> None:
    image = np.full((3, 4, 3), 100, np.uint8)
    label = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [255, 255, 255, 255]], np.uint8)
    laid = lay_over(image, label, [(200, 0, 50), (0, 0, 250)])
    assert laid[0, 0].tolist() == [160, 40, 70]  # 0.4 x image + 0.6 x colour
    assert laid[0, 3].tolist() == [40, 40, 190]
    assert (laid[:2, 2] == 255).all()
    assert (laid[2] == 255).all()
    nothing = np.full((3, 4), 255, np.uint8)
    assert (lay_over(image, nothing, [(200, 0, 50)]) == 40).all()


def test_figures_of_many_classes_and_of_none(tmp_path: Path) -> None:
    taxonomy = taxonomy_of(34)
    label = np.repeat(np.arange(34, dtype=np.uint8), 4)[None].repeat(60, axis=0)
    examples = [Example(f"val: image {k}", np.full((60, 136, 3), 90, np.uint8), label) for k in range(3)]
    draw_labels(examples, taxonomy, tmp_path / "labels.png")
    pixels = {"train": [10**k % 997 for k in range(34)], "val": [0] * 34, "test": [5] * 34}
    draw_class_pixels(pixels, taxonomy.classes, tmp_path / "class_pixels.png")
    draw_class_pixels({"train": [0], "val": [0]}, ["only"], tmp_path / "none.png")
    for name in ("labels.png", "class_pixels.png", "none.png"):
        with PIL.Image.open(tmp_path / name) as picture:
            picture.verify()
