"""The commands about data: `harness data ...`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from harness.cli.options import AsJson, Profile, SetsOfBase, SpecFile, print_json
from harness.errors import InputError, describe_missing, did_you_mean

if TYPE_CHECKING:
    from harness.data.convert import Outcome
    from harness.data.recognised import Layout
    from harness.settings import DataChoice

data = typer.Typer(help="Look at data sets before training on them.", no_args_is_help=True, rich_markup_mode=None)


@data.command()
def audit(
    place: Annotated[Path, Argument(metavar="SPEC|ROOT", help="A study in YAML, or a folder of data.")],
    profile: Profile = None,
    set_: SetsOfBase = None,
    out: Annotated[
        Path | None, Option(metavar="FOLDER", help="Where figures and audit.json go [default: audit/NAME].")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read every image and label and tell what is wrong with them, most serious first. Changes nothing.

    Finds files that are missing, orphaned, unreadable or of a wrong size or mode, ids without a class, classes that a
    split lacks, copies across splits, and how many independent units val has; proposes class weights. Exit code 2 where
    training would refuse the data; 0 where there are at most warnings.

    Example: harness data audit ablations/camvid.yaml
    """
    from harness.audit.run import audit_data, gather, write_audit
    from harness.cli.tables import print_audit, show_reading

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
        print_json({"audits": [found.to_dict() for found in audits]})
    if any(found.refused for found in audits):
        raise typer.Exit(2)


def _from_study(path: Path, profile: str | None, overrides: list[str]) -> tuple[str, list[DataChoice]]:
    """Return a study's name and what its variants read."""
    from harness import api

    if not path.exists():
        missing = describe_missing(path, "file or folder")
        raise InputError(f"{missing}; give a study in YAML, or the folder of a data set")
    spec = api.load_spec(path, profile=profile, overrides=overrides)
    return spec.study, [variant.config.data for variant in spec.variants]


def _from_folder(root: Path) -> tuple[str, list[DataChoice]]:
    """Return a folder's name and the data set that is recognised in it."""
    from harness.data import open_whole
    from harness.data.layouts import recognise
    from harness.data.recognised import tell_guesses
    from harness.registry import choose

    first, *others = recognise(root)
    choice = choose("data", first.name, first.settings)
    print(f"{root}: read as {first.name} ({first.why})", file=sys.stderr)
    print("\n".join(list_guesses(tell_guesses(first, open_whole(choice)), others)), file=sys.stderr)
    return root.resolve().name, [choice]


def list_guesses(guesses: Mapping[str, str], others: Iterable[Layout]) -> list[str]:
    """Return the lines that tell what was guessed, a topic each, and as what else the folder could be read."""
    wide = max(map(len, guesses)) + 1
    return [
        "guessed, so see that it is right:",
        *(f"  {f'{topic}:':<{wide}} {told}" for topic, told in guesses.items()),
        *(f"it could also be read as {layout.name} ({layout.why})" for layout in others),
    ]


