"""A claim with all its fields, for tests that change one."""

from harness.report.study.claims import Claim
from harness.stats.power import Outlook

CLAIM = Claim(
    variant="b",
    against="a",
    split="val",
    measure="miou_dataset",
    delta=0.0181,
    low=0.0042,
    high=0.032,
    p=0.004,
    scope="new seeds and images",
    outcome="improved",
    reason="",
    p_adjusted=0.0121,
    family=3,
    low_margin=0.008,
    high_margin=0.028,
    margin_level=0.9,
    look=1,
    looks=None,
    look_level=0.04,
    seeds=(0, 1, 2),
    by_seed=(0.01, 0.02, 0.0243),
    groups=48,
    images=48,
    alone=(),
    folds=None,
    all_folds=None,
    power=None,
    outlook=None,
    chances=None,
)


def outlook(seeds, chance, groups, chance_most):
    return Outlook(seeds=seeds, chance=chance, groups=groups, chance_most=chance_most)
