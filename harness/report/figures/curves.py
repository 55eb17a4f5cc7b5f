"""Learning curves and scores by variant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from harness.report.figures.style import INK, add_legend, draw, inches, shorten, text_width, variant_look
from harness.report.study.file_names import has_scores
from harness.report.study.record import Report, SeedResult, VariantSummary

PANEL_W, PANEL_H = 4.7, 3.4
SCORE = "miou_dataset"
METRICS = (("train/loss", "Training loss", 1.0), (f"val/{SCORE}", f"Validation {SCORE} (%)", 100.0))

Line = dict[int, float]
"""Epoch -> value."""


def draw_curves(report: Report, path: Path) -> None:
    """Draw training loss and validation miou_dataset by epoch: thin lines are seeds, thick ones their mean."""

    def paint(figure: Figure) -> None:
        for place, (metric, title, factor) in enumerate(METRICS):
            axes = figure.add_axes(inches(0.7 + place * (PANEL_W + 0.7), 0.5, PANEL_W, PANEL_H))
            for order, variant in enumerate(report.variants):
                _draw_variant(axes, variant, order, metric, factor)
            axes.set_title(title, pad=8)
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
            axes.yaxis.set_major_locator(MaxNLocator(nbins=6))
            axes.grid(axis="y")
        add_legend(figure, _curve_legend(report), 0.7, PANEL_H + 1.15, 2 * PANEL_W + 0.7)

    draw(path, paint)


def _draw_variant(axes: Axes, variant: VariantSummary, order: int, metric: str, factor: float) -> None:
    colour, dashes = variant_look(order)
    lines = {seed.seed: _line(seed, metric, factor) for seed in variant.seeds}
    finished = [lines[seed.seed] for seed in variant.seeds if seed.status == "finished"]
    for seed in variant.seeds:
        line = lines[seed.seed]
        dot = "." if len(line) == 1 else None
        axes.plot(list(line), list(line.values()), color=colour, ls=dashes, lw=0.9, alpha=0.55, marker=dot)
        if metric == f"val/{SCORE}" and seed.status == "finished" and seed.best_epoch in line:
            axes.plot(seed.best_epoch, line[seed.best_epoch], "o", ms=6, mec=colour, mfc="white", mew=1.4, zorder=4)
        if seed.status in ("failed", "interrupted") and line:
            axes.plot(max(line), line[max(line)], "x", ms=8, mec=colour, mew=2, zorder=4)
    mean = _mean_line(finished)
    if len(finished) > 1:
        axes.plot(list(mean), list(mean.values()), color=colour, ls=dashes, lw=2.6, zorder=3)


def _line(seed: SeedResult, metric: str, factor: float) -> Line:
    values = {item.epoch: item.metrics.get(metric) for item in seed.epochs}
    return {epoch: value * factor for epoch, value in values.items() if value is not None}


def _mean_line(lines: Sequence[Line]) -> Line:
    """Average over seeds at the epochs that all of them reached: a mean over fewer would jump where a seed stops."""
    shared = set(lines[0]).intersection(*lines) if lines else set()
    return {epoch: sum(line[epoch] for line in lines) / len(lines) for epoch in sorted(shared)}


def _curve_legend(report: Report) -> list[tuple[Artist, str]]:
    entries: list[tuple[Artist, str]] = []
    for order, variant in enumerate(report.variants):
        colour, dashes = variant_look(order)
        entries.append((Line2D([], [], color=colour, ls=dashes, lw=2.6), shorten(variant.name)))
    entries.append((Line2D([], [], color=INK, lw=0.9, alpha=0.55), "one seed"))
    if any(len(variant.seeds) > 1 for variant in report.variants):
        entries.append((Line2D([], [], color=INK, lw=2.6), "mean of the seeds"))
    entries.append((Line2D([], [], ls="", marker="o", ms=6, mec=INK, mfc="white", mew=1.4), "best epoch"))
    if any(seed.status in ("failed", "interrupted") for variant in report.variants for seed in variant.seeds):
        entries.append((Line2D([], [], ls="", marker="x", ms=8, mec=INK, mew=2), "not finished"))
    return entries


def draw_scores(report: Report, path: Path) -> None:
    """Draw miou_dataset by variant, each split in a panel: every seed a dot, the mean a bar."""
    variants = [variant for variant in report.variants if has_scores(variant)]
    names = [shorten(variant.name) for variant in variants]
    height = 0.52 * len(variants) + 0.2
    left = text_width(names) + 0.3

    def paint(figure: Figure) -> None:
        for place, split in enumerate(report.splits):
            axes = figure.add_axes(inches(left + place * 4.9, 0.5, 3.4, height))
            for row, variant in enumerate(variants):
                _draw_row(axes, report, variant, split.name, row)
            axes.set_title(f"{SCORE} on {split.name} (%)", pad=8)
            axes.set_ylim(len(variants) - 0.4, -0.6)
            axes.set_yticks(range(len(variants)), names if place == 0 else [""] * len(names))
            axes.tick_params(axis="y", length=0)
            axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
            axes.margins(x=0.08)
            axes.grid(axis="x")
            axes.spines["left"].set_visible(False)
        entries = _score_legend(report)
        add_legend(figure, entries, 0.3, height + 1.05, left + 4.5 + 4.9 * (len(report.splits) - 1))

    draw(path, paint)


def _draw_row(axes: Axes, report: Report, variant: VariantSummary, split: str, row: int) -> None:
    colour, _ = variant_look([other.name for other in report.variants].index(variant.name))
    estimate = variant.scores.get(split, {}).get(SCORE)
    if estimate is None or estimate.mean is None:
        return
    mean = 100 * estimate.mean
    if variant.name == report.reference:
        axes.axvline(mean, color=INK, lw=1, ls=(0, (4, 3)), zorder=1)
    axes.plot([mean, mean], [row - 0.3, row + 0.3], color=colour, lw=3, solid_capstyle="butt", zorder=2)
    step = min(0.14, 0.44 / len(estimate.seeds))
    rows = [row + step * (place - (len(estimate.seeds) - 1) / 2) for place in range(len(estimate.seeds))]
    axes.plot([100 * v for v in estimate.values], rows, "o", ms=7, mfc=colour, mec="white", mew=0.8, zorder=3)
    text = f"{mean:.1f}" if estimate.sd is None else f"{mean:.1f} ± {100 * estimate.sd:.1f}"
    axes.annotate(text, (1.03, row), xycoords=("axes fraction", "data"), va="center_baseline", annotation_clip=False)


def _score_legend(report: Report) -> list[tuple[Artist, str]]:
    entries: list[tuple[Artist, str]] = [
        (Line2D([], [], ls="", marker="o", ms=7, mfc=INK, mec="white"), "one seed"),
        (Line2D([], [], ls="", marker="|", ms=14, mew=3, mec=INK), "mean (± standard deviation) over seeds"),
    ]
    if any(variant.name == report.reference and has_scores(variant) for variant in report.variants):
        entries.append((Line2D([], [], color=INK, lw=1, ls=(0, (4, 3))), "mean of the reference"))
    return entries
