"""The audit of a data set: what its files hold, measured in one pass; what is wrong with it comes as data.

Letters: N image of a split, C class, H, W.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.audit.near_duplicates import NearDuplicate, find_near_duplicates
from harness.audit.reading import ImageMeasures, read_split
from harness.data.faults import NEVER_SKIPPED
from harness.data.source import IGNORE, Fault, Source, Split
from harness.data.taxonomy import Taxonomy

Listener = Callable[[int, int], object]


@dataclass(frozen=True)
class LabelAgreement:
    """How far labels agree: the mean share of points that have the same class in two images (fraction)."""

    neighbours: float
    """Of images that follow one another, within a recording or group where these are known."""
    apart: float
    """Of images that are half the split apart."""


@dataclass(frozen=True)
class SplitAudit:
    """What one split holds. Images with faults, other than ids without a class, are not measured."""

    images: int
    """Pairs of an image and a label."""
    names: tuple[str, ...]
    """Names of the measured images."""
    places: tuple[int, ...]
    """Their places in the split."""
    pixels_NC: npt.NDArray[np.int64]
    """Pixels of each class in each measured image."""
    ignored: int
    """Pixels that the taxonomy ignores."""
    sizes: Mapping[str, int]
    """`height x width` of the pictures -> images."""
    groups: Mapping[str, int]
    """Unit that may be resampled -> images."""
    recordings: Mapping[str, int]
    """Recording -> images; empty where nobody knows."""
    alike: LabelAgreement | None
    """None where there are fewer than two measured images, or nothing to compare."""

    @property
    def class_pixels(self) -> list[int]:
        """Return the pixels of each class."""
        return [int(pixels) for pixels in self.pixels_NC.sum(axis=0)]

    @property
    def class_images(self) -> list[int]:
        """Return for each class how many images show it."""
        return [int(images) for images in (self.pixels_NC > 0).sum(axis=0)]

    @property
    def imbalance(self) -> float | None:
        """Return pixels of the most frequent class / pixels of the rarest one that occurs; None without pixels."""
        occurring = [pixels for pixels in self.class_pixels if pixels]
        return max(occurring) / min(occurring) if occurring else None


@dataclass(frozen=True)
class UnknownId:
    """A raw id in the labels that no class has."""

    pixels: int
    images: int
    first_file: str


@dataclass(frozen=True)
class Audit:
    """What the audit of a data set has found."""

    root: str
    taxonomy: Taxonomy
    splits: Mapping[str, SplitAudit]
    faults: tuple[Fault, ...]
    """What is wrong with single files, those included that only decoding every picture shows."""
    unknown: Mapping[int, UnknownId]
    """Raw id without a class -> where it is."""
    twins: tuple[NearDuplicate, ...]
    """Images that show the same."""
    mean_rgb: tuple[float, ...]
    """Mean of each channel over the training pixels, values from 0 to 1; empty without training images."""
    std_rgb: tuple[float, ...]
    notes: tuple[str, ...] = ()
    """What the data set itself tells its readers."""

    def to_dict(self) -> dict[str, Any]:
        """Return the audit as plain dicts, lists and scalars."""
        return {
            "root": self.root,
            "taxonomy": self.taxonomy.name,
            "classes": [
                {"name": name, "ids": list(self.taxonomy.raw_ids(index)), "colour": list(self.taxonomy.colours[index])}
                for index, name in enumerate(self.taxonomy.classes)
            ],
            "ignored_ids": list(self.taxonomy.raw_ids(IGNORE)),
            "splits": {name: _split_as_dict(split) for name, split in self.splits.items()},
            "faults": [asdict(fault) for fault in self.faults],
            "unknown_ids": {str(raw): asdict(found) for raw, found in self.unknown.items()},
            "twins": [asdict(twin) for twin in self.twins],
            "train_mean_rgb": list(self.mean_rgb),
            "train_std_rgb": list(self.std_rgb),
            "notes": list(self.notes),
        }


def _split_as_dict(split: SplitAudit) -> dict[str, Any]:
    return {
        "images": split.images,
        "measured": len(split.names),
        "class_pixels": split.class_pixels,
        "class_images": split.class_images,
        "ignored_pixels": split.ignored,
        "imbalance": split.imbalance,
        "sizes": dict(split.sizes),
        "groups": len(split.groups),
        "recordings": dict(split.recordings),
        "alike": None if split.alike is None else asdict(split.alike),
    }


@dataclass(frozen=True)
class Proposal:
    """Class weights that a rule makes of the training pixels."""

    rule: str
    weights: tuple[float, ...]
    """Weight of each class."""
    loss_shares: tuple[float, ...]
    """Weight x pixels of each class, as a fraction of the sum: its share of a loss that is alike at every pixel."""


def audit_source(source: Source, listen: Listener = lambda done, total: None) -> Audit:
    """Read every image and label of a data set once and return what they hold; faults do not stop it.

    `source` is the data set as it is (`open_whole`). `listen` is told after each image how many are read, and of how
    many.
    """

    def after(past: int) -> Callable[[int], object]:
        return lambda done: listen(past + done, total)

    faults = [*source.listed, *source.check()]
    total = sum(len(split.names) for split in source.splits.values())
    splits: dict[str, SplitAudit] = {}
    seen_of: dict[str, list[ImageMeasures]] = {}
    for name, split in source.splits.items():
        # Images known to be bad are not read again; what reading finds is added, split by split, so that progress can
        # be told over all.
        bad = {fault.name for fault in faults if fault.split == name and fault.kind not in NEVER_SKIPPED}
        past = sum(len(items) for items in seen_of.values())
        seen_of[name], found = read_split(source, name, bad, after(past))
        faults += found
        splits[name] = _summarise(split, seen_of[name], len(source.taxonomy.classes))
    hashes = {name: [item.hash for item in seen] for name, seen in seen_of.items()}
    mean_rgb, std_rgb = _colour_statistics(seen_of["train"])
    return Audit(
        root=source.root,
        taxonomy=source.taxonomy,
        splits=splits,
        faults=tuple(faults),
        unknown=_unknown(faults),
        twins=find_near_duplicates(hashes, {name: split.names for name, split in splits.items()}),
        mean_rgb=mean_rgb,
        std_rgb=std_rgb,
        notes=source.notes,
    )


def _summarise(split: Split, seen: Sequence[ImageMeasures], num_classes: int) -> SplitAudit:
    return SplitAudit(
        images=len(split.names),
        names=tuple(split.names[item.index] for item in seen),
        places=tuple(item.index for item in seen),
        pixels_NC=np.array([item.pixels_C for item in seen], np.int64).reshape(-1, num_classes),
        ignored=sum(item.ignored for item in seen),
        sizes=dict(Counter(f"{item.size[0]}x{item.size[1]}" for item in seen).most_common()),
        groups=dict(Counter(split.groups)),
        recordings=dict(Counter(split.recordings)),
        alike=_compare_labels(split, seen),
    )


def _compare_labels(split: Split, seen: Sequence[ImageMeasures]) -> LabelAgreement | None:
    """Return how far labels agree. Where each image is its own group, any two that follow one another are neighbours.

    A pair of labels is compared at the points of a grid that both count.
    """
    units = split.recordings or split.groups
    if len(set(units)) == len(units):
        units = ("",) * len(units)
    neighbours = [
        (first, second)
        for first, second in pairwise(seen)
        if second.index == first.index + 1 and units[first.index] == units[second.index]
    ]
    # What images far apart agree on is the likeness of all scenes: only what neighbours share beyond it tells a film.
    half = len(seen) // 2
    apart = [(seen[place], seen[place + half]) for place in range(len(seen) - half)] if half else []
    means = [_mean_agreement(pairs) for pairs in (neighbours, apart)]
    return None if means[0] is None or means[1] is None else LabelAgreement(means[0], means[1])


def _mean_agreement(pairs: Sequence[tuple[ImageMeasures, ImageMeasures]]) -> float | None:
    shares = []
    for first, second in pairs:
        counted = (first.label_grid != IGNORE) & (second.label_grid != IGNORE)
        if counted.any():
            shares.append(float((first.label_grid == second.label_grid)[counted].mean()))
    return sum(shares) / len(shares) if shares else None


def _colour_statistics(seen: Sequence[ImageMeasures]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each channel over all pixels."""
    pixels = sum(item.size[0] * item.size[1] for item in seen)
    if not pixels:
        return (), ()
    mean = np.sum([item.rgb_sum for item in seen], axis=0) / pixels
    variance = np.sum([item.rgb_squares for item in seen], axis=0) / pixels - mean**2
    return tuple(mean.tolist()), tuple(np.sqrt(np.maximum(variance, 0)).tolist())


