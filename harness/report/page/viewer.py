"""The pictures of the image viewer: images as PNG, truths and predictions as PNG with a palette, as data URIs."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import jinja2
import numpy as np
from PIL import Image

from harness.records import Examples, RunResult
from harness.report.figures.examples import IGNORED, Colours, Pixels, match_pictures, pictured_runs
from harness.report.study.variants import VariantRuns

TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("harness.report"),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    autoescape=True,
)
"""Of pages in HTML; what enters them is escaped."""
MOST_BYTES = 4_000_000
"""All pictures together; they are shrunk until they fit."""
SMALLEST_PX = 128
IGNORED_NAME, IGNORED_COLOUR = "ignored", (0, 0, 0)


@dataclass(frozen=True)
class LabelSet:
    """The classes that some variants predict, each with a colour of its own; the last one is `ignored`."""

    classes: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    truths: tuple[str, ...]
    """Data URI of each example's truth."""


@dataclass(frozen=True)
class Shown:
    """The predictions of one variant, by one of its runs."""

    name: str
    seed: int
    label_set: int
    predictions: tuple[str, ...]
    """Data URI of each example's prediction; empty where the run kept none of this image."""


@dataclass(frozen=True)
class Gallery:
    """A few validation images with truth and every variant's prediction, ready for the page."""

    names: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]
    """Width and height (pixels)."""
    images: tuple[str, ...]
    label_sets: tuple[LabelSet, ...]
    variants: tuple[Shown, ...]
    step: int
    """Every how many pixels one is shown: 1 unless the pictures had to be shrunk."""


def make_gallery(groups: Sequence[VariantRuns]) -> Gallery | None:
    """Return the examples of each variant's first seed that kept some; None where no run did.

    Where they would need more than `MOST_BYTES`, every second (third, ...) pixel is shown.
    """
    runs = pictured_runs(groups)
    if not runs:
        return None
    step = 1
    while True:
        gallery = _encode(runs, step)
        truths = (label_set.truths for label_set in gallery.label_sets)
        predictions = (variant.predictions for variant in gallery.variants)
        size = sum(map(len, chain(gallery.images, *truths, *predictions)))
        if size <= MOST_BYTES or max(max(pair) for pair in gallery.sizes) <= SMALLEST_PX:
            return gallery
        step += 1


def _encode(runs: Sequence[tuple[str, int, RunResult, Examples]], step: int) -> Gallery:
    shown = runs[0][3]
    label_sets: dict[tuple[str, ...], LabelSet] = {}
    variants = []
    for name, seed, result, examples in runs:
        classes, colours = _classes(result)
        if classes not in label_sets:
            truths = match_pictures(shown.names, examples.names, examples.labels)
            uris = tuple(_label_uri(picture, colours, step) for picture in truths)
            label_sets[classes] = LabelSet((*classes, IGNORED_NAME), tuple(colours), uris)
        predictions = match_pictures(shown.names, examples.names, examples.predictions)
        place = list(label_sets).index(classes)
        variants.append(Shown(name, seed, place, tuple(_label_uri(item, colours, step) for item in predictions)))
    small = [picture[::step, ::step] for picture in shown.images]
    return Gallery(
        names=shown.names,
        sizes=tuple((picture.shape[1], picture.shape[0]) for picture in small),
        images=tuple(_uri(Image.fromarray(np.ascontiguousarray(picture))) for picture in small),
        label_sets=tuple(label_sets.values()),
        variants=tuple(variants),
        step=step,
    )


def _classes(result: RunResult) -> tuple[tuple[str, ...], list[tuple[int, int, int]]]:
    """Return class names, and colours of classes and of ignored pixels, so that a colour tells its class."""
    names = next(iter(result.counts.values())).classes
    colours: list[tuple[int, int, int]] = []
    # The page reads a pixel's class from its colour, so classes painted alike are set apart by an unseen step of blue.
    for red, green, blue in (*result.colours, IGNORED_COLOUR):
        colour = (red, green, blue)
        while colour in colours:
            colour = (colour[0], colour[1], (colour[2] + 1) % 256)
        colours.append(colour)
    return names, colours


def _label_uri(label_HW: Pixels | None, colours: Colours, step: int) -> str:
    """Return class indices as a PNG with the classes' colours; an empty text where there is no picture."""
    if label_HW is None:
        return ""
    small_HW = label_HW[::step, ::step]
    places_HW = np.where(small_HW == IGNORED, len(colours) - 1, small_HW).astype(np.uint8)
    picture = Image.fromarray(places_HW, mode="L")
    picture.putpalette([part for colour in colours for part in colour])
    return _uri(picture)


def _uri(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, format="PNG", optimize=True)
    return png_uri(file.getvalue())


def png_uri(data: bytes) -> str:
    """Return a PNG file as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def render_viewer(gallery: Gallery) -> str:
    """Return the image viewer as HTML, and the pictures as a table for readers without script."""
    return TEMPLATES.get_template("viewer.html.j2").render(gallery=gallery)
