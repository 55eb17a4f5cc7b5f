"""A split of two classes, judged: made of one mean IoU for each run."""

import numpy as np

from harness.report.study.judge import SplitComparisons
from harness.stats.effects import make_study
from harness.stats.margins import Margins


def judged_of(hits, groups=6):
    """Return a split of two classes: variant -> seed -> mean IoU in 1/1000; groups are not alike."""
    runs = tuple((variant, seed) for variant, seeds in hits.items() for seed in seeds)
    jitter_G = np.linspace(-5, 5, groups).round().astype(int)
    hit_KG = np.array([hits[variant][seed] + jitter_G * (seed + 1) for variant, seed in runs])
    hit_KGC = np.stack([hit_KG + 20, hit_KG - 20], axis=2)
    true_GC = np.full((groups, 2), 1000)
    study = make_study(Margins(runs, tuple("ghijkl"[:groups]), ("road", "sky"), groups, hit_KGC, hit_KGC, true_GC))
    return SplitComparisons("test", study, {})