def _unknown(faults: Sequence[Fault]) -> dict[int, UnknownId]:
    found: dict[int, UnknownId] = {}
    for fault in faults:
        for raw, pixels in fault.unknown.items():
            known = found.get(raw, UnknownId(0, 0, fault.file))
            found[raw] = UnknownId(known.pixels + pixels, known.images + 1, known.first_file)
    return dict(sorted(found.items()))


def choose_examples(audit: Audit) -> tuple[tuple[str, int], ...]:
    """Return (split, place in it) of images that together show every class that occurs and every split.

    Each class, rare ones first, brings the image with most of its pixels, unless a chosen image shows half as many
    already; then each split not yet seen brings the image with most classes.
    """
    rows = [(name, row) for name, split in audit.splits.items() for row in range(len(split.names))]
    pixels_NC = np.concatenate([split.pixels_NC for split in audit.splits.values()])
    if not rows:
        return ()
    chosen: list[int] = []
    # Rare classes first: an image chosen for a rare class often shows the frequent ones as well, and few images are
    # wanted.
    for index in np.argsort(pixels_NC.sum(axis=0), kind="stable").tolist():
        best = int(pixels_NC[:, index].argmax())
        shown = max((pixels_NC[row, index] for row in chosen), default=0)
        if shown * 2 < pixels_NC[best, index]:
            chosen.append(best)
    for name in audit.splits.keys() - {rows[k][0] for k in chosen}:
        members = [k for k in range(len(rows)) if rows[k][0] == name]
        chosen += [max(members, key=lambda k: (pixels_NC[k] > 0).sum())] if members else []
    return tuple((rows[k][0], audit.splits[rows[k][0]].places[rows[k][1]]) for k in sorted(chosen))
