"""A claim with all its fields, by what tests of `--until decided` ask of it."""

from harness.report.study.claims import Claim
from harness.stats.power import Outlook


def claim(variant, against="a", outcome="undecided", chance=0.5, reason="noise", seeds=3):
    ahead = None if chance is None else Outlook(seeds=10, chance=chance, groups=None, chance_most=chance)
    return Claim(
        variant=variant,
        against=against,
        split="val",
        measure="miou_dataset",
        delta=0.01,
        low=-0.01,
        high=0.03,
        p=0.3,
        scope="new seeds and images",
        outcome=outcome,
        reason="" if outcome not in ("undecided", "not judged") else reason,
        p_adjusted=0.3,
        family=2,
        low_margin=None,
        high_margin=None,
        margin_level=0.9,
        look=1,
        looks=None,
        look_level=0.04,
        seeds=tuple(range(seeds)),
        by_seed=(0.01,) * seeds,
        groups=20,
        images=20,
        alone=(),
        folds=None,
        all_folds=None,
        power=None,
        outlook=None if outcome != "undecided" else ahead,
        chances=None,
    )
