"""`predict`: a chosen run's model on pictures; files for each, a record of all, and scores where the truth is given."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from harness.apply.choose import ChosenRun
from harness.apply.model import load_model
from harness.apply.predict.contact_sheet import ROWS, Row, draw_sheet, make_row
from harness.apply.predict.infer import FailedPicture, Predicted, Predictor, Views
from harness.apply.predict.input_images import Picture, check_place, find_labels, find_pictures, find_truth, name_labels
from harness.apply.predict.legend import count_labels
from harness.apply.predict.outputs import OutputFormat, check_form, raw_table, write_prediction
from harness.apply.predict.tiles import Tiling
from harness.counts import make_counts, save_counts
from harness.data.images import read_ids
from harness.data.palettes import check_palettes
from harness.data.source import Label
from harness.data.taxonomy import map_ids
from harness.errors import InputError
from harness.files import write_text, write_whole
from harness.records import Counts
from harness.scores import all_scores, iou_class, miou_image
from harness.train.regions import Confusion, count_confusion

RECORD_VERSION = 1
RECORD = "predictions.json"


@dataclass(frozen=True)
class PredictOptions:
    """What is asked for beside the pictures."""

    form: OutputFormat = field(default_factory=OutputFormat)
    views: Views = field(default_factory=Views)
    tiling: Tiling | None = None
    """Tiles for larger pictures; None tiles those whose forward pass would occupy more than `memory_bytes`."""
    memory_bytes: int = 4 * 2**30
    maps: bool = False
    grid: bool = False
    truth: Path | None = None
    """Folder of label files named like the pictures."""
    device: str = "auto"
    threads: int | None = None
    """CPU threads; None takes those of the run, with which its numbers come again."""


@dataclass(frozen=True)
class Job:
    """What is to be done, checked."""

    chosen: ChosenRun
    pictures: tuple[Picture, ...]
    out: Path
    wanted: PredictOptions
    truth: Mapping[str, Path]
    """Picture's name -> label file."""
    passed_over: int = 0
    """Files that were given and are no pictures, but labels of others."""


@dataclass(frozen=True)
class PredictedPicture:
    """One picture whose files are written."""

    picture: Picture
    size: tuple[int, int]
    turned: bool
    tile: Tiling | None
    """The tiles that it was cut into."""
    files: Mapping[str, Path]
    pixels: tuple[int, ...]
    """Predicted as each class."""
    confusion: Confusion | None
    """Rows are true classes, columns predicted ones (pixels); None without truth."""
    miou_image: float | None


def prepare_job(chosen: ChosenRun, images: Sequence[str], out: Path, wanted: PredictOptions) -> Job:
    """Find the pictures that texts mean, and their truth, before anything is computed.

    Raises:
        InputError: a text means nothing, results would lie among what is read, or cannot be written as asked for; or
            one colour stands for several ids in the truth.
    """
    found, out = find_pictures(images), out.expanduser()
    check_place(out, images, found, wanted.truth)
    check_form(wanted.form, chosen.taxonomy)
    label_name = name_labels(chosen.config.data)
    labels = find_labels((picture.path for picture in found), label_name)
    pictures = tuple(picture for picture in found if picture.path not in labels)
    truth = find_truth(wanted.truth, pictures, label_name) if wanted.truth else {}
    check_palettes(truth.values())
    return Job(chosen, pictures, out, wanted, truth, passed_over=len(labels))


def make_predictor(job: Job) -> Predictor:
    """Return what predicts the job's pictures; builds the model.

    Raises:
        InputError: the weights cannot be read, the model sees what pictures do not show, or tiles are of no use.
    """
    wanted = job.wanted
    model = load_model(job.chosen, device=wanted.device, threads=wanted.threads)
    return Predictor(model, wanted.views, tiling=wanted.tiling, limit=wanted.memory_bytes, maps=wanted.maps)


def run_job(job: Job, predictor: Predictor) -> Iterator[PredictedPicture | FailedPicture]:
    """Predict each picture and write its files; yield what became of it. Ends with the record of all (`RECORD`).

    The same job gives the same bytes. A picture whose truth cannot be used is yielded as failed, and is predicted all
    the same.
    """
    done, failed, sheets = list[PredictedPicture](), list[FailedPicture](), _Sheets(job)
    for item in predictor.predict(job.pictures):
        truth = None
        if isinstance(item, Predicted):
            try:
                truth = _read_truth(job, item)
            except InputError as error:
                failed.append(FailedPicture(item.picture, str(error)))
                yield failed[-1]
            done.append(_write(job, item, truth))
            if job.wanted.grid:
                sheets.add(_make_row(job, item, truth, done[-1]))
            yield done[-1]
        else:
            failed.append(item)
            yield item
    sheets.close()
    counts = _count_truth(done, job.chosen.classes)
    if counts is not None:
        save_counts(job.out / "counts.npz", counts)
    record = _make_record(job, done, failed, counts)
    write_text(job.out / RECORD, json.dumps(record, indent=2, ensure_ascii=False))


