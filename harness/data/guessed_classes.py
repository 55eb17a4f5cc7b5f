"""Which ids of masks are classes, what these are called, and which id is void, where nobody has said it.

Names come from class lists that lie beside masks, which annotation tools and public data sets write: `labelmap.txt`
(CVAT: name and colour), `_classes.csv` (Roboflow: id and name), and plain lists of names, one a line, such as
`labels.txt` (labelme). In JSON: Mapillary's `config_v1.2.json` (name and colour), nnU-Net's `dataset.json`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from harness.data.label_sets import read_taxonomy
from harness.data.palettes import Palette, read_palette
from harness.data.taxonomy import IGNORE, Colour, join_runs
from harness.errors import InputError

_COLOURED = re.compile(r"([^:]*):\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*(:.*)?")
_NUMBERED = re.compile(r"(\d{1,5})\s*[\s:,;=]\s*(.*\S)")
_UNUSED = "__ignore__"
"""What labelme writes first: it stands for -1, which no mask holds."""
CLASS_LIST = "taxonomy.yaml"
"""A class list that lies beside the folders, as `harness data prepare` writes one."""
APART = 4
"""255 is void where its distance to the next id is more than so many times the widest step between the others."""
BACKGROUND = ("background", "void", "ignore", "unlabel", "other", "bg")
"""Words in the names of what is no thing."""
Guess = tuple[dict[str, Any], dict[str, str]]
"""Settings of the data set `folder`, and by topic the sentence that tells the user how they were found."""
SMALLEST_STEP = 10
"""Steps between scaled greys are not narrower: 26 levels have this one."""


@dataclass(frozen=True)
class ClassList:
    """The classes that a file names."""

    file: Path
    names: tuple[str, ...]
    ids: tuple[int, ...] = ()
    """Raw id of each class; empty where the file gives none: then the order counts, from 0."""
    colours: Mapping[str, Colour] = field(default_factory=dict)


def find_class_list(places: Sequence[Path]) -> ClassList | None:
    """Return the first class list in some folders; None where there is none that can be read as one."""
    for place in dict.fromkeys(places):
        for name, read in _READERS.items():
            listed = read(place / name) if (place / name).is_file() else None
            if listed is not None and _is_sound(listed):
                return listed
    return None


def _is_sound(listed: ClassList) -> bool:
    names = listed.names
    # A list of files, such as of a split, is no list of classes.
    short = all(0 < len(name) <= 80 and not name.lower().endswith((".png", ".jpg")) for name in names)
    return short and 0 < len(set(names)) == len(names) <= IGNORE and len(set(listed.ids)) == len(listed.ids)


def _lines(path: Path) -> list[str]:
    text = path.read_bytes()[: 1 << 20].decode("utf-8-sig", errors="replace")
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def _read_labelmap(path: Path) -> ClassList | None:
    lines = _lines(path)
    matches = [match for line in lines if (match := _COLOURED.fullmatch(line))]
    colours = {match[1]: (int(match[2]), int(match[3]), int(match[4])) for match in matches}
    is_colour = len(matches) == len(lines) and all(max(colour) < 256 for colour in colours.values())
    return ClassList(path, tuple(colours), colours=colours) if is_colour else None


def _read_csv(path: Path) -> ClassList | None:
    rows = [[cell.strip() for cell in line.split(",", 1)] for line in _lines(path)[1:]]
    if not all(len(row) == 2 and row[0].isdigit() for row in rows):
        return None
    return ClassList(path, tuple(row[1] for row in rows), tuple(int(row[0]) for row in rows))


def _read_names(path: Path) -> ClassList | None:
    lines = [line for line in _lines(path) if line != _UNUSED]
    numbered = [match for line in lines if (match := _NUMBERED.fullmatch(line))]
    # `3 lanes` among other names is a name: only where every line has a number are these ids.
    if lines and len(numbered) == len(lines):
        return ClassList(path, tuple(match[2] for match in numbered), tuple(int(match[1]) for match in numbered))
    return ClassList(path, tuple(lines))


def _read_json(path: Path) -> ClassList | None:
    with suppress(ValueError, KeyError, TypeError):
        labels = json.loads(path.read_bytes())["labels"]
        if isinstance(labels, dict):
            return ClassList(path, tuple(labels), tuple(int(raw) for raw in labels.values()))
        colours = {str(label["readable"]): label["color"] for label in labels}
        return ClassList(path, tuple(colours), colours={name: (r, g, b) for name, (r, g, b) in colours.items()})
    return None


_READERS: Mapping[str, Callable[[Path], ClassList | None]] = {
    "labelmap.txt": _read_labelmap,
    "_classes.csv": _read_csv,
    **dict.fromkeys(("labels.txt", "classes.txt", "class_names.txt", "codes.txt", "label_names.txt"), _read_names),
    **dict.fromkeys(("config_v1.2.json", "config_v2.0.json", "dataset.json"), _read_json),
}


def is_void(ids: Collection[int]) -> bool:
    """Tell whether 255 stands for void among the ids of masks, as beside class ids 0 to 18.

    It does not among scaled greys (0, 127, 255), where the last of evenly spread levels is a class, nor as one of only
    two ids (the foreground of a black-and-white mask), nor among ids that go beyond it.
    """
    others = sorted(set(ids) - {IGNORE})
    if IGNORE not in ids or len(others) < 2 or others[-1] > IGNORE:
        return False
    # Class ids stand side by side, and 255 far from them; grey levels are spread evenly, and 255 is the next of them.
    steps = [high - low for low, high in pairwise(others)]
    narrow = sum(step < SMALLEST_STEP for step in steps)
    return 2 * narrow > len(steps) or IGNORE - others[-1] > APART * max(steps)


def guess_classes(pixels: Mapping[int, int], places: Sequence[Path], masks: Sequence[Path]) -> Guess:
    """Return the classes of ids that occur: of a class list in one of some folders, else names to be replaced.

    `pixels`: raw id -> pixels in the masks. `places`: the first is the data set's own folder.

    Raises:
        InputError: `taxonomy.yaml` is there and holds no taxonomy.
    """
    prepared = places[0] / CLASS_LIST
    if prepared.is_file() and (as_prepared := _of_taxonomy(prepared, pixels)):
        return as_prepared, {"classes": f"names, ids and void as in {CLASS_LIST}"}
    # The list decides first: where it gives 255 a name, that is a class, whatever the masks look like.
    listed = find_class_list(places)
    void = is_void(pixels) and (listed is None or IGNORE not in listed.ids)
    seen = [raw for raw in pixels if not (void and raw == IGNORE)]
    names: dict[int, str] = {}
    told = f"names are made up (class_{min(seen)}, ...) for ids {join_runs(sorted(seen))}"
    if listed is None:
        told += ": no list of them was found"
    elif (found := _give_ids(listed, seen, masks)) is None:
        told += f": {listed.file.name} has {len(listed.names)} names, which do not fit them"
    else:
        names, told = found[0], f"named by {listed.file.name}, {found[1]}"
    names |= {raw: f"class_{raw}" for raw in seen if raw not in names}
    colours = _colours(listed, names)
    settings: dict[str, Any] = {"classes": {name: raw for raw, name in sorted(names.items())}}
    settings |= {"ignore": [IGNORE]} if void else {}
    settings |= {"colours": colours} if colours else {}
    return settings, {"classes": told, **_tell_void(pixels, void, listed)}


def _of_taxonomy(path: Path, pixels: Mapping[int, int]) -> dict[str, Any] | None:
    listed = read_taxonomy(path)
    if not pixels.keys() <= listed.class_of.keys():
        return None
    ids = {name: list(listed.raw_ids(index)) for index, name in enumerate(listed.classes)}
    return {
        "classes": {name: raw[0] if len(raw) == 1 else raw for name, raw in ids.items()},
        "ignore": list(listed.raw_ids(IGNORE)),
        "colours": [list(colour) for colour in listed.colours],
    }


def _give_ids(listed: ClassList, seen: Sequence[int], masks: Sequence[Path]) -> tuple[dict[int, str], str] | None:
    """Return raw id -> name, and how the ids were found; None where the list does not fit those that were seen."""
    # What is surest comes first: ids that the list states, colours that the masks state, then the order of the names.
    if listed.ids:
        fits = set(seen) & set(listed.ids)
        return (dict(zip(listed.ids, listed.names, strict=True)), "with its ids") if fits else None
    if (by_palette := _ids_of_colours(listed, seen, masks)) is not None:
        return by_palette, "whose colours are those of the masks' palette"
    if set(seen) <= set(range(len(listed.names))):
        # Lists often leave background out, which is id 0: then the last name is that of no id, and all are one off.
        is_background = any(word in listed.names[0].lower() for word in BACKGROUND)
        shifted = 0 in seen and len(listed.names) - 1 not in seen and not is_background
        doubt = " (should id 0 be background, each name is one id too low)" if shifted else ""
        return dict(enumerate(listed.names)), f"in its order from id 0{doubt}"
    if len(seen) == len(listed.names) and not is_void(seen):
        return dict(zip(sorted(seen), listed.names, strict=True)), f"in its order for ids {join_runs(sorted(seen))}"
    return None


def _ids_of_colours(listed: ClassList, seen: Sequence[int], masks: Sequence[Path]) -> dict[int, str] | None:
    """Return raw id -> name by the palette of the first whole mask; None where the colour of an id has no name."""
    palette: Palette = ()
    for mask in masks if listed.colours else ():
        with suppress(InputError):
            palette = read_palette(mask)
            break
    if not palette:
        return None
    names = {colour: name for name, colour in listed.colours.items()}
    ids = {raw: names[palette[raw]] for raw in seen if raw < len(palette) and palette[raw] in names}
    if len(ids) < len(seen) or len(set(ids.values())) < len(ids):
        return None
    # Classes that no mask was seen to hold get their ids too: rare ones may stand in masks that were not read.
    missing = [name for name in listed.names if name not in ids.values()]
    return ids | {palette.index(listed.colours[name]): name for name in missing if listed.colours[name] in palette}


def _colours(listed: ClassList | None, names: Mapping[int, str]) -> list[list[int]]:
    """Return the list's colour of each class; none where it lacks one, or two classes share one."""
    known = {} if listed is None else listed.colours
    found = [list(known[name]) for _, name in sorted(names.items()) if name in known]
    return found if len(found) == len(names) == len({*map(tuple, found)}) else []


def _tell_void(pixels: Mapping[int, int], void: bool, listed: ClassList | None) -> dict[str, str]:
    if IGNORE not in pixels or (listed is not None and IGNORE in listed.ids):
        return {}
    others = join_runs(sorted(raw for raw in pixels if raw != IGNORE))
    share = 100 * pixels[IGNORE] / sum(pixels.values())
    if void:
        return {"ignored": f"id 255 ({share:.2f} % of the pixels): beside ids {others} it usually is void"}
    why = "ids go beyond it" if max(pixels) > IGNORE else f"beside {others or 'no other id'} it looks like a grey level"
    return {"ignored": f"no id: 255 ({share:.2f} % of the pixels) is a class, because {why}"}
