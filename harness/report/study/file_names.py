"""File names of a report: letters, digits, `-`, `_` and `.` only, so that no variant's name leads out of the folder."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from harness.report.study.record import VariantSummary

LONGEST = 60
MOST_CONFUSIONS = 9
"""Variants whose confusion matrices are drawn: nobody looks at forty."""


def make_slugs(names: Iterable[str]) -> dict[str, str]:
    """Return name -> slug; slugs differ even where letter case is not told apart."""
    slugs: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:LONGEST].strip("-.") or "variant"
        slug, number = stem, 2
        while slug.lower() in taken:
            slug, number = f"{stem}-{number}", number + 1
        taken.add(slug.lower())
        slugs[name] = slug
    return slugs


def with_confusions(variants: Sequence[VariantSummary]) -> list[VariantSummary]:
    """Return the variants whose confusion matrices are drawn: the reference, and those that differ most from it."""

    def moved(variant: VariantSummary) -> float:
        found = variant.delta.scores.get("val", {}).get("miou_dataset") if variant.delta else None
        return math.inf if found is None or found.mean is None else abs(found.mean)

    scored = [variant for variant in variants if has_scores(variant)]
    chosen = {variant.name for variant in sorted(scored, key=moved, reverse=True)[:MOST_CONFUSIONS]}
    return [variant for variant in scored if variant.name in chosen]


def table_names(variants: Sequence[VariantSummary]) -> tuple[str, ...]:
    """Return the file names of the tables."""
    epochs = [epochs_name(variant, seed.seed) for variant in variants for seed in variant.seeds if seed.epochs]
    return ("scores.csv", "iou_class.csv", "differences.csv", "changes.csv", *epochs)


def has_scores(variant: VariantSummary) -> bool:
    """Tell whether there are scores over the variant's seeds: a run has finished, and its seeds were judged alike."""
    return bool(variant.scores)


def confusion_name(variant: VariantSummary) -> str:
    """Return the file name of a variant's confusion matrices."""
    return f"confusion_{variant.slug}.png"


def epochs_name(variant: VariantSummary, seed: int) -> str:
    """Return the file name of one run's epoch table."""
    return f"epochs_{variant.slug}_seed{seed}.csv"
