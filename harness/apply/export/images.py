"""Real pictures that an exported model is checked on: given ones, the data set's own, or those kept with the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.apply.choose import Chosen
from harness.apply.predict.label_names import LabelName, find_labels, name_labels
from harness.data import open_source
from harness.data.images import read_image
from harness.data.listing import IMAGE_ENDINGS
from harness.data.source import Image, Source
from harness.data.subsets import hold_out
from harness.errors import InputError, describe_missing
from harness.predictions import choose_kept, unpack

MOST = 50


@dataclass(frozen=True)
class Pictures:
    """Pictures that are read one by one."""

    names: tuple[str, ...]
    read: Callable[[int], Image]
    """Place -> picture [H, W, 3]."""
    source: str
    """Where they are from, in words for the user."""


def find_pictures(chosen: Chosen, folder: Path | None) -> Pictures:
    """Return up to 50 real pictures, evenly spaced: of `folder`, else of the val split, else those kept with the run.

    Raises:
        InputError: the folder has none; or there is no folder, and neither data set nor record has any.
    """
    if folder is not None:
        return _of_folder(folder, name_labels(chosen.config.data))
    try:
        return _of_split(open_judged(chosen))
    except InputError as error:
        missing = str(error)
    kept = chosen.result.predictions
    if kept is None or not kept.names:
        raise InputError(f"no picture to check the export on ({missing}); give some with --images FOLDER")
    places = choose_kept(len(kept.names), MOST)
    names = tuple(kept.names[place] for place in places)
    source = "val pictures kept with the run (JPEG): the data set is not at hand"
    return Pictures(names, lambda place: unpack(kept, names[place]).image, source)


def open_judged(chosen: Chosen) -> Source:
    """Open the data set that a run was judged on.

    Raises:
        InputError: it is not where the run's config says, or its val split is no longer the same.
    """
    config = chosen.config
    source = open_source(config.data, config.seed)
    if config.evaluate.select_split == "held_out":
        source = hold_out(source)
    if source.splits["val"].digest != chosen.result.contract["splits"]["val"]:
        raise InputError(f"data '{config.data.name}': its val split is not the one that the run was judged on")
    return source


def _of_split(source: Source) -> Pictures:
    split = source.splits["val"]
    places = choose_kept(len(split.names), MOST)
    names = tuple(split.names[place] for place in places)
    return Pictures(names, lambda place: split.read_image(places[place]), "val split of the data set")


def _of_folder(folder: Path, label_name: LabelName) -> Pictures:
    if not folder.is_dir():
        raise InputError(f"--images {describe_missing(folder)}")
    listed = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_ENDINGS]
    found = sorted({*listed} - find_labels(listed, label_name))
    if not found:
        raise InputError(f"--images {folder}: no pictures there; known endings: {', '.join(IMAGE_ENDINGS)}")
    files = [found[place] for place in choose_kept(len(found), MOST)]
    return Pictures(tuple(path.name for path in files), lambda place: read_image(files[place]), str(folder))
