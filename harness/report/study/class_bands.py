"""Dominant and rare classes: which they are, and what each variant did to them, taken together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from harness.report.study.claims import DOMINANT, RARE, Band, BandComparison, ClassBand
from harness.report.study.judge import Pair, SplitComparisons, make_claim, share_a_seed
from harness.report.study.over_looks import judge_over_looks, look_at
from harness.report.study.variants import VariantRuns, counts_by_split
from harness.stats.effects import Effect, Study, compare, over_classes
from harness.stats.looks import LookSchedule
from harness.stats.margins import HEADLINE
from harness.stats.verdicts import CLASS_SEEDS

COMPARED: tuple[Band, ...] = ("dominant", "rare")
"""Bands that a change is asked about: what it did to most of the pixels, and what to the classes that have few."""


def make_bands(groups: Sequence[VariantRuns], reference: str) -> tuple[ClassBand, ...]:
    """Group classes by their share of val's labelled pixels, as the reference's first finished run counted them."""
    counts = counts_by_split(sorted(groups, key=lambda group: group.name != reference)).get("val")
    if counts is None:
        return ()
    pixels_C = counts.confusion_CC().sum(axis=1)
    shares = zip(counts.classes, (pixels_C / max(int(pixels_C.sum()), 1)).tolist(), strict=True)
    return tuple(
        ClassBand(name=name, share=share, band=find_band(share))
        for name, share in sorted(shares, key=lambda item: -item[1])
    )


def find_band(share: float) -> Band:
    """Return how frequent a class of a share of the labelled pixels is."""
    if share >= DOMINANT:
        return "dominant"
    if share >= RARE:
        return "common"
    return "rare" if share > 0 else "absent"


def compare_bands(
    judged: Sequence[SplitComparisons], bands: Sequence[ClassBand], reference: str, looks: LookSchedule
) -> tuple[BandComparison, ...]:
    """Return what each variant did to the dominant and to the rare classes, against the reference.

    On each of these splits all variants and bands are one family, judged from as many seeds as classes are.
    """
    found: list[BandComparison] = []
    for item in judged:
        # Only classes that occur in this split, and only bands that have any.
        occur = {item.study.classes[c] for c in item.study.occurring_C.tolist()}
        names_of = {band: tuple(c.name for c in bands if c.band == band and c.name in occur) for band in COMPARED}
        present = {band: names for band, names in names_of.items() if names}
        pairs = [pair for pair in item.effects if pair[1] == reference]
        compare_then = partial(_compare, pairs=pairs, bands=present)
        effects = compare_then([item.study])
        verdicts = judge_over_looks([item.study], effects, compare_then, looks, (0.0, CLASS_SEEDS))
        for pair in pairs:
            for band, names in present.items():
                effect, verdict = effects[pair, band], verdicts[pair, band]
                claim = make_claim(item.split, pair, effect, verdict, (look_at(effect, looks), 0.0))
                # The effect is that of miou_dataset over the band's classes; what would decide it is told of headlines.
                claim = claim.model_copy(update={"measure": band, "outlook": None})
                found.append(BandComparison(band=band, classes=names, claim=claim))
    return tuple(found)


def _compare(
    studies: Sequence[Study], pairs: Sequence[Pair], bands: Mapping[Band, Sequence[str]]
) -> dict[tuple[Pair, Band], Effect]:
    (study,) = studies
    there = [pair for pair in pairs if share_a_seed(study, pair)]
    found: dict[tuple[Pair, Band], Effect] = {}
    for band, names in bands.items() if there else ():
        averaged = over_classes(study, names)
        found |= {(pair, band): compare(averaged, *pair, only=[HEADLINE])[HEADLINE] for pair in there}
    return found
