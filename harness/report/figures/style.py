"""The sheet that figures are drawn on: colours that colour-blind readers tell apart, fonts, files without dates.

All lengths are inches. A sheet is cropped to what is drawn on it, so nothing is ever cut off.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Patch
from matplotlib.textpath import TextToPath

from harness.files import write_whole

DPI = 150
FONT, FONT_PT = "DejaVu Sans", 11.0
"""The font comes with matplotlib, so that figures are the same on every machine."""
TITLE_PT = 12.5
INK, MISSING = "#222222", "#ececec"

OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000")
"""Okabe and Ito 2008, Color Universal Design; yellow is left out: it is hard to see on white."""

SEQUENTIAL = LinearSegmentedColormap.from_list("rise", ("#f7fbff", "#9ecae1", "#2f7fbc", "#08306b"))
DIVERGING = LinearSegmentedColormap.from_list("both", ("#8c3b00", "#e08a45", "#ffffff", "#4f9fd0", "#004a80"))

STYLE = {
    "font.family": FONT,
    "font.size": FONT_PT,
    "axes.titlesize": TITLE_PT,
    "axes.titlelocation": "left",
    "axes.edgecolor": "#888888",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "text.parse_math": False,
    "legend.frameon": False,
    "lines.scale_dashes": False,
    "hatch.linewidth": 0.6,
}


_MEASURE = TextToPath()


def draw(path: Path, paint: Callable[[Figure], object]) -> None:
    """Let `paint` fill an empty figure of 10 x 10 inches and write it as PNG, whole or not at all.

    The user's own matplotlib settings play no part, and the file holds neither date nor version.
    """
    with matplotlib.rc_context(), _missing_glyphs_allowed():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        figure = Figure(figsize=(10, 10), dpi=DPI)
        FigureCanvasAgg(figure)
        paint(figure)
        write_whole(
            path,
            lambda file: figure.savefig(
                file, format="png", dpi=DPI, bbox_inches="tight", pad_inches=0.15, metadata={"Software": None}
            ),
        )


@contextmanager
def _missing_glyphs_allowed() -> Iterator[None]:
    """A letter that the font lacks is drawn as a box, without a warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def font_file() -> Path:
    """Return the file of `FONT`, for pictures that are drawn pixel by pixel."""
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"


def inches(left: float, top: float, width: float, height: float) -> tuple[float, float, float, float]:
    """Return matplotlib's rectangle for a place given from the sheet's upper left corner."""
    return left / 10, 1 - (top + height) / 10, width / 10, height / 10


def text_width(texts: Sequence[str], size_pt: float = FONT_PT) -> float:
    """Return the width of the widest text (inches)."""
    font = FontProperties(family=FONT, size=size_pt)
    with _missing_glyphs_allowed():
        widths = [_MEASURE.get_text_width_height_descent(text, font, ismath=False)[0] for text in texts]
    return max(widths, default=0.0) / 72


def colour_patch(colour: Sequence[int], width: float = 0.6) -> Patch:
    """Return what stands for a colour (red, green, blue from 0 to 255) in a legend; `width` is that of its edge."""
    return Patch(facecolor=tuple(part / 255 for part in colour), edgecolor="#888888", lw=width)


def add_legend(figure: Figure, entries: Sequence[tuple[Artist, str]], left: float, top: float, width: float) -> None:
    """Set a legend below a drawing, in as many columns as fit the width; its upper left corner is at (left, top)."""
    labels = [label for _, label in entries]
    room = [text_width([label]) + 0.65 for label in labels]
    columns = len(labels) if sum(room) <= width else max(1, int(width / max(room)))
    figure.legend(
        [handle for handle, _ in entries],
        labels,
        loc="upper left",
        bbox_to_anchor=(left / 10, 1 - top / 10),
        ncols=columns,
        borderaxespad=0,
        borderpad=0,
        columnspacing=1.6,
        handlelength=1.8,
        handletextpad=0.6,
    )
