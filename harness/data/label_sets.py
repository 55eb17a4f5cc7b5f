"""Taxonomies in YAML: those of the package, by name, and a study's own, by path.

name: my-classes
classes:
  - {name: road, ids: [7, 8], colour: [128, 64, 128], parent: flat}     # colour and parent may be left out
ignored: [0, 1]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import Field

from harness.data.taxonomy import IGNORE, Colour, Taxonomy, distinct_colours
from harness.errors import SettingError, did_you_mean
from harness.strict_yaml.located import Node, parse_file

RawId = Annotated[int, Field(ge=0, le=65535)]
Moves = dict[str, RawId | list[RawId]]
IGNORED = "ignored"
"""Stands for a class wherever ids are given to classes: pixels that are not counted."""
_SHIPPED = Path(__file__).with_name("taxonomies")


def shipped_taxonomies() -> tuple[str, ...]:
    """Return the names of the taxonomies that come with harness."""
    return tuple(sorted(path.stem for path in _SHIPPED.glob("*.yaml")))


@cache
def shipped_taxonomy(name: str) -> Taxonomy:
    """Return a taxonomy that comes with harness."""
    return read_taxonomy(_SHIPPED / f"{name}.yaml")


def find_taxonomy(name: str) -> Taxonomy:
    """Return the taxonomy of a name, or of a path that ends in .yaml or .yml.

    Raises:
        SettingError: there is none of this name.
        InputError: the file does not hold a taxonomy; the message gives file, line and column.
    """
    if name.endswith((".yaml", ".yml")):
        return read_taxonomy(Path(name).expanduser())
    if name not in shipped_taxonomies():
        known = did_you_mean(name, shipped_taxonomies())
        raise SettingError(("taxonomy",), f"no taxonomy is named '{name}'; {known}; or the path of a .yaml file")
    return shipped_taxonomy(name)


def read_taxonomy(path: Path) -> Taxonomy:
    """Return the taxonomy of a YAML file; the head of this module shows one.

    Raises:
        InputError: it does not hold one; the message gives file, line, column and key.
    """
    root = parse_file(path)
    fields = root.fields(("name", "classes", "ignored", "warning"), required=("name", "classes"))
    entries = [
        item.fields(("name", "ids", "colour", "parent"), required=("name", "ids")) for item in fields["classes"].items()
    ]
    if not 0 < len(entries) <= IGNORE:
        raise fields["classes"].error(f"{len(entries)} classes; 1 to {IGNORE} are possible")
    class_of: dict[int, int] = {}
    names: list[str] = []
    for index, entry in enumerate(entries):
        name = entry["name"].text()
        if name in (*names, IGNORED):
            raise entry["name"].error(f"the class '{name}' stands twice, or means pixels that are not counted")
        names.append(name)
        _enter(class_of, entry["ids"], index)
    if "ignored" in fields:
        _enter(class_of, fields["ignored"], IGNORE)
    spare = distinct_colours(len(entries))
    return Taxonomy(
        name=fields["name"].text(),
        classes=tuple(names),
        colours=tuple(_colour(e["colour"]) if "colour" in e else spare[k] for k, e in enumerate(entries)),
        class_of=class_of,
        parents=tuple(e["parent"].text() if "parent" in e else "" for e in entries),
        warning=fields["warning"].text() if "warning" in fields else "",
    )


def _enter(class_of: dict[int, int], ids: Node, index: int) -> None:
    for item in ids.items():
        raw = _whole(item, 65535)
        if raw in class_of:
            raise item.error(f"the id {raw} stands twice; a pixel has one class, or is ignored")
        class_of[raw] = index


def _whole(node: Node, largest: int) -> int:
    if not isinstance(node.value, int) or isinstance(node.value, bool) or not 0 <= node.value <= largest:
        raise node.error(f"{node.shown()} was given; it must be a whole number from 0 to {largest}")
    return node.value


def _colour(node: Node) -> Colour:
    values = [_whole(item, 255) for item in node.items()]
    if len(values) != 3:
        raise node.error(f"{node.shown()} was given; it must be red, green and blue, such as [128, 64, 128]")
    return values[0], values[1], values[2]


def move_ids(taxonomy: Taxonomy, moves: Mapping[str, int | list[int]]) -> Taxonomy:
    """Return a taxonomy in which some ids count to another class (or to `ignored`) than it says; the name tells.

    Raises:
        SettingError: there is no such class, or a class would be left without an id.
    """
    if not moves:
        return taxonomy
    index_of = {**{name: index for index, name in enumerate(taxonomy.classes)}, IGNORED: IGNORE}
    class_of, told = dict(taxonomy.class_of), []
    for name, ids in moves.items():
        if name not in index_of:
            raise SettingError(("move", name), f"no class is named '{name}'; {did_you_mean(name, index_of)}")
        listed = ids if isinstance(ids, list) else [ids]
        class_of |= dict.fromkeys(listed, index_of[name])
        told.append(f"{'+'.join(map(str, listed))}>{name}")
    left = [name for name, index in index_of.items() if index not in class_of.values() and index != IGNORE]
    if left:
        raise SettingError(("move",), f"no id is left for {', '.join(left)}; write a taxonomy of your own without it")
    return replace(taxonomy, name=f"{taxonomy.name}({','.join(told)})", class_of=class_of)