class _Sheets:
    """Contact sheets, each written when it is full: `grid.png`, or `grid-1.png` and so on where there are several."""

    def __init__(self, job: Job) -> None:
        self._job, self._rows, self._written = job, list[Row](), 0

    def add(self, row: Row) -> None:
        self._rows.append(row)
        if len(self._rows) == ROWS:
            self.close()

    def close(self) -> None:
        """Write the rows that wait."""
        if self._rows:
            chosen, self._written = self._job.chosen, self._written + 1
            sheet = draw_sheet(self._rows, chosen.taxonomy, chosen.label)
            sheets = -(-len(self._job.pictures) // ROWS)
            name = "grid.png" if sheets == 1 else f"grid-{self._written:0{len(str(sheets))}}.png"
            write_whole(self._job.out / name, lambda file: sheet.save(file, format="PNG"))
            self._rows = []


def _read_truth(job: Job, item: Predicted) -> Label | None:
    path = job.truth.get(item.picture.name)
    if path is None:
        return None
    label = map_ids(read_ids(path), job.chosen.taxonomy, str(path))
    if label.shape != item.label.shape:
        (height, width), size = item.label.shape, label.shape
        turned = " (turned upright by its EXIF orientation)" if item.turned else ""
        raise InputError(
            f"{path}: the label is {size[0]}x{size[1]}, its picture {height}x{width}{turned} (height x width)"
        )
    return label


def _write(job: Job, item: Predicted, truth: Label | None) -> PredictedPicture:
    confusion = miou = None
    num_classes = len(job.chosen.classes)
    if truth is not None:
        confusion = count_confusion(item.label, truth, num_classes)
        score = miou_image(make_counts([confusion], [item.picture.name], [item.picture.name], job.chosen.classes))
        miou = None if np.isnan(score) else score
    files = write_prediction(item, job.out, taxonomy=job.chosen.taxonomy, form=job.wanted.form, truth=truth, miou=miou)
    height, width = item.label.shape
    pixels = count_labels([item.label])[:num_classes].tolist()
    size = (height, width)
    return PredictedPicture(item.picture, size, item.turned, item.tiling, files, tuple(pixels), confusion, miou)


def _make_row(job: Job, item: Predicted, truth: Label | None, done: PredictedPicture) -> Row:
    score = "" if done.miou_image is None else f" · mIoU {100 * done.miou_image:.1f} %"
    caption, taxonomy = f"{item.picture.name}{score}", job.chosen.taxonomy
    return make_row(item.image, item.label, caption=caption, taxonomy=taxonomy, truth=truth, maps=item.maps)


def _count_truth(done: Sequence[PredictedPicture], classes: Sequence[str]) -> Counts | None:
    """Return the counts of all pictures with truth, each a group of its own; None where there is none."""
    judged = [(item.picture.name, item.confusion) for item in done if item.confusion is not None]
    names = [name for name, _ in judged]
    return make_counts([confusion for _, confusion in judged], names, names, classes) if judged else None


def _make_record(
    job: Job, done: Sequence[PredictedPicture], failed: Sequence[FailedPicture], counts: Counts | None
) -> dict[str, Any]:
    """Return what was predicted, ready for JSON; nothing in it changes from one time to the next."""
    chosen = job.chosen
    raw_ids = raw_table(chosen.taxonomy).tolist() if chosen.taxonomy.class_of else [None] * len(chosen.classes)
    classes = [
        {"index": index, "name": name, "colour": list(colour), "raw_id": raw}
        for index, (name, colour, raw) in enumerate(zip(chosen.classes, chosen.colours, raw_ids, strict=True))
    ]
    return {
        "version": RECORD_VERSION,
        "run": {"id": chosen.run_id, "label": chosen.label, "note": chosen.note},
        "ids": job.wanted.form.ids,
        "classes": classes,
        "images": [_entry(item, job.out) for item in done],
        "failed": [{"image": str(item.picture.path), "reason": item.reason} for item in failed],
        "scores": None if counts is None else _make_scores(counts),
    }


def _entry(item: PredictedPicture, out: Path) -> dict[str, Any]:
    return {
        "image": str(item.picture.path),
        "name": item.picture.name,
        "size": list(item.size),
        "turned": item.turned,
        "tile": item.tile and list(item.tile),
        "files": {kind: path.relative_to(out).as_posix() for kind, path in item.files.items()},
        "pixels": list(item.pixels),
        "miou_image": item.miou_image,
    }


def _make_scores(counts: Counts) -> dict[str, Any]:
    """Return the scores over all pictures with truth, and the IoU of each class."""
    ious = zip(counts.classes, iou_class(counts.confusion_CC()), strict=True)
    scores = {**all_scores(counts), **{f"iou/{name}": float(value) for name, value in ious}}
    defined = {name: None if np.isnan(value) else value for name, value in scores.items()}
    return {"images": len(counts.images), **defined}
