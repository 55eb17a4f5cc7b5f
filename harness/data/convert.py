"""Cityscapes' label ids -> masks of class indices on disk, and a view of them that the data set `folder` reads.

Below the output folder: gtFine/SPLIT/CITY/NAME_gtFine_mask.png (8-bit class indices, 255 = ignored), taxonomy.yaml (the
classes), SPLIT/images and SPLIT/masks (links), and skipped.txt where something was left out.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.data import cityscapes
from harness.data.cityscapes import with_ending
from harness.data.digests import digest_files, write_checksums
from harness.data.images import read_ids
from harness.data.pairs import PICTURES, add_changes
from harness.data.recognised import spread
from harness.data.source import IGNORE, Label
from harness.data.stored import opened
from harness.data.taxonomy import Taxonomy, map_ids
from harness.errors import HarnessError, InputError, describe_missing
from harness.files import write_text, write_whole
from harness.fingerprint import fingerprint

LABELS = "gtFine"
SKIPPED = "skipped.txt"
CLASS_LIST = "taxonomy.yaml"
_PICTURE_END, _IDS_END, _MASK_END = f"_{cityscapes.PICTURES}", f"_{LABELS}_labelIds", f"_{LABELS}_mask"
_KEY = "harness:made-from"
"""Entry in a mask's header: digest of the label file and the taxonomy that it was made from."""


@dataclass(frozen=True)
class Annotation:
    """One picture's annotation."""

    split: str
    city: str
    name: str
    """Such as `aachen_000000_000019`."""
    picture: Path | None
    """None where the picture is missing: its mask is made all the same."""
    ids: Path | None
    """None where the label file is missing."""

    @property
    def mask(self) -> Path:
        """Return the place of its mask below the output folder."""
        return Path(LABELS, self.split, self.city, f"{self.name}{_MASK_END}.png")


@dataclass(frozen=True)
class Outcome:
    """What became of one annotation."""

    annotation: Annotation
    state: Literal["written", "kept", "skipped"]
    """`kept`: a mask of the same content was there."""
    reason: str = ""
    """Why it was skipped."""


def find_annotations(root: Path, splits: Sequence[str], most: int | None = None) -> list[Annotation]:
    """Return the annotations of some splits by name; at most `most` of each split, spread over its cities.

    Raises:
        InputError: a split is not there.
    """
    place = root.expanduser()
    found: list[Annotation] = []
    for split in splits:
        pictures = cityscapes.find_below(place, cityscapes.PICTURES, split)
        labels = cityscapes.find_below(place, LABELS, split)
        if labels is None:
            why = f"{root}: there is no {LABELS}/{split}; Cityscapes' labels are in {LABELS}/SPLIT/CITY/"
            raise InputError(why if place.is_dir() else describe_missing(root))
        image_of, ids_of = _list(pictures and pictures / split, _PICTURE_END), _list(labels / split, _IDS_END)
        keys = sorted({*image_of, *ids_of})
        if not keys:
            raise InputError(f"{labels / split}: there is no CITY/*{_IDS_END}.png")
        by_name = [Annotation(split, *key, image_of.get(key), ids_of.get(key)) for key in keys]
        found += by_name if most is None else spread(by_name, most)
    return found


def _list(folder: Path | None, ending: str) -> dict[tuple[str, str], Path]:
    """Return (city, name) -> file."""
    cities = sorted(path for path in folder.iterdir() if path.is_dir()) if folder else []
    return {(city.name, name): path for city in cities for name, path in with_ending(city, ending).items()}


def convert(annotations: Sequence[Annotation], taxonomy: Taxonomy, out: Path) -> Iterator[Outcome]:
    """Write a mask for each annotation below `out`, yielding what became of it; then the class list and the view.

    What is there already, of the same content, is kept: an interrupted call is continued by the next one. A label file
    that is missing or cannot be read is skipped.

    Raises:
        InputError: a label file has ids that the taxonomy does not know.
        HarnessError: something cannot be written.
    """
    meaning = fingerprint([taxonomy.classes, sorted(taxonomy.class_of.items())])
    outcomes: list[Outcome] = []
    try:
        for annotation in annotations:
            outcomes.append(_convert_one(annotation, taxonomy, meaning, out))
            yield outcomes[-1]
        write_text(out / CLASS_LIST, describe_classes(taxonomy))
        skipped = [f"{item.annotation.name}\t{item.reason}\n" for item in outcomes if item.state == "skipped"]
        if skipped:
            write_text(out / SKIPPED, "".join(skipped))
        else:
            (out / SKIPPED).unlink(missing_ok=True)
        # The checksums come last but for the links: where they are, all files that they speak of are whole.
        made = [item.annotation for item in outcomes if item.state != "skipped"]
        write_checksums(out, [*(out / annotation.mask for annotation in made), out / CLASS_LIST])
        _link(made, out)
    except OSError as error:
        raise HarnessError(
            f"{error.filename or out}: cannot be written: {error.strerror}; what is there is whole, and the same "
            f"command goes on from there"
        ) from None


