"""A sheet for `data show`: each image as it is on disk, and as training feeds it to the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.patches import Patch

from harness.report.figures.examples import Colours, Pixels, Strip, class_legend, coloured, draw_strips
from harness.report.figures.style import SEQUENTIAL

_MASK_SHARE = 0.5
"""Of the class colour in an overlay."""
_UNKNOWN = "#e69f00"


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
    looks: Sequence[Preview], classes: Sequence[str], colours: Colours, *, title: str, path: Path
) -> None:
    """Draw images (rows) as PNG: image, mask, mask over image; then the model's input and the label that goes with it.

    Pictures keep their shape. Ignored pixels are black with grey stripes, also where an augmentation made them up.
    """
    strips = _strips(looks, colours)
    names = [look.name for look in looks]
    draw_strips(strips, names, colours, _entries(looks, strips, classes, colours), path, heading=title)


def _strips(looks: Sequence[Preview], colours: Colours) -> list[Strip]:
    overlays = tuple(_overlay(look.image, look.label, colours) for look in looks)
    depths = tuple(_shade(look.seen_depth) for look in looks if look.seen_depth is not None)
    seen = tuple(look.seen_image for look in looks if look.seen_image is not None)
    columns = (
        ("image", tuple(look.image for look in looks)),
        ("mask", tuple(look.label for look in looks)),
        ("mask over image", overlays),
        ("model input", seen),
        ("depth in the input", depths),
        ("label of the input", tuple(look.seen_label for look in looks)),
    )
    return [Strip(f"{title}\n{_sizes(pictures)}", pictures) for title, pictures in columns if pictures]


def _sizes(pictures: Sequence[Pixels]) -> str:
    sizes = list(dict.fromkeys(f"{picture.shape[0]}x{picture.shape[1]}" for picture in pictures))
    return sizes[0] if len(sizes) == 1 else "several sizes"


def _overlay(image: Pixels, label: Pixels, colours: Colours) -> Pixels:
    mixed = _MASK_SHARE * coloured(label, colours) + (1 - _MASK_SHARE) * image
    return np.rint(mixed).astype(np.uint8)


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
    looks: Sequence[Preview], strips: Sequence[Strip], classes: Sequence[str], colours: Colours
) -> list[tuple[Artist, str]]:
    entries = class_legend(strips, classes, colours)
    depths = [look.seen_depth for look in looks if look.seen_depth is not None]
    if depths:
        entries += [
            (Patch(facecolor=SEQUENTIAL(1.0)), "depth: near"),
            (Patch(facecolor=SEQUENTIAL(0.0), ec="#888888"), "depth: far"),
        ]
    if any(np.isnan(depth_HW).any() for depth_HW in depths):
        entries.append((Patch(facecolor=_UNKNOWN), "depth: unknown"))
    return entries
