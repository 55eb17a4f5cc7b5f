"""Arrays for a cache, of different shapes and types, and whether they came back."""

import numpy as np

NUMBER = 40


def read(index: int) -> dict[str, np.ndarray]:
    """Arrays of different shapes and types."""
    picture = np.random.default_rng(index).integers(0, 256, (3 + index % 4, 5, 3), np.uint8)
    return {"picture": picture, "far": np.full((2, index % 3), index, np.float32)}


def assert_right(rows) -> None:
    for index in (*range(NUMBER), 0):
        for kind, expected in read(index).items():
            got = rows(index)[kind]
            assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
            np.testing.assert_array_equal(got, expected)
