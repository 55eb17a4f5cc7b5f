"""`folder`: any images and masks, with the class list in the spec.

Groups are found by a regular expression of the user, within a time limit. Python's matcher cannot be stopped from
within, and an expression such as `(a+)+$` has it try for ever. So it works in a process of its own.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from harness.data.label_sets import RawId
from harness.data.listing import Listing, list_pairs, restrict, source_of
from harness.data.pairs import Pair, make_source
from harness.data.source import IGNORE, Source
from harness.data.taxonomy import Colour, Taxonomy, distinct_colours
from harness.errors import InputError, SettingError
from harness.registry import part
from harness.settings import Fraction, PathText

SPLIT = "{split}"
"""Stands for the folder of a split in `images` and `masks`."""
Byte = Annotated[int, Field(ge=0, le=255)]
Classes = list[str] | dict[str, RawId | list[RawId]]


@part("data")
def folder(  # noqa: PLR0913 - one argument is one setting
    *,
    root: PathText,
    classes: Classes,
    ignore: tuple[RawId, ...] = (),
    colours: list[tuple[Byte, Byte, Byte]] | None = None,
    images: str = "images",
    masks: str = "masks",
    mask_suffix: str = "",
    splits: dict[Literal["train", "val", "test"], str] | None = None,
    val_fraction: Fraction = 0.2,
    groups: str | None = None,
) -> Source:
    """Images with masks of class ids (8-bit, 16-bit or palette PNG) that carry the image's name.

    `classes`: a list of names, whose ids are 0, 1, ...; or name: id; or name: [ids]. Ids in `ignore` are not counted;
    any other id is an error. `splits`: null for one `images` and one `masks` folder below `root`, of which
    `val_fraction` is set aside for val, chosen by a hash of the names; else the folder of each split, such as
    {train: train, val: val}, with `images` and `masks` in each, or around it where they name it (`images/{split}`); or
    the list of each split's names, such as {train: lists/train.txt, val: lists/val.txt}. A mask is named like its
    image, with `mask_suffix` added; with a suffix both may lie in one folder. `groups`: a regular expression found in
    an image's name; what it matches (its first bracket, if it has one) names the unit that may be resampled, which
    never lies on both sides of the division; null where images are independent.
    """
    place = Path(root).expanduser()
    taxonomy = make_taxonomy(classes, ignore, colours)
    for key, below in (("images", images), ("masks", masks)):
        if Path(below).is_absolute():
            raise SettingError((key,), f"'{below}' must be the name of a folder below root")

    def list_below(below: str, split: str = "") -> Listing:
        # The folder of a split lies around those of images and masks, or where these name it.
        pictures, labels = (
            place / name.replace(SPLIT, below) if SPLIT in name else place / below / name for name in (images, masks)
        )
        listing = list_pairs(place, pictures, labels, suffix=mask_suffix, split=split)
        if groups is None:
            return listing
        found = find_groups(groups, tuple(pair.name for pair in listing.pairs))
        pairs = (replace(pair, group=group) for pair, group in zip(listing.pairs, found, strict=True))
        return replace(listing, pairs=tuple(pairs))

    if splits is None:
        listing = _flat(place, images, list_below)
        return make_source(place, taxonomy, divide(listing.pairs, val_fraction), listing.alone)
    for needed in ("train", "val"):
        if needed not in splits:
            raise SettingError(("splits",), f"'{needed}' is missing; give the folder of train and of val")
    listings: dict[str, Listing] = {name: _list_split(place, below, name, list_below) for name, below in splits.items()}
    return source_of(place, taxonomy, listings)


def _list_split(root: Path, below: str, split: str, list_below: Callable[[str, str], Listing]) -> Listing:
    if not below.endswith(".txt"):
        return list_below(below, split)
    return restrict(list_below("", ""), root, root / below, split)


def _flat(place: Path, images: str, list_below: Callable[[str], Listing]) -> Listing:
    if SPLIT in images:
        raise SettingError(("splits",), f"'{images}' stands for the folder of each split; give splits")
    if not (place / images).is_dir() and (place / "train" / images).is_dir():
        raise InputError(
            f"{place}: there is no '{images}' but 'train/{images}'; write splits: {{train: train, val: val}}"
        )
    return list_below("")


def make_taxonomy(
    classes: Sequence[str] | Mapping[str, int | list[int]],
    ignore: Sequence[int] = (),
    colours: Sequence[Colour] | None = None,
) -> Taxonomy:
    """Return the taxonomy of a class list.

    Raises:
        SettingError: a name or an id stands twice, there are no classes or too many, or not one colour for each.
    """
    names = list(classes)
    if not 0 < len(set(names)) == len(names) <= IGNORE:
        raise SettingError(("classes",), f"{len(names)} names, {len(set(names))} different; 1 to {IGNORE} are possible")
    given = classes if isinstance(classes, Mapping) else {name: index for index, name in enumerate(names)}
    wanted = [*enumerate(given.values()), (IGNORE, list(ignore))]
    flat = [(raw, index) for index, ids in wanted for raw in (ids if isinstance(ids, list) else [ids])]
    class_of: dict[int, int] = {}
    for raw, index in flat:
        if class_of.setdefault(raw, index) != index:
            raise SettingError(("classes",), f"id {raw} stands twice, in two classes or in a class and in ignore")
    if colours is not None and len(colours) != len(names):
        raise SettingError(("colours",), f"{len(colours)} colours for {len(names)} classes")
    shown = distinct_colours(len(names)) if colours is None else tuple((r, g, b) for r, g, b in colours)
    return Taxonomy("folder", tuple(names), shown, class_of)


def divide(pairs: Sequence[Pair], val_fraction: float) -> dict[str, list[Pair]]:
    """Divide pairs into train and val: whole groups, in the order of their names' hashes, go to val until it is full.

    Raises:
        SettingError: one side would be empty.
    """
    ranked = sorted({pair.group for pair in pairs}, key=lambda group: hashlib.sha256(group.encode()).digest())
    images = Counter(pair.group for pair in pairs)
    # A group goes to val where the images of those before it are too few: a hash of the name alone would leave the
    # share of val to chance, and an order by size would put all large groups on one side.
    before = accumulate((images[group] for group in ranked), initial=0)
    taken = {group for group, number in zip(ranked, before, strict=False) if number < val_fraction * len(pairs)}
    sides = {
        "train": [pair for pair in pairs if pair.group not in taken],
        "val": [pair for pair in pairs if pair.group in taken],
    }
    for name, members in sides.items():
        if not members:
            raise SettingError(
                ("val_fraction",), f"{val_fraction} of {len(pairs)} images in {len(ranked)} groups leaves {name} empty"
            )
    return sides


MOST_S = 3.0
"""Seconds for all names. A hundred thousand take a tenth of one with an expression that does not backtrack."""
_PROGRAM = """
import json, re, sys
pattern, names = json.load(sys.stdin)
try:
    compiled = re.compile(pattern)
