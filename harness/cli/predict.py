"""`harness predict`: a trained run's model on pictures."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from harness.cli.options import AsJson, Device, Root, RunName, Uri, print_json, tell_run, warn
from harness.errors import InputError, did_you_mean
from harness.files import DEFAULT_ROOT

if TYPE_CHECKING:
    from harness.apply.predict.infer import FailedPicture
    from harness.apply.predict.outputs import Ids
    from harness.apply.predict.run import Job, PredictedPicture
    from harness.apply.predict.tiles import Tiling

LOWEST = 5


def predict(
    run: RunName,
    images: Annotated[list[str], Argument(metavar="IMAGE...", help="Pictures, folders, or patterns in quotes.")],
    out: Annotated[Path | None, Option(metavar="FOLDER", help="Where to write [default: predictions/RUN].")] = None,
    ids: Annotated[str, Option(help="train: class indices from 0; raw: ids as in the data set's labels.")] = "train",
    palette: Annotated[bool, Option("--palette", help="Give label files the classes' colours.")] = False,
    opacity: Annotated[float, Option(min=0, max=1, help="Of the colours in overlays.")] = 0.5,
    maps: Annotated[bool, Option("--maps", help="Write maps of confidence and entropy, too.")] = False,
    grid: Annotated[bool, Option("--grid", help="Draw contact sheets, too.")] = False,
    truth: Annotated[
        Path | None, Option(metavar="FOLDER", help="Labels of the same names: shown beside, and scored.")
    ] = None,
    flip: Annotated[bool, Option("--flip", help="Look at each picture mirrored, too, and average.")] = False,
    scales: Annotated[str, Option(metavar="0.75,1,1.25", help="Look at each scale, and average.")] = "1",
    tile: Annotated[
        tuple[int, int] | None, Option(metavar="H W", help="Cut larger pictures into tiles [default: see --memory].")
    ] = None,
    overlap: Annotated[
        int | None, Option(metavar="PX", help="Shared by neighbouring tiles [default: a quarter].")
    ] = None,
    memory: Annotated[float, Option(metavar="GB", min=0.1, help="Pictures that need more are tiled.")] = 4.0,
    device: Device = "auto",
    threads: Annotated[int | None, Option(min=1, help="CPU threads [default: those of the run].")] = None,
    root: Root = DEFAULT_ROOT,
    tracking_uri: Uri = None,
    as_json: AsJson = False,
) -> None:
    """Predict pictures with a trained run: label ids, colour masks and overlays, at each picture's own size.

    Neither the study nor its data set is needed. Exit code 1 where a picture cannot be used; the others are written.
    Example: harness predict camvid/pretrained@best "drive/*.jpg" --grid --maps
    """
    from harness import api
    from harness.apply.predict.infer import Views
    from harness.apply.predict.outputs import OutputFormat
    from harness.apply.predict.run import RECORD, PredictOptions, prepare_job

    known: dict[str, Ids] = {"train": "train", "raw": "raw"}
    if ids not in known:
        raise InputError(f"--ids {ids}: {did_you_mean(ids, known)}")
    wanted = PredictOptions(
        form=OutputFormat(known[ids], palette, opacity),
        views=Views(_parse_scales(scales), flip),
        tiling=_make_tiling(tile, overlap),
        memory_bytes=round(memory * 2**30),
        maps=maps,
        grid=grid,
        truth=truth,
        device=device,
        threads=threads,
    )
    chosen = api.choose_run(run, store=api.open_store(root, tracking_uri, warn=warn))
    place = out or Path("predictions") / re.sub(r"[/@]", "-", chosen.label)
    job = prepare_job(chosen, images, place, wanted)
    tell_run(chosen)
    done, failed, seconds = _follow(job)
    record = json.loads((job.out / RECORD).read_text(encoding="utf-8"))
    if as_json:
        print_json({**record, "out": str(place), "images_per_s": len(done) / seconds})
    else:
        _print_outcome(job, done, seconds, record["scores"])
    if failed:
        print(f"{len(failed)} of {len(job.pictures)} pictures had faults: see above", file=sys.stderr)
        raise typer.Exit(1)


def _make_tiling(tile: tuple[int, int] | None, overlap: int | None) -> Tiling | None:
    from harness.apply.predict.tiles import GRID_PX, Tiling

    if tile is not None:
        return Tiling(*tile, min(tile) // 4 // GRID_PX * GRID_PX if overlap is None else overlap)
    if overlap is not None:
        raise InputError(f"--overlap {overlap} needs --tile H W")
    return None


def _parse_scales(text: str) -> tuple[float, ...]:
    try:
        scales = tuple(float(word) for word in text.split(","))
    except ValueError:
        scales = ()
    if not scales or not all(0.1 <= scale <= 10 for scale in scales) or len(set(scales)) < len(scales):
        raise InputError(
            f"--scales {text}: give different factors from 0.1 to 10 joined by commas, such as 0.75,1,1.25"
        )
    return scales


def _follow(job: Job) -> tuple[list[PredictedPicture], list[FailedPicture], float]:
    """Run a job, showing progress, and a warning for each picture with a fault; return also the seconds it took."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from harness.apply.predict.infer import FailedPicture
    from harness.apply.predict.run import make_predictor, run_job
    from harness.cli.progress import count_plainly, warn_beside

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    predictor = make_predictor(job)
    done: list[PredictedPicture] = []
    failed: list[FailedPicture] = []
    seen: set[str] = set()
    total, began = len(job.pictures), time.monotonic()
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("pictures", total=total)
        for item in run_job(job, predictor):
            if isinstance(item, FailedPicture):
                failed.append(item)
                warn_beside(console, item.reason)
            else:
                done.append(item)
            if item.picture.name not in seen:
                seen.add(item.picture.name)
                bar.update(task, completed=len(seen))
                count_plainly(console, len(seen), total, "pictures")
    return done, failed, time.monotonic() - began


def _print_outcome(job: Job, done: list[PredictedPicture], seconds: float, scores: dict[str, Any] | None) -> None:
    turned = sum(item.turned for item in done)
    tiled = sum(item.tile is not None for item in done)
    kinds = sorted({kind for item in done for kind in item.files}) + ["grid"] * job.wanted.grid
    number = f"{len(done):,} {'picture' if len(done) == 1 else 'pictures'}"
    print(f"{number} predicted, {len(done) / seconds:.1f} images/s; {', '.join(kinds)} in {job.out}")
    if job.passed_over:
        print(f"{job.passed_over:,} files were passed over: by their names they are masks of the others")
    if turned:
        print(f"{turned:,} of them turned upright, as their EXIF orientation says; so are their results")
    if tiled:
        print(f"{tiled:,} of them cut into tiles; sizes in predictions.json")
    if scores is None:
        return
    print(f"against the truth of {scores.pop('images'):,} pictures:")
    for name, value in scores.items():
        print(f"  {name:<24} {'not in the truth' if value is None else f'{value:.4f}'}")
    judged = sorted((item for item in done if item.miou_image is not None), key=lambda item: item.miou_image or 0.0)
    print(f"lowest miou_image of {len(judged):,} pictures (all are in predictions.json):")
    for item in judged[:LOWEST]:
        print(f"  {item.miou_image:.4f}  {item.picture.name}")
