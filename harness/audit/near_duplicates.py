"""Which images show the same: exact copies, and near copies by a perceptual hash.

Letters: N, M images; F frequency.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from harness.data.source import Image

NEAR_BITS = 8
"""Bits of 64 in which the hashes of near copies differ at most.

On CamVid's 468 pictures (240x180): a picture and its copy as JPEG of quality 50, halved or doubled differ in 4 bits at
most; 10 % brighter or with 1 % cut off in 8 at most; 20 % brighter or with 2 % cut off in 8 at most but for one picture
each. Pictures of different drives differ in 14 bits or more; going by how fast their number falls, 1.5 million such
pairs (Cityscapes' train and val) hold less than one within 8 bits. Neighbours of a film may lie within 8: they count
as near copies, and in a division into train and val they should.
"""
_SIDE = 32
_BLOCK = 512
_FREQUENCIES_F = np.arange(1, 9)
_COSINES = np.cos(np.pi / _SIDE * np.outer(_FREQUENCIES_F, np.arange(_SIDE) + 0.5))
"""Rows of the discrete cosine transform (type II), [F, side]. Frequency 0, the brightness, is left out."""
_FLAT = 1.0
"""A picture whose grey values (0 to 255) deviate less than this has no structure to hash."""


@dataclass(frozen=True)
class ImageHash:
    """What an image looks like, in few bytes."""

    sha256: str
    """Of the decoded pixels and the size: copies are found whatever the file format."""
    phash: int | None
    """64 bits; None for a picture without structure, which resembles every other one."""


@dataclass(frozen=True)
class NearDuplicate:
    """Two images that show the same, in one split or in two."""

    kind: Literal["exact", "near"]
    splits: tuple[str, str]
    names: tuple[str, str]
    bits: int
    """In how many of 64 bits their perceptual hashes differ."""


def hash_image(image_HW3: Image) -> ImageHash:
    """Return what an image looks like; the perceptual hash is pHash (Zauner 2010): which DCT terms exceed their median.

    The picture is made 32x32 and grey; of its 8x8 lowest frequencies but the constant ones, each bit says whether the
    term exceeds their median.
    """
    import PIL.Image

    sha = hashlib.sha256(str(image_HW3.shape).encode() + np.ascontiguousarray(image_HW3).tobytes())
    small = PIL.Image.fromarray(image_HW3).convert("L").resize((_SIDE, _SIDE), PIL.Image.Resampling.BILINEAR)
    grey = np.array(small, np.float64)
    if grey.std() < _FLAT:
        return ImageHash(sha.hexdigest(), None)
    terms_FF = _COSINES @ grey @ _COSINES.T
    bits = (terms_FF > np.median(terms_FF)).ravel()
    return ImageHash(sha.hexdigest(), int.from_bytes(np.packbits(bits).tobytes(), "big"))


def find_copies(hashes: Sequence[ImageHash]) -> Iterator[tuple[int, int]]:
    """Yield (first, other) for each image whose pixels are those of an earlier one."""
    first_of: dict[str, int] = {}
    for index, image_hash in enumerate(hashes):
        first = first_of.setdefault(image_hash.sha256, index)
        if first != index:
            yield first, index


def find_near(first_N: Sequence[ImageHash], second_M: Sequence[ImageHash]) -> Iterator[tuple[int, int, int]]:
    """Yield (n, m, bits) for each m of the second images and the n of the first that it resembles most, if any does."""
    known_N, hashes_N = _hashes(first_N)
    known_M, hashes_M = _hashes(second_M)
    if not known_N:
        return
    # In blocks: all pairs of two large splits at once would not fit into memory.
    for start in range(0, len(known_M), _BLOCK):
        bits_MN = np.bitwise_count(hashes_M[start : start + _BLOCK, None] ^ hashes_N[None])
        for row, column in enumerate(bits_MN.argmin(axis=1).tolist()):
            if (bits := int(bits_MN[row, column])) <= NEAR_BITS:
                yield known_N[column], known_M[start + row], bits


def _hashes(hashes: Sequence[ImageHash]) -> tuple[list[int], npt.NDArray[np.uint64]]:
    known = [(index, image_hash.phash) for index, image_hash in enumerate(hashes) if image_hash.phash is not None]
    return [index for index, _ in known], np.array([phash for _, phash in known], np.uint64)


def find_near_duplicates(
    hashes: Mapping[str, Sequence[ImageHash]], names: Mapping[str, Sequence[str]]
) -> tuple[NearDuplicate, ...]:
    """Return the images of later splits that show what an image of an earlier one shows, and copies within a split.

    Each image stands for one twin at most: its exact copy if it has one, else the nearest image.
    """
    order = list(hashes)
    found: list[NearDuplicate] = []
    for place, split in enumerate(order):
        for first, other in find_copies(hashes[split]):
            found.append(NearDuplicate("exact", (split, split), (names[split][first], names[split][other]), 0))
        for earlier in order[:place]:
            found += _across(earlier, split, hashes, names)
    return tuple(found)


def _across(
    earlier: str, split: str, hashes: Mapping[str, Sequence[ImageHash]], names: Mapping[str, Sequence[str]]
) -> Iterator[NearDuplicate]:
    # Side by side, an image of the later split whose first occurrence lies in the earlier one is a copy across both.
    number = len(hashes[earlier])
    copies = find_copies([*hashes[earlier], *hashes[split]])
    copied = {other - number: first for first, other in copies if first < number <= other}
    for other, first in copied.items():
        yield NearDuplicate("exact", (earlier, split), (names[earlier][first], names[split][other]), 0)
    for first, other, bits in find_near(hashes[earlier], hashes[split]):
        if other not in copied:
            yield NearDuplicate("near", (earlier, split), (names[earlier][first], names[split][other]), bits)
