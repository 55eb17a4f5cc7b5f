"""Learning curves as SVG: thin lines are seeds, thick ones their mean; each epoch tells the values of all variants."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from harness.report.html_axis import Axis, colour_class, dashes, drawing, line, make_axis, mark, words
from harness.report.html_tips import SCORE, one_line
from harness.report.page.text import decimal
from harness.report.study.record import Report, SeedResult, VariantSummary

WIDTH, HEIGHT = 480.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 470.0, 10.0, 262.0
METRICS = (("train/loss", "Training loss", 1.0, 4), (f"val/{SCORE}", f"Validation {SCORE} (%)", 100.0, 2))
"""Metric, title, factor, decimals of exact values."""
ICON = '<svg viewBox="0 0 10 10" aria-hidden="true">'

Line = Mapping[int, float]
"""Epoch -> value."""


def curve_charts(report: Report) -> str:
    """Return training loss and validation score by epoch, and the legend; nothing where no run has an epoch."""
    charts = "".join(_chart(report, *metric) for metric in METRICS)
    legend = "".join(
        f'<li class="{colour_class(place)}"><svg viewBox="0 0 28 8" aria-hidden="true"><line x1="1" y1="4" x2="27" '
        f'y2="4" class="thick"{dashes(place)}/></svg>{html.escape(one_line(variant.name))}</li>'
        for place, variant in enumerate(report.variants)
    )
    legend += f'<li>{ICON}<circle class="best" cx="5" cy="5" r="3.6"/></svg>best epoch</li>'
    if any(seed.status in ("failed", "interrupted") for variant in report.variants for seed in variant.seeds):
        legend += f'<li>{ICON}<path class="broken" d="M1 1l8 8m0-8l-8 8"/></svg>not finished</li>'
    return f'<div class="charts">{charts}</div><ul class="legend">{legend}</ul>' if charts else ""


def _chart(report: Report, metric: str, title: str, factor: float, places: int) -> str:
    lines = {
        (place, seed.seed): found
        for place, variant in enumerate(report.variants)
        for seed in variant.seeds
        if (found := _line(seed, metric, factor))
    }
    if not lines:
        return ""
    epochs = sorted({epoch for found in lines.values() for epoch in found})
    across = Axis(epochs[0] - 0.3, epochs[-1] + 0.3, LEFT, RIGHT)
    upright = make_axis([value for found in lines.values() for value in found.values()], BOTTOM, TOP)
    body = _grid(across, upright)
    for place, variant in enumerate(report.variants):
        own = {seed: found for (owner, seed), found in lines.items() if owner == place}
        body += _draw_lines(variant, place, own, (across, upright))
        body += _draw_ends(variant, place, own, (across, upright), with_best=metric != "train/loss")
    width = max(across.at(1) - across.at(0), 3.0)
    for epoch in epochs:
        box = f'<rect x="{across.at(epoch) - width / 2:g}" y="{TOP:g}" width="{width:g}" height="{BOTTOM - TOP:g}"/>'
        body += mark(_epoch_tip(report, lines, title, epoch, places), box, "epoch")
    svg = drawing(WIDTH, HEIGHT, f"{title} by epoch", body)
    return f'<figure class="chart"><figcaption>{html.escape(title)}</figcaption>{svg}</figure>'


def _grid(across: Axis, upright: Axis) -> str:
    body = "".join(
        line(LEFT, upright.at(tick), RIGHT, upright.at(tick), "grid")
        + words(LEFT - 8, upright.at(tick) + 4, label, "tick", "end")
        for tick, label in upright.ticks()
    )
    whole = [tick for tick, _ in across.ticks(8) if tick == int(tick)]
    body += "".join(words(across.at(tick), BOTTOM + 17, f"{tick:g}", "tick", "middle") for tick in whole)
    return body + words((LEFT + RIGHT) / 2, HEIGHT - 4, "epoch", "tick", "middle")


def _draw_lines(variant: VariantSummary, place: int, lines: Mapping[int, Line], axes: tuple[Axis, Axis]) -> str:
    finished = [lines[seed.seed] for seed in variant.seeds if seed.status == "finished" and seed.seed in lines]
    seeds = "".join(_path(found, axes, f"thin {colour_class(place)}", place) for found in lines.values())
    mean = _mean_line(finished)
    return seeds + (_path(mean, axes, f"thick {colour_class(place)}", place) if len(finished) > 1 else "")


def _path(found: Line, axes: tuple[Axis, Axis], look: str, place: int) -> str:
    across, upright = axes
    points = " ".join(f"{across.at(epoch):g},{upright.at(value):g}" for epoch, value in found.items())
    return f'<polyline points="{points}" class="{look}"{dashes(place)}/>'


def _draw_ends(
    variant: VariantSummary, place: int, lines: Mapping[int, Line], axes: tuple[Axis, Axis], *, with_best: bool
) -> str:
    """Mark the best epoch of finished runs, and where the others broke off."""
    across, upright = axes
    body = ""
    for seed in variant.seeds:
        found = lines.get(seed.seed, {})
        best = seed.best_epoch
        if seed.status == "finished" and with_best and best is not None and best in found:
            x, y = across.at(best), upright.at(found[best])
            body += f'<circle class="best {colour_class(place)}" cx="{x:g}" cy="{y:g}" r="3.6"/>'
        if seed.status in ("failed", "interrupted") and found:
            x, y = across.at(max(found)), upright.at(found[max(found)])
            body += f'<path class="broken {colour_class(place)}" d="M{x - 4:g} {y - 4:g}l8 8m0-8l-8 8"/>'
    return body


def _epoch_tip(report: Report, lines: Mapping[tuple[int, int], Line], title: str, epoch: int, places: int) -> str:
    told = [f"{title}, epoch {epoch}"]
    for place, variant in enumerate(report.variants):
        values = {seed: found[epoch] for (owner, seed), found in lines.items() if owner == place and epoch in found}
        if values:
            singles = ", ".join(f"seed {seed}: {decimal(value, places)}" for seed, value in values.items())
            mean = decimal(sum(values.values()) / len(values), places)
            told.append(f"{one_line(variant.name)} {mean} ({singles})")
    return "\n".join(told)


def _line(seed: SeedResult, metric: str, factor: float) -> dict[int, float]:
    values = {item.epoch: item.metrics.get(metric) for item in seed.epochs}
    return {epoch: value * factor for epoch, value in values.items() if value is not None}


def _mean_line(lines: Sequence[Line]) -> dict[int, float]:
    """Average over seeds at the epochs that all of them reached: a mean over fewer would jump where a seed stops."""
    shared = set(lines[0]).intersection(*lines) if lines else set()
    return {epoch: sum(found[epoch] for found in lines) / len(lines) for epoch in sorted(shared)}
