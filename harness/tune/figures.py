"""The figures of a search: history, importance, parallel coordinates and slices."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from matplotlib.typing import ColorType

from harness.report.figures.marks import shorten
from harness.report.figures.style import INK, OKABE_ITO, SEQUENTIAL, add_legend, draw, inches, text_width
from harness.spec.tuning import Trial
from harness.tune.record import KnobRecord, TunedVariant, TuningRecord, choice_of

BEST, WRITTEN, FAINT = OKABE_ITO[4], OKABE_ITO[2], "#9a9a9a"
WIDE, HIGH = 8.6, 3.2
SLICE_W, SLICE_H, COLUMNS = 2.6, 2.3, 3


def figure_names(variant: TunedVariant) -> dict[str, str]:
    """Return the file name of each figure of a variant's search -> what it shows."""
    titles = {"history": f"History of the search for {variant.name}"}
    if any(trial.state == "finished" for trial in variant.trials):
        titles["slices"] = "Each searched setting against the score"
    if len(variant.knobs) > 1 and "slices" in titles:
        titles["parallel"] = "Finished trials as lines through their settings"
    if variant.importance:
        titles["importance"] = "Importance of the settings"
    return {f"tuning-{variant.name}-{name}.png": title for name, title in titles.items()}


def draw_search(record: TuningRecord, variant: TunedVariant, folder: Path) -> None:
    """Draw the figures of a variant's search."""
    painters: Mapping[str, Callable[[Figure], None]] = {
        "history": lambda figure: _paint_history(figure, record, variant),
        "slices": lambda figure: _paint_slices(figure, record, variant),
        "parallel": lambda figure: _paint_parallel(figure, record, variant),
        "importance": lambda figure: _paint_importance(figure, variant),
    }
    for name in figure_names(variant):
        draw(folder / name, painters[name.removesuffix(".png").rpartition("-")[2]])


def _paint_history(figure: Figure, record: TuningRecord, variant: TunedVariant) -> None:
    for place, objective in enumerate(record.objectives):
        axes = figure.add_axes(inches(0.8, 0.4 + place * (HIGH + 0.8), WIDE, HIGH))
        _draw_history(axes, variant, place)
        axes.set_title(f"{variant.name}: {objective} by trial", pad=8)
        axes.set_xlabel("trial")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y")
    entries = [
        (Line2D([], [], ls="", marker="o", color=OKABE_ITO[0]), "finished"),
        (Line2D([], [], ls="", marker="x", color=FAINT), "pruned, at its last epoch"),
        (Line2D([], [], ls="", marker="v", color=FAINT), "failed"),
        (Line2D([], [], color=INK, lw=1.2), "best so far"),
        (Line2D([], [], ls="", marker="*", ms=12, color=BEST), "winner"),
    ]
    add_legend(figure, entries, 0.8, 0.4 + len(record.objectives) * (HIGH + 0.8), WIDE)


def _draw_history(axes: Axes, variant: TunedVariant, place: int) -> None:
    ended = [trial for trial in variant.trials if trial.state == "finished"]
    axes.plot([t.number for t in ended], [t.scores[place] for t in ended], "o", color=OKABE_ITO[0], ms=5)
    for trial in variant.trials:
        if trial.state == "pruned" and trial.epochs and place == 0:
            axes.plot(trial.number, trial.epochs[max(trial.epochs)], "x", color=FAINT, ms=5)
        if trial.state == "failed":
            axes.plot(trial.number, 0.02, "v", color=FAINT, ms=5, transform=axes.get_xaxis_transform())
    best = [max(t.scores[place] for t in ended[: k + 1]) for k in range(len(ended))]
    if ended:
        last = variant.trials[-1].number
        axes.step([*(t.number for t in ended), last], [*best, best[-1]], where="post", color=INK, lw=1.2)
    for trial in ended:
        if trial.number == variant.best:
            axes.plot(trial.number, trial.scores[place], "*", color=BEST, ms=13, zorder=4)


def _paint_slices(figure: Figure, record: TuningRecord, variant: TunedVariant) -> None:
    ended = [trial for trial in variant.trials if trial.state == "finished"]
    scores = [trial.scores[0] for trial in ended]
    room = 0.08 * ((max(scores) - min(scores)) or 1.0)
    for place, knob in enumerate(variant.knobs):
        row, column = divmod(place, COLUMNS)
        left, top = 0.8 + column * (SLICE_W + 0.45), 0.4 + row * (SLICE_H + 1.0)
        axes = figure.add_axes(inches(left, top, SLICE_W, SLICE_H))
        _draw_slice(axes, knob, [trial for trial in ended if knob.key in trial.values], variant.best)
        axes.set_ylim(min(scores) - room, max(scores) + room)
        axes.set_xlabel(shorten(knob.key, 32))
        axes.tick_params(labelleft=column == 0)
        if column == 0:
            axes.set_ylabel(record.objectives[0])
    entries = [
        (Line2D([], [], ls="", marker="o", color=OKABE_ITO[0]), "finished trial (darker: later)"),
        (Line2D([], [], ls="", marker="*", ms=12, color=BEST), "winner"),
        (Line2D([], [], color=WRITTEN, lw=1.6), "as written"),
    ]
    rows = math.ceil(len(variant.knobs) / COLUMNS)
    add_legend(figure, entries, 0.8, 0.4 + rows * (SLICE_H + 1.0), COLUMNS * (SLICE_W + 0.45))


