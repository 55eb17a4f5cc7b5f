"""Attribution as a picture: shares that add up to the total, or each component's effect in two surroundings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.report.figures.style import INK, OKABE_ITO, draw, inches, shorten, text_width
from harness.report.study.attribution_records import BracketPart, FamilyAttribution, Part

ROW, WIDTH = 0.42, 5.2
GAIN, LOSS, TOTAL = OKABE_ITO[0], OKABE_ITO[4], "#777777"
FEW, MANY = OKABE_ITO[0], OKABE_ITO[1]


def draw_attributions(items: Sequence[FamilyAttribution], path: Path) -> None:
    """Draw one panel for each family: a waterfall where shares are known, else effects in two surroundings."""

    def paint(figure: Figure) -> None:
        left = 0.4 + text_width([shorten(name) for item in items for name in _names(item)])
        top = 0.5
        for item in items:
            height = ROW * (len(_names(item)) + 0.4)
            axes = figure.add_axes(inches(left, top, WIDTH, height))
            _paint_shares(axes, item) if item.shapley else _paint_brackets(axes, item)
            axes.axvline(0, color=INK, lw=0.8, zorder=1)
            axes.set_title(f"{shorten(item.family)}, {item.split}", pad=8)
            axes.set_xlabel("points of miou_dataset, 95 % interval")
            axes.set_yticks(range(len(_names(item))), [shorten(name) for name in _names(item)])
            axes.set_ylim(len(_names(item)) - 0.4, -0.6)
            axes.grid(axis="x")
            top += height + 1.2

    draw(path, paint)


def _names(item: FamilyAttribution) -> list[str]:
    if item.shapley:
        return [*(share.name for share in item.shapley), "all together"]
    return [bracket.name for bracket in item.brackets]


def _paint_shares(axes: Axes, item: FamilyAttribution) -> None:
    reached = 0.0
    for row, share in enumerate(item.shapley):
        axes.barh(row, 100 * share.delta, left=100 * reached, height=0.6, color=GAIN if share.delta >= 0 else LOSS)
        _whisker(axes, row, share, offset=reached)
        reached += share.delta
        axes.plot([100 * reached] * 2, [row - 0.3, row + 1.3], color=INK, lw=0.7, ls=(0, (2, 2)))
    if item.total is not None:
        axes.barh(len(item.shapley), 100 * item.total.delta, height=0.6, color=TOTAL)
        _whisker(axes, len(item.shapley), item.total)


def _paint_brackets(axes: Axes, item: FamilyAttribution) -> None:
    for row, bracket in enumerate(item.brackets):
        _paint_bracket(axes, row, bracket)
    axes.plot([], [], "o", color=FEW, label="among the fewest others")
    if any(bracket.interaction for bracket in item.brackets):
        axes.plot([], [], "s", color=MANY, label="among the most others")
    axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0)


def _paint_bracket(axes: Axes, row: int, bracket: BracketPart) -> None:
    _whisker(axes, row - 0.12, bracket.few, colour=FEW)
    axes.plot(100 * bracket.few.delta, row - 0.12, "o", color=FEW, zorder=4)
    if bracket.interaction:
        _whisker(axes, row + 0.12, bracket.many, colour=MANY)
        axes.plot(100 * bracket.many.delta, row + 0.12, "s", color=MANY, zorder=4)


def _whisker(axes: Axes, row: float, part: Part, *, offset: float = 0.0, colour: str = INK) -> None:
    if part.low is not None and part.high is not None:
        axes.plot([100 * (offset + part.low), 100 * (offset + part.high)], [row, row], color=colour, lw=1.6, zorder=3)
