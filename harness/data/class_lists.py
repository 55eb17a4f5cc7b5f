"""Class lists that lie beside masks: those that annotation tools and public data sets write.

`labelmap.txt` (CVAT: name and colour), `_classes.csv` (Roboflow: id and name), and plain lists of names, one a line,
such as `labels.txt` (labelme). In JSON: Mapillary's `config_v1.2.json` (name and colour), nnU-Net's `dataset.json`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.data.taxonomy import IGNORE, Colour

NAME_LISTS = ("labels.txt", "classes.txt", "class_names.txt", "codes.txt", "label_names.txt")
JSON_LISTS = ("config_v1.2.json", "config_v2.0.json", "dataset.json")
_NUMBERED = re.compile(r"(\d{1,5})\s*[\s:,;=]\s*(.*\S)")
_UNUSED = ("__ignore__",)
"""What labelme writes first: it stands for -1, which no mask holds."""
_LONGEST = 80


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
    short = all(0 < len(name) <= _LONGEST and not name.lower().endswith((".png", ".jpg")) for name in names)
    return short and 0 < len(set(names)) == len(names) <= IGNORE and len(set(listed.ids)) == len(listed.ids)


def _lines(path: Path) -> list[str]:
    text = path.read_bytes()[: 1 << 20].decode("utf-8-sig", errors="replace")
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def _read_labelmap(path: Path) -> ClassList | None:
    found: dict[str, Colour] = {}
    for line in _lines(path):
        name, _, rest = line.partition(":")
        parts = rest.partition(":")[0].split(",")
        if len(parts) != 3 or not all(part.strip().isdigit() and int(part) < 256 for part in parts):
            return None
        red, green, blue = map(int, parts)
        found[name] = (red, green, blue)
    return ClassList(path, tuple(found), colours=found)


def _read_csv(path: Path) -> ClassList | None:
    rows = [[cell.strip() for cell in line.split(",", 1)] for line in _lines(path)[1:]]
    if not all(len(row) == 2 and row[0].isdigit() for row in rows):
        return None
    return ClassList(path, tuple(row[1] for row in rows), tuple(int(row[0]) for row in rows))


def _read_names(path: Path) -> ClassList | None:
    lines = [line for line in _lines(path) if line not in _UNUSED]
    numbered = [match for line in lines if (match := _NUMBERED.fullmatch(line))]
    if lines and len(numbered) == len(lines):
        return ClassList(path, tuple(match[2] for match in numbered), tuple(int(match[1]) for match in numbered))
    return ClassList(path, tuple(lines))


def _read_json(path: Path) -> ClassList | None:
    try:
        labels = json.loads(path.read_bytes())["labels"]
        if isinstance(labels, dict):
            return ClassList(path, tuple(labels), tuple(int(raw) for raw in labels.values()))
        colours = {str(label["readable"]): label["color"] for label in labels}
        return ClassList(path, tuple(colours), colours={name: (r, g, b) for name, (r, g, b) in colours.items()})
    except (ValueError, KeyError, TypeError):
        return None


_READERS: Mapping[str, Callable[[Path], ClassList | None]] = {
    "labelmap.txt": _read_labelmap,
    "_classes.csv": _read_csv,
    **dict.fromkeys(NAME_LISTS, _read_names),
    **dict.fromkeys(JSON_LISTS, _read_json),
}