@data.command()
def prepare(
    root: Annotated[Path, Argument(metavar="ROOT", help="Cityscapes as downloaded.")],
    taxonomy: Annotated[
        str, Option(metavar="NAME", help="cityscapes34, 19, 10, 7, or the path of a YAML file.")
    ] = "cityscapes19",
    out: Annotated[Path | None, Option(metavar="FOLDER", help="Where to write [default: prepared/TAXONOMY].")] = None,
    split: Annotated[list[str] | None, Option(help="train or val; may be repeated [default: both].")] = None,
    max_images: Annotated[int | None, Option(min=1, help="At most so many of each split, spread over cities.")] = None,
    strict: Annotated[bool, Option("--strict", help="End with exit code 1 where something is skipped.")] = False,
) -> None:
    """Convert Cityscapes' label ids to 8-bit masks of class indices (255 = ignored); interrupted, it can go on.

    Example: harness data prepare data/cityscapes --taxonomy cityscapes10
    """
    from harness.data.cityscapes import SPLITS
    from harness.data.convert import SKIPPED, convert, find_annotations
    from harness.data.label_sets import find_taxonomy

    classes = find_taxonomy(taxonomy)
    folder = out or Path("prepared") / classes.name
    if out is None and folder.resolve().is_relative_to(root.expanduser().resolve()):
        raise InputError(f"{folder} would lie within the data's own folder; say where to write with --out FOLDER")
    for name in split or ():
        if name not in SPLITS:
            why = ": its published labels hold nothing but void" if name == "test" else ""
            raise InputError(f"--split {name}{why}; give {' or '.join(SPLITS)}")
    annotations = find_annotations(root, list(dict.fromkeys(split or SPLITS)), max_images)
    states = Counter(item.state for item in _follow(convert(annotations, classes, folder), len(annotations)))
    made, left = states["written"] + states["kept"], states["skipped"]
    told = f"; {left:,} skipped, listed in {folder / SKIPPED}" if left else ""
    print(f"{folder}: {made:,} masks of {len(classes.classes)} classes, {states['kept']:,} of them there already{told}")
    print(f"use them: harness init {folder} --out STUDY.yaml writes a study on them (data set folder)")
    if left and strict:
        raise typer.Exit(1)


def _follow(outcomes: Iterable[Outcome], total: int) -> Iterator[Outcome]:
    """Pass outcomes on, showing progress and a warning for each that was skipped."""
    from rich.console import Console
    from rich.progress import Progress

    from harness.cli.progress import count_plainly, warn_beside

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("masks", total=total)
        for done, item in enumerate(outcomes, start=1):
            bar.update(task, completed=done)
            if item.state == "skipped":
                warn_beside(console, f"{item.annotation.name} is skipped: {item.reason}")
            count_plainly(console, done, total, "masks")
            yield item


@data.command()
def show(
    spec: SpecFile,
    variant: Annotated[str | None, Option(metavar="NAME", help="Whose settings [default: the reference].")] = None,
    profile: Profile = None,
    set_: SetsOfBase = None,
    split: Annotated[str, Option(help="train, val or test; train alone is augmented.")] = "train",
    images: Annotated[int, Option(min=1, max=16, help="Images, evenly spread over the split.")] = 4,
    epoch: Annotated[int, Option(min=1, help="Each epoch augments anew.")] = 1,
    seed: Annotated[int | None, Option(min=0, help="Seed of the run [default: the study's first].")] = None,
    out: Annotated[Path, Option(metavar="FILE", help="The PNG to write.")] = Path("show.png"),
) -> None:
    """Draw images with their masks, and what the augmentation and crop of a variant make of them for the model.

    Example: harness data show ablations/phase3.yaml --variant phase3
    """
    from dataclasses import replace

    from harness import api
    from harness.execute.preview import show_data

    study = api.load_spec(spec, profile=profile, overrides=set_ or ())
    name = variant or study.compare.reference
    by_name = {item.name: item for item in study.variants}
    if name not in by_name:
        raise InputError(f"--variant {name}: there is none of that name; {did_you_mean(name, by_name)}")
    config = replace(by_name[name].config, seed=study.seeds[0] if seed is None else seed)
    show_data(config, split, images=images, epoch=epoch, title=f"{study.study}, variant {name}", path=out)
    print(out)


@data.command()
def cache(clear: Annotated[bool, Option("--clear", help="Remove them all.")] = False) -> None:
    """List the caches of decoded images with their sizes, or free their space; they are made again when needed.

    Example: harness data cache --clear
    """
    from harness.data.cache import clear_caches, list_caches

    if clear:
        print(f"{_bytes(clear_caches())} freed")
        return
    found = list_caches()
    for entry in found:
        print(f"{entry.folder}: {entry.title}, {_bytes(entry.bytes)}")
    print(f"{len(found)} caches, {_bytes(sum(entry.bytes for entry in found))}")


def _bytes(number: int) -> str:
    return f"{number / 1e9:.2f} GB" if number >= 1e8 else f"{number / 1e6:.2f} MB"
