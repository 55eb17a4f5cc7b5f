"""The commands about data: `harness data ...`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.errors import InputError

if TYPE_CHECKING:
    from harness.records import Choice

data = typer.Typer(help="Look at data sets before training on them.", no_args_is_help=True, rich_markup_mode=None)


@data.callback()
def about() -> None:
    """Look at data sets before training on them."""


@data.command()
def audit(
    place: Annotated[
        Path, typer.Argument(metavar="SPEC|ROOT", help="A study in YAML, or a folder of data.", show_default=False)
    ],
    profile: Annotated[
        str | None, typer.Option(metavar="NAME", help="Use a profile of the spec.", show_default=False)
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change a setting of the base; may be repeated.", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Where figures and audit.json go [default: audit/NAME].", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Read every image and label and tell what is wrong with them, most serious first. Changes nothing.

    Finds files that are missing, orphaned, unreadable or of a wrong size or mode, ids without a class, classes that a
    split lacks, copies across splits, and how many independent units val has; proposes class weights. Exit code 2 where
    training would refuse the data; 0 where there are at most warnings.

    Example: harness data audit ablations/camvid.yaml
    """
    from harness.audit import audit_data, gather, write_audit
    from harness.audit_tables import print_audit, show_reading

    name, choices = _from_folder(place) if place.is_dir() else _from_study(place, profile, set_ or [])
    several = gather(choices)
    top = out or Path("audit") / name
    audits = []
    for number, members in enumerate(several, start=1):
        folder = top if len(several) == 1 else top / f"{number}-{members[0].name}"
        with show_reading() as listen:
            found = audit_data(members, listen)
        write_audit(found, members[0], folder)
        audits.append(found)
        if not as_json:
            print_audit(found, folder)
    if as_json:
        print(json.dumps({"audits": [found.to_dict() for found in audits]}, indent=2))
    if any(found.refused for found in audits):
        raise typer.Exit(2)


def _from_study(path: Path, profile: str | None, overrides: list[str]) -> tuple[str, list[Choice]]:
    """Return a study's name and what its variants read."""
    from harness import api

    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder; give a study in YAML, or the folder of a data set")
    spec = api.load_spec(path, profile=profile, overrides=overrides)
    return spec.study, [variant.config.data for variant in spec.variants]


def _from_folder(root: Path) -> tuple[str, list[Choice]]:
    """Return a folder's name and the data set that is recognised in it."""
    import harness.data  # noqa: F401 - enter the data sets into the catalog
    from harness.catalog import choose
    from harness.data.layouts import recognise

    first, *others = recognise(root)
    print(f"{root}: read as {first.name} ({first.why})", file=sys.stderr)
    for layout in others:
        print(f"it could also be read as {layout.name} ({layout.why})", file=sys.stderr)
    return root.resolve().name, [choose("data", first.name, first.settings)]
