"""Fractions keep every class's share of the images; folds keep recordings whole."""

import numpy as np
import pytest

from harness.data import open_source
from harness.data.subsets import _balanced_order
from harness.errors import InputError
from harness.randomness import make_rng
from harness.registry import choose


@pytest.mark.parametrize("seed", range(5))
def test_every_beginning_of_the_order_is_stratified(seed):
    rng = np.random.default_rng(seed)
    shares = np.array([1.0, 0.6, 0.3, 0.1, 0.05])
    present_NC = rng.random((200, 5)) < shares
    order = _balanced_order(present_NC, make_rng(seed))
    assert sorted(order) == list(range(200))
    for number in (20, 50, 100):
        miss_C = present_NC[order[:number]].mean(axis=0) - present_NC.mean(axis=0)
        assert (np.abs(miss_C) <= 1.5 / number).all(), "a random draw of 50 misses by several images"


def test_a_random_order_would_not_pass():
    rng = np.random.default_rng(0)
    present_NC = rng.random((200, 5)) < np.array([1.0, 0.6, 0.3, 0.1, 0.05])
    misses = [np.abs(present_NC[rng.permutation(200)[:50]].mean(axis=0) - present_NC.mean(axis=0)) for _ in range(20)]
    assert np.max(misses) > 1.5 / 50


def test_folds_hold_whole_cities(tmp_path):
    from layout_trees import make_cityscapes

    cities = {"train": {"aachen": 3, "bochum": 1, "zurich": 2}, "val": {"lindau": 2}, "test": {}}
    root = make_cityscapes(tmp_path, cities=cities)
    choice = choose("data", "cityscapes", {"root": str(root), "folds": 4})
    held_out = [set(open_source(choice, seed).splits["val"].groups) for seed in range(4)]
    assert sorted(map(sorted, held_out)) == [["aachen"], ["bochum"], ["lindau"], ["zurich"]]
    with pytest.raises(InputError, match="5 folds of 4 groups; give at most 4"):
        open_source(choose("data", "cityscapes", {"root": str(root), "folds": 5}))
