"""What an audit means for whoever trains on the data, in words, most serious first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.audit.measure import Audit, SplitAudit
from harness.audit.near_duplicates import NEAR_BITS, NearDuplicate
from harness.audit.reading import UNDECODABLE
from harness.data.faults import NEVER_SKIPPED
from harness.data.pairs import UNKNOWN
from harness.data.taxonomy import describe_unknown
from harness.report.page.text import counted

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")
FAULTY = "faulty files"
FEWEST_GROUPS = 6
"""With fewer units, resampling them says little about how far a score would vary."""
FILM_LIKENESS = 0.5
"""Neighbours that share this much of what images far apart do not share are frames of one film."""
_SHOWN = 5


@dataclass(frozen=True)
class Finding:
    """One thing that whoever uses the data must know."""

    level: Level
    """error: training refuses the data, or would learn wrongly; warning: results may mislead; note: good to know."""
    kind: str
    told: str


def make_findings(audit: Audit, on_bad_image: Literal["error", "skip"]) -> tuple[Finding, ...]:
    """Return what an audit means, errors first, then warnings, then notes.

    Errors are what `harness run` refuses or would stop at: faulty files (a warning where the study says
    `on_bad_image: skip`), ids without a class, files that cannot be decoded, and a split without a usable image. Copies
    across splits, a val split of one recording and classes that a split lacks do not stop training, but decide what its
    scores mean: warnings.
    """
    makers = (_empty, _copies, _clips, _film, _few_groups, _absent, _numbers)
    found = [*_files(audit, on_bad_image), *(finding for make in makers for finding in make(audit))]
    found += [Finding("warning", "data set", note) for note in audit.notes]
    return tuple(sorted(found, key=lambda finding: LEVELS.index(finding.level)))


def _files(audit: Audit, on_bad_image: str) -> Iterator[Finding]:
    if audit.unknown:
        pixels = {raw: found.pixels for raw, found in audit.unknown.items()}
        file = next(fault.file for fault in audit.faults if fault.kind == UNKNOWN)
        yield Finding("error", UNKNOWN, f"{describe_unknown(pixels, audit.taxonomy)}; first file: {file}")
    for kind in dict.fromkeys(fault.kind for fault in audit.faults if fault.kind != UNKNOWN):
        first, *others = (fault for fault in audit.faults if fault.kind == kind)
        also = f"; also {shorten_list([fault.name for fault in others])}" if others else ""
        told = f"{kind}: {counted(1 + len(others), 'file')}, first {first.told}{also}"
        if kind == UNDECODABLE:
            told += "; training would stop at them, whatever data.on_bad_image says: repair or remove them"
        if kind in (UNDECODABLE, *NEVER_SKIPPED):
            yield Finding("error", kind, told)
        elif on_bad_image == "skip":
            yield Finding("warning", FAULTY, f"{told}; data.on_bad_image: skip leaves them out of every run")
        else:
            yield Finding("error", FAULTY, f"{told}; repair them, or write data.on_bad_image: skip")


def _empty(audit: Audit) -> Iterator[Finding]:
    for name, split in audit.splits.items():
        if not split.names:
            yield Finding("error", "empty split", f"{name} has no image that can be used")


def _copies(audit: Audit) -> Iterator[Finding]:
    for twins in _by_splits(audit.twins):
        first, other = twins[0].splits
        number, one = counted(len(twins), "image"), len(twins) == 1
        shown = shorten_list([f"{twin.names[1]} = {twin.names[0]}" for twin in twins])
        if first == other:
            do = "repeats another one of it, and counts" if one else "repeat others of it, and count"
            yield Finding("warning", "copies within a split", f"{number} of {other} {do} twice: {shown}")
        elif twins[0].kind == "exact":
            told = (
                f"{number} of {other} {'is' if one else 'are'} also in {first}, pixel for pixel: a score on {other} "
                f"partly tells what was learnt by heart: {shown}"
            )
            yield Finding("warning", "leakage", told)
        else:
            told = (
                f"{number} of {other} nearly {'shows' if one else 'show'} what an image of {first} shows (perceptual "
                f"hashes differ in at most {NEAR_BITS} of 64 bits; look at them): {shown}"
            )
            yield Finding("warning", "near-duplicates", told)


def _by_splits(twins: Sequence[NearDuplicate]) -> list[list[NearDuplicate]]:
    """Return twins of one kind and pair of splits together: exact ones across splits, near ones, then those within."""
    together: dict[tuple[bool, str, tuple[str, str]], list[NearDuplicate]] = {}
    for twin in twins:
        together.setdefault((twin.splits[0] == twin.splits[1], twin.kind, twin.splits), []).append(twin)
    return [together[key] for key in sorted(together, key=lambda key: key[:2])]


def _units(split: SplitAudit) -> tuple[str, Mapping[str, int]]:
    """Return the widest units that images are known to come from, and what they are called; none where each is one."""
    if split.recordings:
        return "recording", split.recordings
    return "group", split.groups if len(split.groups) < split.images else {}


def _clips(audit: Audit) -> Iterator[Finding]:
    _, in_train = _units(audit.splits["train"])
    for name, split in audit.splits.items():
        word, units = _units(split)
        shared = [unit for unit in units if unit in in_train]
        if name == "train":
            continue
        if len(units) == 1:
            yield Finding("warning", "one clip", _one_clip(name, split, in_train))
        elif shared:
            told = f"{len(shared)} of the {len(units)} {word}s of {name} are also in train: {shorten_list(shared)}"
            yield Finding("warning", f"shared {word}s", told)


def _one_clip(name: str, split: SplitAudit, in_train: Mapping[str, int]) -> str:
    word, (unit,) = _units(split)
    also = in_train.get(unit, 0)
    shown = f", which {counted(also, 'training image')} {'shows' if also == 1 else 'show'} too" if also else ""
    blocks = f" ({counted(len(split.groups), 'group')})" if len(split.groups) > 1 else ""
    alike = f"; neighbouring labels agree on {100 * split.alike.neighbours:.0f} %" if split.alike else ""
    return (
        f"{name} is one clip: its {counted(split.images, 'image')}{blocks} are all of {word} {unit}{shown}{alike}; it "
        f"is one independent unit, and a score on it says little about other {word}s"
    )


def _film(audit: Audit) -> Iterator[Finding]:
    for name, split in audit.splits.items():
        if _units(split)[1] or split.alike is None:
            continue
        near, apart = split.alike.neighbours, split.alike.apart
        if near - apart >= FILM_LIKENESS * (1 - apart) > 0:
            told = (
                f"{name} looks like a film: labels of images that follow one another agree on {100 * near:.0f} %, of "
                f"images far apart on {100 * apart:.0f} %, but each image counts as independent; intervals will be too "
                f"narrow"
            )
            yield Finding("warning", "film", told)


def _few_groups(audit: Audit) -> Iterator[Finding]:
    groups = len(audit.splits["val"].groups)
    if 0 < groups < FEWEST_GROUPS and len(_units(audit.splits["val"])[1]) != 1:
        told = f"val has {counted(groups, 'group')} to resample: intervals from so few units are not to be trusted"
        yield Finding("warning", "few groups", told)


def _absent(audit: Audit) -> Iterator[Finding]:
    images = {name: split.class_images for name, split in audit.splits.items() if split.names}
    names = audit.taxonomy.classes
    # Three questions about a class, from the worst: does it occur at all, can it be learnt, can it be judged?
    nowhere = [name for k, name in enumerate(names) if not any(counts[k] for counts in images.values())]
    if nowhere:
        told = f"on no pixel of any split: {', '.join(nowhere)}; is the class list the right one?"
        yield Finding("warning", "classes nowhere", told)
    for split, counts in images.items():
        if split == "train" or "train" not in images:
            continue
        unlearnt = [name for k, name in enumerate(names) if counts[k] and not images["train"][k]]
        if unlearnt:
            told = f"{split} shows classes that train never shows, and that will score 0: {', '.join(unlearnt)}"
            yield Finding("warning", "classes not in train", told)
        unjudged = [name for k, name in enumerate(names) if images["train"][k] and not counts[k]]
        if unjudged:
            told = f"{split} does not show, and cannot judge: {', '.join(unjudged)}"
            yield Finding("warning", f"classes not in {split}", told)


def _numbers(audit: Audit) -> Iterator[Finding]:
    pixels = dict(zip(audit.taxonomy.classes, audit.splits["train"].class_pixels, strict=True))
    occurring = Counter({name: number for name, number in pixels.items() if number}).most_common()
    if len(occurring) > 1:
        (most, many), (rarest, few) = occurring[0], occurring[-1]
        ratio = f"{many / few:,.0f}" if many / few >= 10 else f"{many / few:.1f}"
        told = f"train has {ratio} times as many pixels of {most} as of {rarest}, its rarest class"
        yield Finding("note", "imbalance", told)
    sizes = sum((Counter(split.sizes) for split in audit.splits.values()), Counter[str]())
    if len(sizes) > 1:
        shown = shorten_list([f"{size} ({images})" for size, images in sizes.most_common()])
        yield Finding("note", "sizes", f"pictures have {len(sizes)} sizes (height x width, images): {shown}")


def shorten_list(items: Sequence[str]) -> str:
    """Return the first items joined by commas, and how many more there are."""
    more = len(items) - _SHOWN
    return ", ".join(items[:_SHOWN]) + (f", and {more} more" if more > 0 else "")