except Exception as error:
    print(json.dumps([str(error) or type(error).__name__, []]))
else:
    matches = map(compiled.search, names)
    print(json.dumps([None, [match and (match[1] if compiled.groups else match[0]) for match in matches]]))
"""


@lru_cache(maxsize=16)
def find_groups(pattern: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return what a regular expression finds in each name: its first bracket, if it has one, else all that it matches.

    Raises:
        SettingError: it is no regular expression, does not match a name, or has not found all after `MOST_S` seconds.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _PROGRAM],
            input=json.dumps([pattern, names]),
            capture_output=True,
            text=True,
            timeout=MOST_S,
            check=True,
        )
    except subprocess.TimeoutExpired:
        raise SettingError(
            ("groups",),
            f"'{pattern}' has not been found in all {len(names)} image names after {MOST_S:g} seconds: a repetition"
            " within a repetition, as in (a+)+, tries all ways to divide a name; write it with one, as in a+",
        ) from None
    problem, found = json.loads(done.stdout)
    if problem is not None:
        raise SettingError(("groups",), f"'{pattern}' is not a regular expression: {problem}")
    for name, group in zip(names, found, strict=True):
        if group is None:
            raise SettingError(("groups",), f"'{pattern}' matches nothing in the image name '{name}'")
    return tuple(found)
