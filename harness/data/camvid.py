"""`camvid`: driving scenes with the eleven classes of SegNet, in the layout of the public copy."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

from harness.data.label_sets import shipped_taxonomy
from harness.data.listing import Listing, list_pairs
from harness.data.pairs import Pair, make_source
from harness.data.recognised import KnownLayout, Layout, Miss, subfolders
from harness.data.source import IGNORE, Source
from harness.data.taxonomy import Taxonomy
from harness.errors import InputError
from harness.registry import part
from harness.settings import Count, PathText

HELD_OUT = "0006R0"
"""The drive that `by_sequence` validates on: no other split shows it."""
TAXONOMY = "camvid-11"


@part("data")
def camvid(*, root: PathText, split: Literal["official", "by_sequence"] = "official", block: Count = 10) -> Source:
    """CamVid (Brostow et al., PRL 2009) with SegNet's 11 classes: train/, trainannot/, val/, valannot/ below `root`.

    `official`: train and val as published, and test/ with testannot/ where the copy has them. Know that the 101 val
    pictures are one clip of 6.7 s, cut out of the drive (0016E5) of 204 of the 367 train pictures, of which the nearest
    are 1.3 s before and 1.0 s after it: a score on them says little about another drive. `by_sequence`: validates on
    the whole drive 0006R0 and trains on the other train drives; the official val clip then serves as `test`, which is
    still of a drive that is trained on.

    Groups are blocks of about `block` consecutive pictures of one drive, because neighbouring pictures show nearly the
    same scene. 10 is a compromise: shorter blocks are less independent; with longer ones the val clip has too few (10
    now) to resample.
    """
    folder = Path(root).expanduser()
    names = ("train", "val", *(["test"] if (folder / "testannot").is_dir() else []))
    listings = {name: _list_split(folder, name) for name in names}
    official = {name: listing.pairs for name, listing in listings.items()}
    chosen = official if split == "official" else _divide_by_drive(folder, official)
    alone = [fault for listing in listings.values() for fault in listing.alone]
    pairs = {name: _in_blocks(members, block) for name, members in chosen.items()}
    return make_source(folder, _taxonomy(folder), pairs, alone)


def _list_split(folder: Path, split: str) -> Listing:
    try:
        return list_pairs(folder, folder / split, folder / f"{split}annot", split=split)
    except InputError as error:
        raise InputError(f"{error}\n  camvid's root needs the folders train, trainannot, val, valannot") from None


def _drive(pair: Pair) -> str:
    return pair.name.partition("_")[0]


def _divide_by_drive(folder: Path, official: Mapping[str, Sequence[Pair]]) -> dict[str, Sequence[Pair]]:
    held_out = [pair for pair in official["train"] if _drive(pair) == HELD_OUT]
    rest = [pair for pair in official["train"] if _drive(pair) != HELD_OUT]
    if not held_out or not rest:
        drives = ", ".join(sorted({_drive(pair) for pair in official["train"]}))
        raise InputError(f"{folder}/train: by_sequence needs drive {HELD_OUT} and another one; found: {drives}")
    return {"train": rest, "val": held_out, "test": official["val"]}


def _in_blocks(pairs: Sequence[Pair], block: int) -> list[Pair]:
    """Return the pairs with each drive cut into blocks that are equally long within one picture."""
    blocked = []
    for drive in sorted({_drive(pair) for pair in pairs}):
        members = [pair for pair in pairs if _drive(pair) == drive]
        # A short last block would count as much as the others: all are made a little longer or shorter instead.
        number = max(round(len(members) / block), 1)
        bounds = [len(members) * k // number for k in range(number + 1)]
        for start, end in pairwise(bounds):
            group = f"{members[start].name}-{members[end - 1].name.rpartition('_')[2]}"
            blocked += [replace(pair, group=group, recording=drive) for pair in members[start:end]]
    return blocked


def _taxonomy(folder: Path) -> Taxonomy:
    """Return the classes that the copy's `manifest.json` names, SegNet's where it has none."""
    path, segnet = folder / "manifest.json", shipped_taxonomy(TAXONOMY)
    if not path.exists():
        return segnet
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["classes"]
        counted = [entry for entry in entries if not entry["ignore"]]
        ignored = {int(entry["id"]): IGNORE for entry in entries if entry["ignore"]}
        classes = tuple(str(entry["name"]) for entry in counted)
        return replace(
            segnet,
            classes=classes,
            colours=tuple((int(r), int(g), int(b)) for r, g, b in (entry["color"] for entry in counted)),
            class_of={**{int(entry["id"]): index for index, entry in enumerate(counted)}, **ignored},
            parents=segnet.parents if classes == segnet.classes else (),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a list of classes ({error!r}); repair or remove it") from None


def _find(root: Path) -> Iterator[Layout | Miss]:
    needed = ("train", "trainannot", "val", "valannot")
    root = next((place for place in (root, *subfolders(root)) if (place / "trainannot").is_dir()), root)
    lacking = [name for name in needed if not (root / name).is_dir()]
    if not lacking:
        why = "train/, trainannot/, val/, valannot/ as in SegNet's copy"
        yield Layout("camvid", {"root": str(root)}, why)
    elif any(name.endswith("annot") for name in needed if name not in lacking):
        yield Miss(f"camvid, but there is no {' and no '.join(f'{name}/' for name in lacking)}")


LAYOUT = KnownLayout("camvid: train/, trainannot/, val/, valannot/", _find)
