"""Taxonomies: which raw label ids make which class, and each class's name and colour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Taxonomy:
    """A named set of classes, and the map from raw ids in label files to class indices."""

    name: str
    classes: tuple[str, ...]
    colours: tuple[Colour, ...]
    """Red, green, blue of each class, 0 to 255."""
    class_of: Mapping[int, int]
    """Raw id -> class index, or 255 for an id that is ignored on purpose. Other ids are unknown: an error."""
