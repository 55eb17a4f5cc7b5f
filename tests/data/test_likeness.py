import io
import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layout_trees import picture

from harness.audit.near_duplicates import (
    NEAR_BITS,
    ImageHash,
    NearDuplicate,
    find_near,
    find_near_duplicates,
    hash_image,
)

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
needs_data = pytest.mark.skipif(not SHARED.exists(), reason="real data not at ../shared/data")
HASHES = st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=30)


def bits(first: np.ndarray, second: np.ndarray) -> int:
    hashes = hash_image(first).phash, hash_image(second).phash
    assert hashes[0] is not None
    assert hashes[1] is not None
    return (hashes[0] ^ hashes[1]).bit_count()


def as_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.array(PIL.Image.open(file))


def resized(pixels: np.ndarray, factor: float) -> np.ndarray:
    size = round(pixels.shape[1] * factor), round(pixels.shape[0] * factor)
    return np.array(PIL.Image.fromarray(pixels).resize(size))


def brightened(pixels: np.ndarray, factor: float) -> np.ndarray:
    return np.minimum(pixels * factor, 255).astype(np.uint8)


def cut(pixels: np.ndarray, share: float) -> np.ndarray:
    rows, columns = (round(share * length / 2) for length in pixels.shape[:2])
    return pixels[rows : pixels.shape[0] - rows, columns : pixels.shape[1] - columns]


def test_the_hash_agrees_with_scipys_transform() -> None:
    from scipy.fft import dctn

    pixels = picture(1, (32, 32))
    grey = np.array(PIL.Image.fromarray(pixels).convert("L"), np.float64)
    terms = dctn(grey)[1:9, 1:9]
    expected = "".join("1" if term > np.median(terms) else "0" for term in terms.ravel())
    assert hash_image(pixels).phash == int(expected, 2)


def test_exact_copies_share_a_digest_and_size_counts() -> None:
    pixels = picture(1)
    assert hash_image(pixels).sha256 == hash_image(pixels.copy()).sha256
    assert hash_image(pixels).sha256 != hash_image(np.ascontiguousarray(pixels.reshape(64, 32, 3))).sha256
    other = pixels.copy()
    other[0, 0, 0] ^= 1
    assert hash_image(pixels).sha256 != hash_image(other).sha256


def test_pictures_without_structure_resemble_none() -> None:
    grey, black = np.full((40, 40, 3), 127, np.uint8), np.zeros((40, 40, 3), np.uint8)
    assert hash_image(grey).phash is None
    looks = {"train": [hash_image(grey), hash_image(black)], "val": [hash_image(black[:20])]}
    assert find_near_duplicates(looks, {"train": ["a", "b"], "val": ["c"]}) == ()


@settings(deadline=None, max_examples=60)
@given(HASHES, HASHES)
def test_nearest_pairs_agree_with_a_plain_search(first: list[int], second: list[int]) -> None:
    near = [hash_ ^ 0b1011 for hash_ in first[:5]]  # so that some are found
    looks = [[ImageHash(str(k), hash_) for k, hash_ in enumerate(hashes)] for hashes in (first, second + near)]
    expected = {}
    for m, hash_ in enumerate(second + near):
        distances = [(hash_ ^ other).bit_count() for other in first]
        if min(distances) <= NEAR_BITS:
            expected[m] = (distances.index(min(distances)), min(distances))
    assert {m: (n, distance) for n, m, distance in find_near(*looks)} == expected
    assert len(expected) >= len(near)


def test_large_splits_are_searched_in_blocks() -> None:
    rng = np.random.default_rng(0)
    hashes = [int(value) for value in rng.integers(0, 2**63, 1300)]
    looks = [ImageHash(str(k), hash_) for k, hash_ in enumerate(hashes)]
    assert list(find_near(looks, looks)) == [(k, k, 0) for k in range(1300)]


def test_each_image_stands_for_one_twin_and_an_exact_one_first() -> None:
    a, b, c = (hash_image(picture(k)) for k in range(3))
    near_a = hash_image(as_jpeg(picture(0), 60))
    looks = {"train": [near_a, a, b], "val": [a, near_a, c], "test": [c]}
    names = {"train": ["t0", "t1", "t2"], "val": ["v0", "v1", "v2"], "test": ["x0"]}
    assert find_near_duplicates(looks, names) == (
        NearDuplicate("exact", ("train", "val"), ("t1", "v0"), 0),
        NearDuplicate("exact", ("train", "val"), ("t0", "v1"), 0),
        NearDuplicate("exact", ("val", "test"), ("v2", "x0"), 0),
    )


@needs_data
def test_the_threshold_divides_copies_from_other_pictures() -> None:
    folder = SHARED / "camvid-240x180"
    drives: dict[str, list[np.ndarray]] = {}
    for entry in json.loads((folder / "manifest.json").read_text())["splits"]["train"][::12]:
        pixels = np.array(PIL.Image.open(folder / "train" / f"{entry['id']}.png").convert("RGB"))
        drives.setdefault(entry["sequence"], []).append(pixels)
    for pixels in (pixels for pictures in drives.values() for pixels in pictures):
        copies = (
            as_jpeg(pixels, 50),
            resized(pixels, 0.5),
            resized(pixels, 2),
            brightened(pixels, 1.1),
            cut(pixels, 0.01),
        )
        assert max(bits(pixels, copy) for copy in copies) <= NEAR_BITS
    first, second, third = drives.values()
    others = [(a, b) for one, two in ((first, second), (first, third), (second, third)) for a in one for b in two]
    assert min(bits(a, b) for a, b in others) > NEAR_BITS
