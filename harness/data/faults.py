"""What is wrong with a data set, in words; and leaving bad images out where a study says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from harness.data.pairs import PALETTES, UNKNOWN
from harness.data.source import Fault, Source
from harness.data.subsets import take
from harness.data.taxonomy import Taxonomy, describe_unknown
from harness.errors import InputError

NEVER_SKIPPED = (UNKNOWN, PALETTES)
"""Ids that mean no class, or several, are no bad images: leaving such images out would leave out classes."""


def describe_faults(faults: Sequence[Fault], taxonomy: Taxonomy) -> str:
    """Return a line for each kind of fault: how many files, the first of them, and what would work."""
    lines = []
    for kind in dict.fromkeys(fault.kind for fault in faults):
        found = [fault for fault in faults if fault.kind == kind]
        if kind == UNKNOWN:
            pixels = sum((Counter(fault.unknown) for fault in found), Counter[int]())
            lines.append(f"{describe_unknown(pixels, taxonomy)}; first file: {found[0].file}")
        else:
            lines.append(f"{kind}: {len(found)} {'file' if len(found) == 1 else 'files'}, first {found[0].told}")
    if any(fault.kind not in NEVER_SKIPPED for fault in faults):
        lines.append("repair them, or write data.on_bad_image: skip to leave these images out, by name, in every run")
    return "\n  ".join(["its files cannot be used as they are:", *lines])


def refuse(source: Source, faults: Sequence[Fault]) -> None:
    """Raise an InputError that describes the faults, if there are any."""
    if faults:
        raise InputError(f"{source.root}: {describe_faults(faults, source.taxonomy)}")


def without_bad_images(source: Source) -> Source:
    """Return a data set without the images that cannot be used, with a note that names them.

    Raises:
        InputError: ids in the labels mean no class, or several; or a split would be left empty.
    """
    faults = (*source.listed, *source.check())
    refuse(source, [fault for fault in faults if fault.kind in NEVER_SKIPPED])
    if not faults:
        return source
    splits = {}
    for name, split in source.splits.items():
        bad = {fault.name for fault in faults if fault.split == name}
        usable = [index for index, image in enumerate(split.names) if image not in bad]
        if not usable:
            refuse(source, faults)
        splits[name] = take(split, usable)
    names = [f"{fault.name} ({fault.kind})" for fault in faults]
    note = f"data.on_bad_image: skip left out {len(names)} {'image' if len(names) == 1 else 'images'}: "
    return replace(source, splits=splits, listed=(), check=tuple, notes=(*source.notes, note + ", ".join(names)))
