"""Small studies for the tests of the statistics."""

import numpy as np
import pytest

from harness.stats.margins import Margins


@pytest.fixture(scope="session")
def make_margins():
    """Return a function that draws the margins of a study of variants v0, v1, ... on groups that are not alike."""

    def draw(seed: int, *, variants: int = 3, seeds: int = 3, groups: int = 12, classes: int = 4, gain: float = 0.0):
        generator = np.random.default_rng(seed)
        true_GC = generator.integers(1, 1000, (groups, classes)) * (generator.random((groups, classes)) < 0.7)
        rate = generator.uniform(0.5, 0.9, (1, 1, groups, classes)) + generator.normal(
            0, 0.02, (variants, seeds, groups, classes)
        )
        rate += generator.normal(0, 0.02, (variants, seeds, 1, classes))
        rate[1:] += gain
        hit = np.rint(true_GC * rate.clip(0, 1)).astype(np.int64).reshape(-1, groups, classes)
        return Margins(
            runs=tuple((f"v{variant}", seed) for variant in range(variants) for seed in range(seeds)),
            groups=tuple(f"g{group}" for group in range(groups)),
            classes=tuple(f"c{index}" for index in range(classes)),
            images=groups,
            hit_KGC=hit,
            predicted_KGC=hit + np.roll(true_GC - hit, 1, axis=2),
            true_GC=true_GC,
        )

    return draw
