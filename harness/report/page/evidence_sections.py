"""Where the differences are, in words and tables, from the records alone. It describes; verdicts are made elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.report.evidence.records import Evidence, ImageChange, Move, Paired
from harness.report.page import cells
from harness.report.page.model import Block, Cell, Figure, Heading, Row, Table, Text, make_list, make_table
from harness.report.page.text import NOTHING, counted, escape, percent, points

BY_REGION = (
    "miou_dataset of only the pixels in a region, differences in percentage points. border: pixels with a pixel of "
    "another class at most 0.5 % of the image's diagonal away (at least one pixel); interior: all others; top, middle, "
    "bottom: thirds of the height. A region's score is the mean over the classes that occur in its ground truth, so "
    "regions are compared between variants and not with each other."
)
BY_IMAGE = (
    "An image's number is its part in the difference of miou_dataset, in points, a mean over the seeds: the parts of "
    "all images add up to the difference, and a pixel of a rare class weighs more than one of a frequent class, as it "
    "does in the score. In brackets: the change of the image's rightly predicted pixels, in points of all its pixels, "
    "every pixel alike."
)
BY_MOVE = (
    "Moves are read off the difference of two confusion matrices: the runs hold how often each class was predicted, "
    "not what two of them predicted at the same pixel. What a class's pixels lost is spread over what they gained in "
    "proportion, and the bounds are what the matrices allow; pixels that swapped places cancel."
)


def evidence_section(evidence: Sequence[Evidence], primary: str) -> Iterator[Block]:
    """Yield regions, moved pixels and images of each pair of variants; nothing where there is none of them."""
    by_region = [item for item in evidence if item.split == primary and len(item.regions) > 1]
    drawn = [item for item in evidence if item.flow_figure or item.images_figure]
    if not by_region and not drawn:
        return
    yield Heading("Where the differences are")
    yield Text(
        "This section describes differences; it judges none. Everything is paired by seed and averaged over the seeds "
        "that both variants have; ± is the standard deviation over them."
    )
    if by_region:
        yield Heading(f"By region, on {escape(primary)}", level=3)
        yield _regions_table(by_region)
        yield Text(BY_REGION)
    for item in drawn:
        yield from _pair(item)
    yield Text(BY_IMAGE)
    yield Text(BY_MOVE)


def _pair(item: Evidence) -> Iterator[Block]:
    here, there = escape(item.variant), escape(item.against)
    yield Heading(f"{here} against {there}, on {escape(item.split)}", level=3)
    if item.moves:
        yield from make_list("Which pixels moved, the largest moves first:", move_lines(item))
    else:
        yield Text("No class saw 0.2 % of its pixels move from one prediction to another.")
    if item.flow_figure:
        yield Figure(f"figures/{item.flow_figure}", f"Confusion of {here} minus that of {there}")
    yield Text(
        f"Images that lower the score of {here} most, against {there}: {_image_line(item.lost)}. "
        f"That raise it most: {_image_line(item.gained)}."
    )
    if item.images_figure:
        alt = "Images that lower and raise the score most: image, truth, both predictions, difference"
        yield Figure(f"figures/{item.images_figure}", alt)
        yield Text(
            f"Drawn are the images that lower the score most, then those that raise it most, of the {item.kept} of "
            f"{counted(item.images, 'image')} whose predictions were kept; predictions of seed {item.pictured_seed}."
        )


def _regions_table(items: Sequence[Evidence]) -> Table:
    """Return miou_dataset by region: of what the variants are compared with, and each variant's difference to it."""
    widest = max(items, key=lambda item: len(item.seeds))
    regions = widest.regions
    rows: list[Row] = [
        ["share of the pixels (%)", *(cells.share(region.share) for region in regions)],
        [f"{escape(widest.against)} (%)", *(cells.share(region.miou_dataset.against) for region in regions)],
    ]
    for item in items:
        pairs = {region.region: region.miou_dataset for region in item.regions}
        label = f"{escape(item.variant)}, difference ({counted(len(item.seeds), 'seed')})"
        rows.append([label, *(_difference(pairs.get(region.region)) for region in regions)])
    return make_table(["", *(region.region for region in regions)], rows)


def _difference(pair: Paired | None) -> Cell:
    if pair is None or pair.delta is None:
        return Cell(NOTHING)
    singles = (f"seed {seed}: {cells.signed(value)}" for seed, value in zip(pair.seeds, pair.by_seed, strict=True))
    text = points(pair.delta) + ("" if pair.sd is None else f" ± {percent(pair.sd)}")
    return Cell(text, "\n".join([f"{cells.signed(pair.delta)} points", *singles]))


def move_lines(item: Evidence) -> list[str]:
    """Return one sentence for each of the largest moves."""
    return [_say_move(move, len(item.seeds)) for move in item.moves]


def _say_move(move: Move, seeds: int) -> str:
    source, target = ("correct" if name == move.true else escape(name) for name in (move.source, move.target))
    least, most = percent(move.least), percent(move.most)
    bounds = "" if least == most else f"; the counts allow {least} to {most} %"
    told = f"{percent(move.share)} % of {escape(move.true)} ({counted(move.pixels, 'pixel')}) moved"
    return f"{told} from {source} to {target}{bounds}; in {move.agreeing} of {counted(seeds, 'seed')}"


def _image_line(changes: Sequence[ImageChange]) -> str:
    """Return images with what they add to the difference and how their right pixels changed; `none` without any."""
    told = (f"{escape(item.image)} {points(item.change, 2)} ({points(item.right)})" for item in changes)
    return ", ".join(told) or "none"
