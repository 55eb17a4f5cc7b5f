"""Pictures of predictions, the two pictures kept with each run, and the sheet of `data show`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from harness.records import Counts, Examples, RunResult
from harness.report.figures.heatmaps import draw_confusions
from harness.report.figures.marks import shorten
from harness.report.figures.style import SEQUENTIAL, add_legend, colour_patch, draw, inches
from harness.report.study.variants import VariantRuns

IGNORED = 255
MOST_COLUMNS = 6
LEGEND_CLASSES = 24
_MASK_SHARE = 0.5
"""Of the class colour in an overlay."""
_UNKNOWN = "#e69f00"
LEFT, GAP = 0.5, 0.08
"""Inches: room for names at the left, and between pictures."""
Pixels = npt.NDArray[np.uint8]
Colours = Sequence[tuple[int, int, int]]


@dataclass(frozen=True)
class Strip:
    """The pictures of one kind (images, truth, one variant's predictions), one for each example."""

    title: str
    pictures: tuple[Pixels | None, ...]
    """[H, W, 3] colours, or [H, W] class indices; None where this kind has no picture of the example."""


def draw_confusion(counts: Counts, path: Path) -> None:
    """Draw one run's confusion matrix, rows normalised, as PNG."""
    draw_confusions({"": counts.confusion_CC()}, counts.classes, path)


def draw_examples(examples: Examples, classes: Sequence[str], colours: Colours, path: Path) -> None:
    """Draw one run's examples as PNG: image, truth, prediction, and a legend of the classes' colours."""
    strips = (*truth_strips(examples), Strip("prediction", examples.predictions))
    draw_strips(strips, examples.names, colours, class_legend(strips, classes, colours), path)


def pictured_runs(groups: Iterable[VariantRuns]) -> list[tuple[str, int, RunResult, Examples]]:
    """Return, for each variant that kept pictures, its name, and seed, result and pictures of its first such run."""
    found = []
    for group in groups:
        items = group.results.items()
        found += [(group.name, seed, result, result.examples) for seed, result in items if result.examples][:1]
    return found


def match_pictures(
    wanted: Sequence[str], names: Sequence[str], pictures: Sequence[Pixels]
) -> tuple[Pixels | None, ...]:
    """Return the pictures of the images that are wanted; None for one that is not there."""
    by_name = dict(zip(names, pictures, strict=True))
    return tuple(map(by_name.get, wanted))


def truth_strips(examples: Examples) -> tuple[Strip, Strip]:
    """Return the strips that need no prediction."""
    return Strip("image", examples.images), Strip("truth", examples.labels)


def draw_strips(
    strips: Sequence[Strip],
    names: Sequence[str],
    colours: Colours,
    legend: Sequence[tuple[Artist, str]],
    path: Path,
    *,
    heading: str = "",
) -> None:
    """Draw a grid of pictures: strips are columns, or rows where there are more of them than fit side by side.

    Each row is as high as its highest picture needs; names may have two lines, of which each is shortened.
    """
    titles, sides = [strip.title for strip in strips], list(names)
    rows = list(zip(*(strip.pictures for strip in strips), strict=True))
    if len(strips) > MOST_COLUMNS:
        titles, sides, rows = sides, titles, [strip.pictures for strip in strips]
    cell_w = min(3.0, max(2.0, 11 / len(titles)))
    shapes = [[picture.shape for picture in row if picture is not None] for row in rows]
    heights = [max((cell_w * height / width for height, width, *_ in row), default=cell_w) for row in shapes]

    def paint(figure: Figure) -> None:
        figure.text(LEFT / 10, 1, heading, fontweight="bold", va="bottom")
        top = 0.3 + 0.2 * max(title.count("\n") + 1 for title in titles)
        for place, (row, side, height) in enumerate(zip(rows, sides, heights, strict=True)):
            for column, (picture, title) in enumerate(zip(row, titles, strict=True)):
                axes = figure.add_axes(inches(LEFT + column * (cell_w + GAP), top, cell_w, height))
                axes.set_axis_off()
                if picture is not None:
                    axes.imshow(coloured(picture, colours), interpolation="nearest")
                if place == 0:
                    axes.set_title(_fit(title, cell_w), loc="center", pad=6)
            middle = ((LEFT - 0.08) / 10, 1 - (top + height / 2) / 10)
            look: dict[str, Any] = {"rotation": 90, "ha": "right", "va": "center", "multialignment": "center"}
            figure.text(*middle, _fit(side, height), **look)
            top += height + GAP
        add_legend(figure, legend, LEFT, top + 0.1, len(titles) * (cell_w + GAP))

    draw(path, paint)


def _fit(text: str, length: float) -> str:
    """Return lines of text cut to a length (inches)."""
    return "\n".join(shorten(line, max(6, int(length / 0.1))) for line in text.splitlines())


def coloured(picture: Pixels, colours: Colours) -> Pixels:
    """Return [H, W, 3] colours for class indices; ignored pixels are black with grey stripes."""
    if picture.ndim == 3:
        return picture
    table = np.zeros((256, 3), np.uint8)
    table[: len(colours)] = np.array(colours, np.uint8)
    painted = table[picture]
    y_HW, x_HW = np.indices(picture.shape)
    # Stripes tell ignored pixels from a class that happens to be black; they scale with the picture.
    stripe = max(2, picture.shape[1] // 60)
    painted[(picture == IGNORED) & ((y_HW + x_HW) // stripe % 4 == 0)] = 110
    return painted


def class_legend(strips: Sequence[Strip], classes: Sequence[str], colours: Colours) -> list[tuple[Artist, str]]:
    """Return the legend; where there are very many classes, only those in the pictures."""
    labels = [picture for strip in strips for picture in strip.pictures if picture is not None and picture.ndim == 2]
    seen = set(np.unique(np.concatenate([label.ravel() for label in labels])).tolist())
    entries: list[tuple[Artist, str]] = [
        (colour_patch(colour), shorten(name))
        for index, (name, colour) in enumerate(zip(classes, colours, strict=True))
        if index in seen or len(classes) <= LEGEND_CLASSES
    ]
    if IGNORED in seen:
        entries.append((Patch(facecolor="black", edgecolor="#6e6e6e", hatch="////", lw=0), "ignored"))
    return entries


@dataclass(frozen=True)
class Preview:
    """One image: as it is on disk, and as a model is given it, the normalization undone."""

    name: str
    image: Pixels
    """[H, W, 3]."""
    label: Pixels
    """[H, W], class indices, 255 = ignored."""
    seen_image: Pixels | None
    """[h, w, 3]; None where the model sees no colour."""
    seen_depth: npt.NDArray[np.float32] | None
    """[h, w], greater is nearer, NaN = unknown; None where the model sees no depth."""
    seen_label: Pixels
    """[h, w]."""


def draw_previews(
    previews: Sequence[Preview], classes: Sequence[str], colours: Colours, *, title: str, path: Path
) -> None:
    """Draw images (rows) as PNG: image, mask, mask over image; then the model's input and the label that goes with it.

    Pictures keep their shape. Ignored pixels are black with grey stripes, also where an augmentation made them up.
    """
    strips = _strips(previews, colours)
    names = [preview.name for preview in previews]
    draw_strips(strips, names, colours, _entries(previews, strips, classes, colours), path, heading=title)


def _strips(previews: Sequence[Preview], colours: Colours) -> list[Strip]:
    overlays = tuple(_overlay(preview.image, preview.label, colours) for preview in previews)
    depths = tuple(_shade(preview.seen_depth) for preview in previews if preview.seen_depth is not None)
    seen = tuple(preview.seen_image for preview in previews if preview.seen_image is not None)
    columns = (
        ("image", tuple(preview.image for preview in previews)),
        ("mask", tuple(preview.label for preview in previews)),
        ("mask over image", overlays),
        ("model input", seen),
        ("depth in the input", depths),
        ("label of the input", tuple(preview.seen_label for preview in previews)),
    )
    return [Strip(f"{title}\n{_sizes(pictures)}", pictures) for title, pictures in columns if pictures]


def _sizes(pictures: Sequence[Pixels]) -> str:
    sizes = list(dict.fromkeys(f"{picture.shape[0]}x{picture.shape[1]}" for picture in pictures))
    return sizes[0] if len(sizes) == 1 else "several sizes"


def _overlay(image: Pixels, label: Pixels, colours: Colours) -> Pixels:
    return np.rint(_MASK_SHARE * coloured(label, colours) + (1 - _MASK_SHARE) * image).astype(np.uint8)


def _shade(depth_HW: npt.NDArray[np.float32]) -> Pixels:
    """Return depth in shades: darker is nearer, from the smallest to the largest value of the picture."""
    known = ~np.isnan(depth_HW)
    values = depth_HW[known]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    scaled_HW = (np.nan_to_num(depth_HW) - low) / ((high - low) or 1.0)
    shades: Pixels = SEQUENTIAL(scaled_HW, bytes=True)[..., :3]
    shades[~known] = tuple(int(_UNKNOWN[k : k + 2], 16) for k in (1, 3, 5))
    return shades


def _entries(
    previews: Sequence[Preview], strips: Sequence[Strip], classes: Sequence[str], colours: Colours
) -> list[tuple[Artist, str]]:
    entries = class_legend(strips, classes, colours)
    depths = [preview.seen_depth for preview in previews if preview.seen_depth is not None]
    if depths:
        entries += [
            (Patch(facecolor=SEQUENTIAL(1.0)), "depth: near"),
            (Patch(facecolor=SEQUENTIAL(0.0), ec="#888888"), "depth: far"),
        ]
    if any(np.isnan(depth_HW).any() for depth_HW in depths):
        entries.append((Patch(facecolor=_UNKNOWN), "depth: unknown"))
    return entries