def _convert_one(annotation: Annotation, taxonomy: Taxonomy, meaning: str, out: Path) -> Outcome:
    if annotation.ids is None:
        file = f"{LABELS}/{annotation.split}/{annotation.city}/{annotation.name}{_IDS_END}.png"
        return Outcome(annotation, "skipped", f"there is no {file}")
    try:
        files = {"ids": annotation.ids}
        # The mask says in its header what it was made from, so that one of other labels or classes is made again.
        key = fingerprint([add_changes(digest_files(files), files, PICTURES), meaning])
        if _made_from(out / annotation.mask) == key:
            return Outcome(annotation, "kept")
        ids_HW = read_ids(annotation.ids)
    except InputError as error:
        return Outcome(annotation, "skipped", str(error))
    mask = _encode(map_ids(ids_HW, taxonomy, where=str(annotation.ids)), key)
    write_whole(out / annotation.mask, lambda file: file.write(mask))
    return Outcome(annotation, "written")


def _made_from(mask: Path) -> str | None:
    """Return what a whole mask was made from, as its header says; None where there is none."""
    with suppress(InputError), opened(mask) as picture:
        key = picture.info.get(_KEY)
        picture.verify()
        return str(key)
    return None


def _encode(label_HW: Label, key: str) -> bytes:
    import PIL.Image
    import PIL.PngImagePlugin

    header, buffer = PIL.PngImagePlugin.PngInfo(), io.BytesIO()
    header.add_text(_KEY, key)
    PIL.Image.fromarray(label_HW).save(buffer, format="PNG", pnginfo=header)
    return buffer.getvalue()


def describe_classes(taxonomy: Taxonomy) -> str:
    """Return a taxonomy in YAML whose ids are the class indices of a given one."""
    parents = taxonomy.parents or ("",) * len(taxonomy.classes)
    lines = [
        f"# The classes of the masks here: their ids are the class indices of {taxonomy.name}.",
        f"name: {json.dumps(f'{taxonomy.name}-indices', ensure_ascii=False)}",
        *([f"warning: {json.dumps(taxonomy.warning, ensure_ascii=False)}"] if taxonomy.warning else []),
        "classes:",
    ]
    for index, (name, colour, parent) in enumerate(zip(taxonomy.classes, taxonomy.colours, parents, strict=True)):
        entry = f"name: {json.dumps(name, ensure_ascii=False)}, ids: [{index}], colour: {list(colour)}"
        lines.append(f"  - {{{entry}{f', parent: {json.dumps(parent, ensure_ascii=False)}' if parent else ''}}}")
    return "\n".join([*lines, f"ignored: [{IGNORE}]"]) + "\n"


def _link(annotations: Sequence[Annotation], out: Path) -> None:
    """Make SPLIT/images and SPLIT/masks hold links to these pictures and their masks, and to no others."""
    wanted: dict[Path, Path] = {}
    for item in annotations:
        if item.picture is not None:
            wanted[out / item.split / "images" / f"{item.name}.png"] = item.picture
            wanted[out / item.split / "masks" / f"{item.name}_mask.png"] = out / item.mask
    for folder in {place.parent for place in wanted}:
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            if path.is_symlink() and path not in wanted:
                path.unlink()
    for place, target in wanted.items():
        # Relative links stay right where the whole tree is moved. A right one is left: others may be reading it.
        to = os.path.relpath(target.resolve(), place.parent.resolve())
        if not (place.is_symlink() and os.readlink(place) == to):  # noqa: PTH115 - compared as written
            place.unlink(missing_ok=True)
            place.symlink_to(to)
