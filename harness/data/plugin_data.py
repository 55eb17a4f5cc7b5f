"""What a plugin's data set gives back, held against `harness.data.source`: messages name data, image and what came.

The sets that harness ships keep the contract by their tests; a plugin's array of another shape would come out as an
error of torch, or as numbers that mean something else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from harness.data.source import IGNORE, Depth, Fault, Image, Label, RawIds, Source, Split
from harness.data.taxonomy import Taxonomy
from harness.errors import HarnessError, InputError, describe, is_out_of_memory


def checked(source: object, who: str) -> Source:
    """Return a plugin's data set, each array of which is checked when it is read; `who` names the data in messages.

    Raises:
        InputError: it is no data set as `harness.data.source` describes it.
    """
    if not isinstance(source, Source):
        raise InputError(f"{who}: it returned a {type(source).__name__}; a data set returns harness.data.source.Source")
    _check_taxonomy(source.taxonomy, who)
    if not isinstance(source.splits, Mapping) or (
        lacking := [name for name in ("train", "val") if name not in source.splits]
    ):
        raise InputError(f"{who}: the split '{lacking[0]}' is missing; it needs train and val, and may have test")
    splits = {name: _check_split(split, f"{who}: split '{name}'") for name, split in source.splits.items()}
    reading = {
        name: _Reading(split, len(source.taxonomy.classes), f"{who}: split '{name}'") for name, split in splits.items()
    }

    def check() -> tuple[Fault, ...]:
        # One image of each split shows whether its functions keep the contract at all; the rest is checked when read.
        for one in reading.values():
            one.image(0), one.label(0), one.ids(0)
        return source.check()

    return replace(source, splits={name: one.split() for name, one in reading.items()}, check=check)


def _check_taxonomy(taxonomy: object, who: str) -> None:
    if not isinstance(taxonomy, Taxonomy):
        raise InputError(f"{who}: its taxonomy is a {type(taxonomy).__name__}, not harness.data.taxonomy.Taxonomy")
    classes = taxonomy.classes
    if not 1 <= len(classes) < IGNORE or len(set(classes)) < len(classes):
        raise InputError(f"{who}: {len(classes)} classes are named; 1 to {IGNORE - 1} are expected, each named once")
    if len(taxonomy.colours) != len(classes):
        raise InputError(f"{who}: {len(classes)} classes have {len(taxonomy.colours)} colours; give one for each")
    wrong = [raw for raw, index in taxonomy.class_of.items() if not (0 <= index < len(classes) or index == IGNORE)]
    if wrong:
        raise InputError(
            f"{who}: raw id {wrong[0]} is class {taxonomy.class_of[wrong[0]]}, but classes are 0 to {len(classes) - 1}"
            f" ({IGNORE}: ignored)"
        )


def _check_split(split: object, where: str) -> Split:
    if not isinstance(split, Split):
        raise InputError(f"{where} is a {type(split).__name__}, not harness.data.source.Split")
    if not split.names or len(set(split.names)) < len(split.names):
        raise InputError(f"{where}: {len(split.names)} names of images; at least one is expected, and each name once")
    for kind in ("names", "groups", "recordings"):
        told = getattr(split, kind)
        if not all(isinstance(item, str) for item in told):
            raise InputError(f"{where}: its {kind} are not texts")
        if len(told) != len(split.names) and (told or kind != "recordings"):
            raise InputError(f"{where}: {len(split.names)} images have {len(told)} {kind}; give one for each image")
    _check_readers(split, where)
    return replace(split, names=tuple(split.names), groups=tuple(split.groups), recordings=tuple(split.recordings))


def _check_readers(split: Split, where: str) -> None:
    if not isinstance(split.digest, str) or not split.digest:
        raise InputError(f"{where}: it has no digest: a text that is another one when the content is")
    readers = {"read_image": split.read_image, "read_label": split.read_label, "read_ids": split.read_ids}
    for name, read in readers.items():
        if not callable(read):
            raise InputError(f"{where}: its {name} is a {type(read).__name__}, not a function of an image's index")


@dataclass(frozen=True)
class _Reading:
    """A split's functions, with what they return checked."""

    of: Split
    classes: int
    where: str
    sizes: dict[int, tuple[str, tuple[int, ...]]] = field(default_factory=dict)
    """Index -> what was read of an image first, and its height and width."""

    def split(self) -> Split:
        depth = None if self.of.read_depth is None else self.depth
        return replace(self.of, read_image=self.image, read_label=self.label, read_ids=self.ids, read_depth=depth)

    def image(self, index: int) -> Image:
        found = self._read("picture", self.of.read_image, index)
        if found.ndim != 3 or found.shape[2] != 3 or found.dtype != np.uint8:
            raise self._wrong("picture", index, "[H, W, 3] uint8", found)
        return self._of_one_size("picture", index, found)

    def label(self, index: int) -> Label:
        found = self._read("label", self.of.read_label, index)
        if found.ndim != 2 or not np.issubdtype(found.dtype, np.integer):
            raise self._wrong("label", index, "[H, W] uint8", found)
        strange = found[((found < 0) | (found >= self.classes)) & (found != IGNORE)]
        if strange.size:
            raise InputError(
                f"{self._image(index)}: its label holds {strange[0]} in {strange.size} pixels; classes are 0 to "
                f"{self.classes - 1}, and {IGNORE} is ignored"
            )
        return self._of_one_size("label", index, found).astype(np.uint8, copy=False)

    def ids(self, index: int) -> RawIds:
        found = self._read("raw ids", self.of.read_ids, index)
        if found.ndim != 2 or not np.issubdtype(found.dtype, np.integer):
            raise self._wrong("raw ids", index, "[H, W] uint8 or uint16", found)
        if found.min() < 0 or found.max() > 65535:
            raise InputError(f"{self._image(index)}: raw ids from {found.min()} to {found.max()}; give 0 to 65535")
        return self._of_one_size("raw ids", index, found)

    def depth(self, index: int) -> Depth:
        assert self.of.read_depth is not None
        found = self._read("depth", self.of.read_depth, index)
        if found.ndim != 2 or found.dtype != np.float32:
            raise self._wrong("depth", index, "[H, W] float32", found)
        if np.isinf(found).any():
            raise InputError(f"{self._image(index)}: its depth is infinite somewhere; NaN stands where it is unknown")
        return self._of_one_size("depth", index, found)

    def _read(self, what: str, read: Callable[[int], Any], index: int) -> np.ndarray[Any, Any]:
        try:
            found = read(index)
        except Exception as error:
            if isinstance(error, HarnessError) or is_out_of_memory(error):
                raise
            raise InputError(f"{self._image(index)}: its {what} cannot be read: {describe(error)}") from error
        if not isinstance(found, np.ndarray):
            raise InputError(f"{self._image(index)}: its {what} is a {type(found).__name__}, not a NumPy array")
        if not found.size:
            raise self._wrong(what, index, "at least one pixel", found)
        return found

    def _of_one_size(self, what: str, index: int, found: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        first, size = self.sizes.setdefault(index, (what, found.shape[:2]))
        if size != found.shape[:2]:
            raise InputError(
                f"{self._image(index)}: its {what} is {list(found.shape[:2])}, its {first} {list(size)} (height, width)"
            )
        return found

    def _wrong(self, what: str, index: int, wanted: str, found: np.ndarray[Any, Any]) -> InputError:
        return InputError(
            f"{self._image(index)}: its {what}: {wanted} is expected, this is {list(found.shape)} {found.dtype}"
        )

    def _image(self, index: int) -> str:
        return f"{self.where}, image '{self.of.names[index]}'"
