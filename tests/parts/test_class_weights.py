"""Rules for class weights, by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError
from harness.parts.class_weights import effective_number, inverse_frequency, median_frequency, weigh_classes

TWO_IMAGES = np.array([[60, 40, 0, 0], [50, 0, 50, 0]])
"""Class 0: 110 of 200 pixels, in both images; 1: 40, in the first; 2: 50, in the second; 3: none. 100 pixels each."""


def test_inverse_frequency_by_hand():
    assert inverse_frequency(TWO_IMAGES.sum(0)).tolist() == [200 / 110, 200 / 40, 200 / 50, 0]


def test_median_frequency_by_hand():
    """Frequencies where the class occurs: 110/200, 40/100, 50/100; the median is 0.5."""
    assert median_frequency(TWO_IMAGES) == pytest.approx([0.5 / 0.55, 0.5 / 0.4, 1, 0])


def test_median_frequency_does_not_punish_few_images():
    """A class that fills half of one image in a hundred weighs as one that fills half of every image."""
    pixels = np.array([[50, 50, 0]] * 99 + [[50, 0, 50]])
    weights = median_frequency(pixels)
    assert weights[1] == weights[2]
    assert inverse_frequency(pixels.sum(0))[2] == 99 * inverse_frequency(pixels.sum(0))[1]


def test_effective_number_by_hand():
    """beta 1/2: n = 1 has effective number 1, n = 2 has 3/2, n = 3 has 7/4."""
    assert effective_number(np.array([1, 2, 3, 0]), 0.5) == pytest.approx([1, 2 / 3, 4 / 7, 0])


def test_effective_number_between_its_limits():
    pixels = np.array([10, 1000, 100_000])
    assert effective_number(pixels, 0.0).tolist() == [1, 1, 1]
    near = effective_number(pixels, 1 - 1e-12)
    assert near * pixels == pytest.approx([1, 1, 1], rel=1e-4)


@pytest.mark.parametrize("rule", ["inverse_frequency", "median_frequency", "effective_number"])
@given(data=st.data())
def test_rules_have_mean_one_over_present_classes_and_zero_elsewhere(rule, data):
    rows = data.draw(st.lists(st.lists(st.integers(0, 10**9), min_size=4, max_size=4), min_size=1, max_size=4))
    pixels = np.array(rows)
    weights = weigh_classes(rule, pixels, 0.9999)
    present = pixels.sum(0) > 0
    assert (weights[~present] == 0).all()
    assert (weights[present] > 0).all()
    if present.any():
        assert weights[present].mean() == pytest.approx(1)


@pytest.mark.parametrize("rule", ["inverse_frequency", "median_frequency", "effective_number"])
def test_rarer_classes_weigh_more(rule):
    weights = weigh_classes(rule, np.array([[900, 90, 10]]), 0.999)
    assert weights[0] < weights[1] < weights[2]


def test_none_and_lists_are_taken_as_they_are():
    assert weigh_classes("none", TWO_IMAGES, 0.9) is None
    assert weigh_classes([1, 0, 2.5, 0.1], TWO_IMAGES, 0.9).tolist() == [1, 0, 2.5, 0.1]
    with pytest.raises(InputError, match="5 weights were given, the data has 4 classes"):
        weigh_classes([1.0] * 5, TWO_IMAGES, 0.9)