def _draw_slice(axes: Axes, knob: KnobRecord, trials: Sequence[Trial], best: int | None) -> None:
    _scale(axes, knob)
    shade = Normalize(-0.5 * len(trials), max(len(trials) - 1, 1))
    for order, trial in enumerate(trials):
        axes.plot(_place(knob, trial), trial.scores[0], "o", ms=5, color=SEQUENTIAL(shade(order)), zorder=2)
        if trial.number == best:
            axes.plot(_place(knob, trial), trial.scores[0], "*", ms=13, color=BEST, zorder=4)
    if knob.written is not None:
        at = knob.choices.index(str(knob.written)) if knob.kind == "choice" else float(knob.written)
        axes.axvline(at, color=WRITTEN, lw=1.6, zorder=1)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.grid(axis="y")


def _scale(axes: Axes, knob: KnobRecord) -> None:
    if knob.kind == "choice":
        names = [shorten(_short(choice), 14) for choice in knob.choices]
        axes.set_xticks(range(len(names)), names, rotation=0 if text_width(names) * len(names) < SLICE_W else 30)
        axes.set_xlim(-0.5, len(names) - 0.5)
        return
    if knob.kind == "log_uniform":
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(numticks=4))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=knob.kind == "int"))


def _short(choice: str) -> str:
    """Return a whole part by its name alone."""
    part = choice_of(choice)
    return str(part.get("name", choice)) if isinstance(part, dict) else choice


def _place(knob: KnobRecord, trial: Trial) -> float:
    value = trial.values[knob.key]
    return float(knob.choices.index(str(value))) if knob.kind == "choice" else float(value)


def _paint_parallel(figure: Figure, record: TuningRecord, variant: TunedVariant) -> None:
    ended = sorted((t for t in variant.trials if t.state == "finished"), key=lambda trial: trial.scores[0])
    lowest, highest = ended[0].scores[0], ended[-1].scores[0]
    span = (highest - lowest) or 1.0
    # The palest colour is below the lowest score, so that the worst trial can still be seen.
    shade = Normalize(lowest - 0.4 * span, highest)
    axes = figure.add_axes(inches(0.8, 0.5, WIDE, HIGH))
    for trial in ended:
        heights = [*(_height(knob, trial) for knob in variant.knobs), (trial.scores[0] - lowest) / span]
        is_best = trial.number == variant.best
        _draw_line(axes, heights, BEST if is_best else SEQUENTIAL(shade(trial.scores[0])), is_best)
    marks = [*map(_marks, variant.knobs), [(0.0, f"{lowest:.4f}"), (1.0, f"{highest:.4f}")]]
    for place, texts in enumerate(marks):
        axes.axvline(place, color=FAINT, lw=0.8, zorder=1)
        for height, text in texts:
            box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0}
            axes.text(place + 0.04, height, text, fontsize=9, va="center", zorder=5, bbox=box)
    names = [*(shorten(knob.key, 20) for knob in variant.knobs), record.objectives[0]]
    axes.set_xticks(range(len(names)), names, rotation=0 if text_width(names) * len(names) < WIDE else 20)
    axes.set_yticks([])
    axes.set_ylim(-0.06, 1.06)
    axes.spines["left"].set_visible(False)
    axes.set_title(f"{variant.name}: finished trials, darker is better; the winner is thick", pad=8)


def _draw_line(axes: Axes, heights: Sequence[float], colour: ColorType, is_best: bool) -> None:
    """Draw a trial from axis to axis, dotted past those of settings that are not searched in it."""
    places = [place for place, height in enumerate(heights) if not math.isnan(height)]
    for here, there in pairwise(places):
        style = "-" if there == here + 1 else (0, (1, 2))
        line = ([here, there], [heights[here], heights[there]])
        axes.plot(*line, color=colour, ls=style, lw=2.4 if is_best else 1.0, zorder=3 if is_best else 2)


def _height(knob: KnobRecord, trial: Trial) -> float:
    """Return where a trial crosses a setting's axis, from 0 to 1; NaN breaks the line where it is not searched."""
    if knob.key not in trial.values:
        return math.nan
    value = _place(knob, trial)
    if knob.kind == "choice":
        return value / max(len(knob.choices) - 1, 1)
    assert knob.low is not None
    assert knob.high is not None
    if knob.kind == "log_uniform":
        return math.log(value / knob.low) / math.log(knob.high / knob.low)
    return (value - knob.low) / (knob.high - knob.low)


def _marks(knob: KnobRecord) -> list[tuple[float, str]]:
    if knob.kind == "choice":
        last = max(len(knob.choices) - 1, 1)
        return [(place / last, shorten(_short(choice), 14)) for place, choice in enumerate(knob.choices)]
    return [(0.0, f"{knob.low:g}"), (1.0, f"{knob.high:g}")]


def _paint_importance(figure: Figure, variant: TunedVariant) -> None:
    objectives = list(dict.fromkeys(item.objective for item in variant.importance))
    left = 0.4 + text_width([shorten(item.key, 32) for item in variant.importance])
    top = 0.4
    for objective in objectives:
        items = [item for item in variant.importance if item.objective == objective][::-1]
        height = 0.4 * len(items) + 0.2
        axes = figure.add_axes(inches(left, top, 6.0, height))
        for place, item in enumerate(items):
            axes.barh(place, 100 * item.share, height=0.6, color=OKABE_ITO[5])
            axes.plot([100 * item.low, 100 * item.high], [place, place], color=INK, lw=1.4)
        axes.set_yticks(range(len(items)), [shorten(item.key, 32) for item in items])
        axes.set_xlim(0, 100)
        axes.set_xlabel("importance (%), line: 95 % interval over resampled trials")
        axes.set_title(f"{variant.name}: importance for {objective}", pad=8)
        top += height + 1.1
