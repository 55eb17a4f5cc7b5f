"""Regions of an image: bands and thirds worked by hand, a slow definition as oracle, and sums that come out."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.train import regions
from harness.train.regions import REGIONS, band_reach, border_band, count_confusion, count_regions, third_rows

IGNORE = 255
torch.set_num_threads(1)


def drawn(text: str) -> np.ndarray:
    """Return a label drawn with digits; `x` is an ignored pixel."""
    return np.array([[IGNORE if mark == "x" else int(mark) for mark in row] for row in text.split()], np.uint8)


def shown(band: np.ndarray) -> list[str]:
    return ["".join("#" if inside else "." for inside in row) for row in band]


@pytest.mark.parametrize(
    ("label", "band"),
    [
        ("000000 000000", "...... ......"),
        ("000111 000111", "..##.. ..##.."),
        ("00000 00000 00100 00000 00000", "..... .###. .###. .###. ....."),
        ("0000 0000 0001", ".... ..## ..##"),
        # an ignored seam one pixel wide is reached across by no neighbour one pixel away
        ("00x11 00x11", "..... ....."),
        ("00xxx 00xxx", "..... ....."),
        # around the seam it is
        ("0x1 000", "..# .##"),
    ],
)
def test_band_of_one_pixel_by_hand(label, band):
    assert shown(border_band(drawn(label))) == band.split()


def test_wider_band_by_hand(monkeypatch):
    monkeypatch.setattr(regions, "band_reach", lambda height, width: 2)
    assert shown(border_band(drawn("000000 000000 000001"))) == ["...###", "...###", "...###"]
    assert shown(border_band(drawn("00x1100 00x1100"))) == [".#.####", ".#.####"]


def test_reach_is_half_a_percent_of_the_diagonal_and_at_least_one_pixel():
    assert [band_reach(*size) for size in ((1024, 2048), (540, 960), (96, 96), (4, 4))] == [11, 6, 1, 1]


labels = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
    lambda shape: arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2, IGNORE]))
)


@settings(max_examples=60, deadline=None)
@given(labels, st.integers(1, 4))
def test_band_is_what_its_definition_says(label, reach):
    """Pixel by pixel: a counted pixel of another class at most `reach` rows and columns away."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regions, "band_reach", lambda height, width: reach)
        band = border_band(label)
    for (y, x), own in np.ndenumerate(label):
        near = label[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
        assert band[y, x] == (own != IGNORE and bool(((near != own) & (near != IGNORE)).any()))


@pytest.mark.parametrize(
    ("height", "sizes"),
    [(9, (3, 3, 3)), (4, (1, 2, 1)), (5, (2, 1, 2)), (7, (2, 3, 2)), (2, (1, 0, 1)), (1, (0, 1, 0))],
)
def test_thirds_of_heights_that_three_does_not_divide(height, sizes):
    rows = np.arange(height)
    parts = [rows[part] for part in third_rows(height)]
    assert tuple(map(len, parts)) == sizes
    assert np.concatenate(parts).tolist() == rows.tolist()


def test_every_height_is_cut_into_thirds_that_differ_by_one_row():
    for height in range(1, 200):
        top, middle, bottom = (part.stop - part.start for part in third_rows(height))
        assert top == bottom
        assert abs(top - middle) <= 1
        assert top + middle + bottom == height


@settings(max_examples=60, deadline=None)
@given(labels, st.integers(0, 2**32 - 1))
def test_regions_add_up_to_the_whole(label, seed):
    predicted = np.random.default_rng(seed).integers(0, 3, label.shape).astype(np.uint8)
    found, whole = count_regions(predicted, label, 3), count_confusion(predicted, label, 3)
    assert tuple(found) == REGIONS
    assert (found["border"] + found["interior"] == whole).all()
    assert (found["top"] + found["middle"] + found["bottom"] == whole).all()
    inside = border_band(label)
    assert (found["interior"] == count_confusion(predicted, np.where(inside, np.uint8(IGNORE), label), 3)).all()
    assert whole.sum() == (label != IGNORE).sum()


def test_mistakes_are_counted_where_they_are():
    label = drawn("000 000 000 111 111 111")
    predicted = drawn("200 000 000 011 111 112")
    found = count_regions(predicted, label, 3)
    assert found["top"].tolist() == [[5, 0, 1], [0, 0, 0], [0, 0, 0]]
    assert found["middle"].tolist() == [[3, 0, 0], [1, 2, 0], [0, 0, 0]]
    assert found["bottom"].tolist() == [[0, 0, 0], [0, 5, 1], [0, 0, 0]]
    assert found["border"].tolist() == [[3, 0, 0], [1, 2, 0], [0, 0, 0]]
    assert found["interior"].sum() == 12
