"""Data sets made of files: pairs of a picture and a label file, and the check of all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.data.digests import digest_files, remember
from harness.data.images import ColourMaskError, check_image, read_ids, read_image
from harness.data.source import Image, Label, Source, Split
from harness.data.taxonomy import Taxonomy, describe_unknown, map_ids, unknown_ids
from harness.errors import InputError
from harness.fingerprint import canonical, digest_bytes

_CHECK_VERSION = 1
"""Raised when the check of files finds more, or says it in other words: answers remembered from before are void."""


@dataclass(frozen=True)
class Pair:
    """A picture, its label file, and the unit that may be resampled."""

    name: str
    group: str
    image: Path
    label: Path


def make_source(root: Path, taxonomy: Taxonomy, splits: Mapping[str, Sequence[Pair]]) -> Source:
    """Return a data set of files below `root`. Files are listed and their digests taken; none is decoded."""
    made = {name: _make_split(root, taxonomy, tuple(pairs)) for name, pairs in splits.items()}
    pairs = tuple(pair for split in splits.values() for pair in split)

    def problems() -> str | None:
        content = [_CHECK_VERSION, {name: split.digest for name, split in made.items()}]
        labels = [taxonomy.name, sorted(taxonomy.class_of.items())]
        key = digest_bytes([canonical([content, labels]).encode()])
        found = remember("problems", key, lambda: find_problems(root, taxonomy, pairs))
        return f"{root}: {found}" if found else None

    return Source(taxonomy, made, problems)


def _make_split(root: Path, taxonomy: Taxonomy, pairs: tuple[Pair, ...]) -> Split:
    files = {path.relative_to(root).as_posix(): path for pair in pairs for path in (pair.image, pair.label)}

    def image_of(index: int) -> Image:
        return read_image(pairs[index].image)

    def label_of(index: int) -> Label:
        path = pairs[index].label
        return map_ids(read_ids(path), taxonomy, where=str(path))

    return Split(
        names=tuple(pair.name for pair in pairs),
        groups=tuple(pair.group for pair in pairs),
        read_image=image_of,
        read_label=label_of,
        digest=digest_files(files),
    )


@dataclass
class _Findings:
    """What the check has met so far: for each kind of trouble how many files, and a line about the first."""

    unknown: Counter[int] = field(default_factory=Counter)
    first_unknown: str = ""
    files: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, about: str) -> None:
        self.files[kind] += 1
        self.first.setdefault(kind, about)


def find_problems(root: Path, taxonomy: Taxonomy, pairs: Sequence[Pair]) -> str:
    """Read every label and every picture's header; return what is wrong in at most five lines, nothing if all is well.

    Files are named relative to `root`.
    """
    findings = _Findings()
    for pair in pairs:
        _check_pair(root, taxonomy, pair, findings)
    lines = [
        f"{kind}: {number} {'file' if number == 1 else 'files'}, first {findings.first[kind]}"
        for kind, number in findings.files.items()
    ]
    if findings.unknown:
        lines.append(f"{describe_unknown(findings.unknown, taxonomy)}; first file: {findings.first_unknown}")
    return "\n  ".join(["its files cannot be used as they are:", *lines]) if lines else ""


def _check_pair(root: Path, taxonomy: Taxonomy, pair: Pair, findings: _Findings) -> None:
    try:
        image_size = check_image(pair.image)
        ids_HW = read_ids(pair.label)
    except InputError as error:
        kind = "colours instead of ids" if isinstance(error, ColourMaskError) else "unreadable"
        findings.add(kind, str(error).removeprefix(f"{root}/"))
        return
    label = pair.label.relative_to(root).as_posix()
    if ids_HW.shape != image_size:
        sizes = f"{label} is {_size(ids_HW.shape)}, its image {_size(image_size)}"
        findings.add("label and image differ in size (height x width)", sizes)
    if strange := unknown_ids(ids_HW, taxonomy):
        findings.unknown.update(strange)
        findings.first_unknown = findings.first_unknown or label


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[0]}x{shape[1]}"
