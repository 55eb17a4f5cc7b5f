"""The files that a prediction leaves: label ids, colour masks, overlays, maps of certainty."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from harness.apply.predict.infer import Predicted
from harness.apply.predict.overlay import draw_overlay, paint
from harness.apply.predict.png import cut_rows, write_png
from harness.data.source import Label, RawIds
from harness.data.taxonomy import Taxonomy
from harness.errors import InputError

Ids = Literal["train", "raw"]


@dataclass(frozen=True)
class OutputFormat:
    """How labels and overlays are written."""

    ids: Ids = "train"
    """Class indices from 0, or the raw ids of the data set's label files."""
    palette: bool = False
    """Whether label files carry the classes' colours; else they are grey."""
    opacity: float = 0.5
    """Of the colours over the picture, 0 to 1."""


def raw_table(taxonomy: Taxonomy) -> RawIds:
    """Return class index -> raw id, [C]: the lowest of the class's ids. 8 bits where all ids fit them, else 16.

    Raises:
        InputError: the run did not record raw ids.
    """
    ids = [taxonomy.raw_ids(index) for index in range(len(taxonomy.classes))]
    if not all(ids):
        raise InputError("--ids raw: this run's record holds no raw ids (it is older than they are kept); use train")
    lowest = [of_class[0] for of_class in ids]
    return np.array(lowest, np.uint8 if max(lowest) < 256 else np.uint16)


def check_form(form: OutputFormat, taxonomy: Taxonomy) -> None:
    """Refuse what cannot be written.

    Raises:
        InputError: raw ids are not known, or too large for a palette.
    """
    if form.ids == "raw" and raw_table(taxonomy).dtype == np.uint16 and form.palette:
        most = int(raw_table(taxonomy).max())
        raise InputError(f"--palette: a palette holds ids up to 255, these raw ids reach {most}; use --ids train")


def write_prediction(
    item: Predicted, out: Path, *, taxonomy: Taxonomy, form: OutputFormat, truth: Label | None, miou: float | None
) -> dict[str, Path]:
    """Write all files of one picture; return kind -> file."""
    place = {kind: out / kind / f"{item.picture.name}.png" for kind in ("labels", "masks", "overlays")}
    height, width = item.label.shape
    table = raw_table(taxonomy) if form.ids == "raw" else np.arange(len(taxonomy.classes), dtype=np.uint8)
    colours = dict(zip(table.tolist(), taxonomy.colours, strict=True)) if form.palette else {}
    palette = [colours.get(index, (0, 0, 0)) for index in range(256)] if form.palette else []
    write_png(place["labels"], (height, width), cut_rows(height, width, lambda rows: table[item.label[rows]]), palette)
    write_png(place["masks"], (height, width), cut_rows(height, width, lambda rows: paint(item.label[rows], taxonomy)))
    score = "" if miou is None else f", mIoU {100 * miou:.1f} %"
    panels = {f"prediction{score}": item.label} | ({} if truth is None else {"truth": truth})
    write_png(place["overlays"], *draw_overlay(item.image, panels, taxonomy, form.opacity))
    for kind, values in item.maps.items():
        place[kind] = out / kind / f"{item.picture.name}.png"
        write_png(place[kind], (height, width), [values])
    return place
