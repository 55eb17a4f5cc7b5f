"""The figures of an audit: pixels of each class, and masks over images. Letters: C class, H, W."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from harness.data.taxonomy import Colour, Taxonomy
from harness.report.figures.examples import IGNORED, Pixels
from harness.report.figures.marks import shorten
from harness.report.figures.style import OKABE_ITO, add_legend, colour_patch, draw, inches, text_width

EXAMPLES_A_ROW = 2
_NAMED_FROM = 0.004
"""A class with a smaller share of an image's pixels is not named in it: the name would hide it."""
_OPACITY = 0.6


@dataclass(frozen=True)
class Example:
    """An image with its label, at one size."""

    title: str
    image: Pixels
    """[H, W, 3]."""
    label: Pixels
    """Class indices [H, W], 255 = ignored."""


def draw_class_pixels(pixels: Mapping[str, Sequence[int]], classes: Sequence[str], path: Path) -> None:
    """Draw for each class its share of each split's labelled pixels (percent, log axis), frequent classes first.

    `pixels` is split -> pixels of each class. The first split decides the order.
    """
    shares = {name: np.array(counts) / max(sum(counts), 1) for name, counts in pixels.items()}
    order = np.argsort(-next(iter(shares.values())), kind="stable")
    shown = np.concatenate(list(shares.values()))
    lowest = 100 * shown[shown > 0].min() / 2 if shown.any() else 0.01
    labels = [shorten(classes[k]) for k in order]
    left, height = 0.3 + text_width(labels), max(1.2, len(order) * (0.13 * len(shares) + 0.1))

    def paint(figure: Figure) -> None:
        axes = figure.add_axes(inches(left, 0.4, 6.5, height))
        thick = 0.8 / len(shares)
        for row, (name, share_C) in enumerate(shares.items()):
            places = np.arange(len(order)) - 0.4 + thick * (row + 0.5)
            axes.barh(places, 100 * share_C[order], thick * 0.92, color=OKABE_ITO[row], label=name)
            for place, share in zip(places, share_C[order], strict=True):
                if share == 0:
                    axes.text(lowest * 1.05, place, "none", va="center", fontsize=7, color=OKABE_ITO[row])
        axes.set_xlim(lowest, 100)
        axes.set_xscale("log")
        axes.set_ylim(len(order) - 0.4, -0.6)
        axes.set_yticks(np.arange(len(order)), labels)
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.grid(axis="x")
        axes.set_xlabel("share of the split's labelled pixels (%, log axis)")
        axes.set_title("Pixels of each class")
        handles: list[tuple[Artist, str]] = [(Patch(facecolor=OKABE_ITO[k]), name) for k, name in enumerate(shares)]
        add_legend(figure, handles, left, height + 1.1, 6.5)

    draw(path, paint)


def draw_labels(examples: Sequence[Example], taxonomy: Taxonomy, path: Path) -> None:
    """Draw images beside their masks laid over them, with class names in place and a legend of all classes and ids.

    Borders between classes are white; ignored pixels are darkened.
    """
    cell_w = 3.0
    cell_h = cell_w * max(example.image.shape[0] / example.image.shape[1] for example in examples)
    width = EXAMPLES_A_ROW * (2 * cell_w + 0.25)
    rows = -(-len(examples) // EXAMPLES_A_ROW)

    def paint(figure: Figure) -> None:
        for place, example in enumerate(examples):
            row, column = divmod(place, EXAMPLES_A_ROW)
            left, top = 0.3 + column * (2 * cell_w + 0.25), 0.5 + row * (cell_h + 0.4)
            pictures = (example.image, lay_over(example.image, example.label, taxonomy.colours))
            for side, picture in enumerate(pictures):
                axes = figure.add_axes(inches(left + side * (cell_w + 0.05), top, cell_w, cell_h))
                axes.set_axis_off()
                axes.imshow(picture, interpolation="nearest")
                if side == 0:
                    axes.set_title(shorten(example.title, 40), fontsize=9, pad=4)
                else:
                    _write_names(axes, example.label, taxonomy.classes)
        add_legend(figure, _legend(taxonomy), 0.3, 0.6 + rows * (cell_h + 0.4), width)

    draw(path, paint)


def lay_over(image_HW3: Pixels, label_HW: Pixels, colours: Sequence[Colour]) -> Pixels:
    """Return the image under its mask's colours, [H, W, 3]: white borders between classes, dark where ignored."""
    table = np.zeros((256, 3), np.float64)
    table[: len(colours)] = np.array(colours)
    mixed = (1 - _OPACITY) * image_HW3 + _OPACITY * table[label_HW]
    border_HW = np.zeros(label_HW.shape, np.bool_)
    border_HW[1:] |= label_HW[1:] != label_HW[:-1]
    border_HW[:, 1:] |= label_HW[:, 1:] != label_HW[:, :-1]
    mixed[border_HW] = 255
    return mixed.round().astype(np.uint8)


def _write_names(axes: Axes, label_HW: Pixels, classes: Sequence[str]) -> None:
    for index in np.unique(label_HW).tolist():
        if index == IGNORED or (label_HW == index).mean() < _NAMED_FROM:
            continue
        y, x = _inner_point(label_HW == index)
        axes.text(
            x,
            y,
            shorten(classes[index], 18),
            ha="left" if x < label_HW.shape[1] * 0.12 else "right" if x > label_HW.shape[1] * 0.88 else "center",
            va="center",
            fontsize=6,
            color="white",
            path_effects=[withStroke(linewidth=1.5, foreground="black")],
            clip_on=True,
        )


def _inner_point(inside_HW: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Return row and column of a pixel that stays inside longest when the region's edge is peeled off."""
    # The middle of a region's pixels may lie outside it (a ring, a winding path); where it is thickest never does.
    layer = inside_HW
    while True:
        padded = np.pad(layer, 1)
        peeled = layer & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
        if not peeled.any():
            rows, columns = np.nonzero(layer)
            middle = len(rows) // 2
            return int(rows[middle]), int(columns[middle])
        layer = peeled


def _legend(taxonomy: Taxonomy) -> list[tuple[Artist, str]]:
    entries: list[tuple[Artist, str]] = [
        (colour_patch(colour), f"{shorten(name)} ({_ids(taxonomy, index)})")
        for index, (name, colour) in enumerate(zip(taxonomy.classes, taxonomy.colours, strict=True))
    ]
    if taxonomy.raw_ids(IGNORED):
        entries.append((Patch(facecolor="black"), f"ignored ({_ids(taxonomy, IGNORED)})"))
    return entries


def _ids(taxonomy: Taxonomy, index: int) -> str:
    return shorten(", ".join(map(str, taxonomy.raw_ids(index))), 20)
