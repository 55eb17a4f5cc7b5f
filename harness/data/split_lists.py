"""Lists of names that divide a data set, such as `ImageSets/Segmentation/train.txt`: an image a line."""

from __future__ import annotations

import unicodedata
from collections.abc import Container
from dataclasses import replace
from pathlib import Path, PurePosixPath

from harness.data.listing import Listing, fault_alone
from harness.errors import InputError, describe_missing

LIST_ENDING = ".txt"
NOT_THERE = "listed images that are missing"


def read_list(path: Path) -> list[str]:
    """Return the lines of a list, without empty ones.

    Raises:
        InputError: there is no such file, or it is no text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(describe_missing(path, "list of names")) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a list of names: {error}") from None
    return [unicodedata.normalize("NFC", line.strip()) for line in text.splitlines() if line.strip()]


def find_listed(line: str, names: Container[str]) -> str | None:
    """Return the image that a line means: its name, alone or as a path with an ending; None where there is none."""
    first = line.split()[0]
    wanted = (line, first, PurePosixPath(first).name, PurePosixPath(first).stem)
    return next((name for name in wanted if name in names), None)


def restrict(listing: Listing, root: Path, path: Path, split: str) -> Listing:
    """Return the images of a listing that a list names. What it names and is not there becomes a fault.

    Raises:
        InputError: the list cannot be read, or names no image that is there.
    """
    pairs = {pair.name: pair for pair in listing.pairs}
    alone = {fault.name: replace(fault, split=split) for fault in listing.alone}
    lines = read_list(path)
    named = {line: find_listed(line, pairs.keys() | alone.keys()) for line in lines}
    found = [pairs[name] for name in dict.fromkeys(named.values()) if name in pairs]
    if not found:
        first = f", such as '{lines[0]}'" if lines else ""
        raise InputError(f"{path}: none of its {len(lines)} names{first} is that of an image with a mask in {root}")
    faults = [alone[name] for name in dict.fromkeys(named.values()) if name in alone]
    missing = [line for line, name in named.items() if name is None]
    faults += [fault_alone(root, path, NOT_THERE, split, line, f"no image '{line}'") for line in missing]
    return Listing(tuple(sorted(found, key=lambda pair: pair.name)), tuple(faults))
