"""The evidence in words and tables, from its records alone. It describes; verdicts are made elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from harness.report.evidence.records import Evidence, ImageChange, Move, Paired
from harness.report.page.text import NOTHING, counted, escape, fine_points, percent, points, table


def of_split(evidence: Sequence[Evidence], split: str) -> list[Evidence]:
    """Return the evidence on one split."""
    return [item for item in evidence if item.split == split]


def is_shown(evidence: Sequence[Evidence], split: str) -> bool:
    """Tell whether there is anything to show: regions of a split, or figures."""
    return has_regions(evidence, split) or any(item.flow_figure or item.images_figure for item in evidence)


def has_regions(evidence: Sequence[Evidence], split: str) -> bool:
    """Tell whether pixels were counted by region on a split."""
    return any(len(item.regions) > 1 for item in of_split(evidence, split))


def regions_table(evidence: Sequence[Evidence], split: str) -> str:
    """Return miou_dataset by region: of what the variants are compared with, and each variant's difference to it."""
    items = [item for item in of_split(evidence, split) if len(item.regions) > 1]
    widest = max(items, key=lambda item: len(item.seeds))
    names = [region.region for region in widest.regions]
    rows = [
        ["share of the pixels (%)", *(percent(region.share) for region in widest.regions)],
        [f"{escape(widest.against)} (%)", *(percent(region.miou_dataset.against) for region in widest.regions)],
    ]
    for item in items:
        pairs = {region.region: region.miou_dataset for region in item.regions}
        label = f"{escape(item.variant)}, difference ({counted(len(item.seeds), 'seed')})"
        rows.append([label, *(_difference(pairs.get(name)) for name in names)])
    return table(["", *names], rows)


def _difference(pair: Paired | None) -> str:
    if pair is None or pair.delta is None:
        return NOTHING
    return points(pair.delta) + ("" if pair.sd is None else f" ± {percent(pair.sd)}")


def move_lines(item: Evidence) -> list[str]:
    """Return one sentence for each of the largest moves."""
    return [_say_move(move, len(item.seeds)) for move in item.moves]


def _say_move(move: Move, seeds: int) -> str:
    source, target = ("correct" if name == move.true else escape(name) for name in (move.source, move.target))
    least, most = percent(move.least), percent(move.most)
    bounds = "" if least == most else f"; the counts allow {least} to {most} %"
    told = f"{percent(move.share)} % of {escape(move.true)} ({counted(move.pixels, 'pixel')}) moved"
    return f"{told} from {source} to {target}{bounds}; in {move.agreeing} of {counted(seeds, 'seed')}"


def image_line(changes: Sequence[ImageChange]) -> str:
    """Return images with what they add to the difference and how their right pixels changed; `none` without any."""
    told = (f"{escape(item.image)} {fine_points(item.change)} ({points(item.right)})" for item in changes)
    return ", ".join(told) or "none"
