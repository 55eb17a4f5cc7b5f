"""Data sets made of files: pairs of a picture and a label file, read by a format's functions."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from harness.data.digests import CHECKSUMS, digest_files, find_changed, remember, require_digest
from harness.data.images import ColourMaskError, check_image, find_change, read_disparity, read_ids, read_image
from harness.data.palettes import KnownColours, Palette, read_palette
from harness.data.resampled_masks import measure_mixture
from harness.data.source import IGNORE, Depth, Fault, Image, Label, RawIds, Source, Split
from harness.data.taxonomy import Taxonomy, map_ids, unknown_ids
from harness.errors import InputError
from harness.fingerprint import canonical, digest

_CHECK_VERSION = 4
"""Raised when the check of files finds more, or says it in other words: answers remembered from before are void."""
MIXED = "masks that were resampled or saved as JPEG"
"""Kind of the faults of masks whose ids were mixed."""
MANY = 16
"""Classes that would lie only at the edges of others: no real label set has so many."""


@dataclass(frozen=True)
class Pair:
    """A picture, its label file, and what it belongs to."""

    name: str
    group: str
    """The unit that may be resampled."""
    image: Path
    label: Path
    depth: Path | None = None
    recording: str = ""
    """The drive or city that the picture is from; empty where nobody knows."""


@dataclass(frozen=True)
class Format:
    """How a data set's files are read. Each function raises InputError that names the file."""

    read_image: Callable[[Path], Image]
    read_ids: Callable[[Path], RawIds]
    read_depth: Callable[[Path], Depth]
    check: Callable[[Path], tuple[int, int]]
    """Height and width of a picture that can be read, found with little work."""
    read_palette: Callable[[Path], Palette] = lambda path: ()
    """Colours of a label file's indices, from its header."""
    find_change: Callable[[Path], str] = lambda path: ""
    """How the reading of a file differs from that of the first version of these functions; empty where it does not."""


PICTURES = Format(read_image, read_ids, read_disparity, check_image, read_palette, find_change)
UNKNOWN = "unknown ids"
PALETTES = "palettes that disagree"
"""Kinds of faults: labels with ids without a class; labels in which a colour has another id than in others."""


def make_source(
    root: Path,
    taxonomy: Taxonomy,
    splits: Mapping[str, Sequence[Pair]],
    listed: Sequence[Fault] = (),
    form: Format = PICTURES,
) -> Source:
    """Return a data set of files below `root`. Files are listed and their digests taken; none is decoded.

    Raises:
        InputError: a file cannot be read, or is no longer as `harness data prepare` wrote it.
    """
    if (root / CHECKSUMS).exists() and (changed := find_changed(root)):
        raise InputError(f"{changed}; harness data prepare, with --out {root}, makes it again")
    made = {name: _make_split(root, taxonomy, tuple(pairs), form) for name, pairs in splits.items()}

    def check() -> tuple[Fault, ...]:
        content = [_CHECK_VERSION, {name: split.digest for name, split in made.items()}]
        key = digest([content, sorted(taxonomy.class_of.items())])

        def read_all() -> str:
            known = KnownColours()
            every = ((name, pair) for name, pairs in splits.items() for pair in pairs)
            checked = [(name, _check_pair(root, taxonomy, pair, form, known)) for name, pair in every]
            faults = [replace(fault, split=name) for name, fault in checked if fault is not None]
            # What was found belongs to the digest only if nobody wrote to the files while they were read.
            for split in made.values():
                split.require_unchanged()
            return json.dumps([asdict(fault) for fault in faults])

        entries = json.loads(remember("faults", key, read_all))
        return tuple(Fault(**{**e, "unknown": {int(raw): px for raw, px in e["unknown"].items()}}) for e in entries)

    notes = (taxonomy.warning,) if taxonomy.warning else ()
    return Source(taxonomy, made, str(root), tuple(listed), check, notes)


def _make_split(root: Path, taxonomy: Taxonomy, pairs: tuple[Pair, ...], form: Format) -> Split:
    depths = [pair.depth for pair in pairs if pair.depth is not None]
    has_depth = 0 < len(depths) == len(pairs)
    listed = [path for pair in pairs for path in (pair.image, pair.label)] + (depths if has_depth else [])
    files = {path.relative_to(root).as_posix(): path for path in listed}
    stored = digest_files(files)

    def label_of(index: int) -> Label:
        path = pairs[index].label
        return map_ids(form.read_ids(path), taxonomy, where=str(path))

    return Split(
        names=tuple(pair.name for pair in pairs),
        groups=tuple(pair.group for pair in pairs),
        read_image=lambda index: form.read_image(pairs[index].image),
        read_label=label_of,
        read_ids=lambda index: form.read_ids(pairs[index].label),
        digest=add_changes(stored, files, form),
        read_depth=(lambda index: form.read_depth(depths[index])) if has_depth else None,
        recordings=tuple(pair.recording for pair in pairs) if any(pair.recording for pair in pairs) else (),
        require_unchanged=lambda: require_digest(files, stored, root),
    )


def add_changes(stored: str, files: Mapping[str, Path], form: Format) -> str:
    """Return `stored`, the digest of files' content, extended by how their reading differs from the first version's.

    The differences are found from the headers, once for one content.
    """
    key = digest(["changed reading", stored])

    def find_changes() -> str:
        told = {name: form.find_change(path) for name, path in sorted(files.items())}
        return canonical({name: what for name, what in told.items() if what})

    changed = remember("readings", key, find_changes)
    return stored if changed == canonical({}) else digest([stored, changed])


def _check_pair(root: Path, taxonomy: Taxonomy, pair: Pair, form: Format, known: KnownColours) -> Fault | None:
    """Read a label, and the header of its picture; return what is wrong. Files are named relative to `root`."""
    # Whichever file is being read when something goes wrong is the one to name.
    file = pair.image
    try:
        image_size = form.check(pair.image)
        file = pair.label
        ids_HW, palette = form.read_ids(pair.label), form.read_palette(pair.label)
        file = pair.depth or pair.label
        depth_size = image_size if pair.depth is None else form.read_depth(pair.depth).shape
    except InputError as error:
        kind = "colours instead of ids" if isinstance(error, ColourMaskError) else "unreadable"
        return Fault(kind, "", pair.name, file.relative_to(root).as_posix(), str(error).removeprefix(f"{root}/"))
    label = pair.label.relative_to(root).as_posix()
    for part, size in (("label", ids_HW.shape), ("depth", depth_size)):
        if size != image_size:
            told = f"{label}: the {part} is {_size(size)}, the image {_size(image_size)}"
            return Fault(f"{part} and image differ in size (height x width)", "", pair.name, label, told)
    # Resampled masks hold ids without a class, or, where all ids have one, far too many classes at the edges of others
    # (few, where they were merged on purpose). They are told apart from a wrong taxonomy: the cure is another one.
    strange = unknown_ids(ids_HW, taxonomy)
    if strange or np.count_nonzero(np.bincount(ids_HW.ravel())) > 2 * MANY:
        mixture = measure_mixture([ids_HW])
        mixed_classes = {taxonomy.class_of.get(raw, IGNORE) for raw in mixture.mixed} - {IGNORE}
        if mixture.is_likely and (strange or len(mixed_classes) >= MANY):
            return Fault(MIXED, "", pair.name, label, f"{label}: {mixture.describe()}")
    if strange:
        return Fault(UNKNOWN, "", pair.name, label, label, strange)
    if clash := known.find_clash(label, palette, ids_HW) if palette else "":
        return Fault(PALETTES, "", pair.name, label, clash)
    return None


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[0]}x{shape[1]}"
