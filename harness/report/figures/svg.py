"""Charts as SVG inside HTML: the look of a shape is its class, and `report.css` says how that looks."""

from __future__ import annotations

import html

from harness.report.figures import marks

CROSS = "M{:g} {:g}l8 8m0-8l-8 8"
RADII = {"seed": 5.5, "best": 3.6, "point": 2.0}


def sheet_html(sheet: marks.Sheet) -> str:
    """Return charts, legend and note; nothing without a chart."""
    if not sheet.panels:
        return ""
    charts = "".join(map(_chart, sheet.panels))
    keys = "".join(map(_key, sheet.keys))
    note = f'<p class="small">{html.escape(sheet.note)}</p>' if sheet.note else ""
    return f'<div class="charts">{charts}</div><ul class="legend">{keys}</ul>{note}'


def _chart(chart: marks.Chart) -> str:
    height, drawn = marks.lay_out(chart)
    title = html.escape(chart.title)
    return (
        f'<figure class="chart"><figcaption>{title}</figcaption><svg viewBox="0 0 {marks.WIDTH:g} {height:g}" '
        f'role="group" aria-label="{title}">{"".join(map(_mark, drawn))}</svg></figure>'
    )


def _key(key: marks.Key) -> str:
    svg = f'<svg viewBox="0 0 28 12" aria-hidden="true">{_shape(key.shape, key.tone)}</svg>'
    return f"<li{_tone(key.tone)}>{svg}{html.escape(key.text)}</li>"


def _tone(tone: int | None, also: str = "") -> str:
    names = f"{also} c{tone % marks.TONES}".strip() if tone is not None else also
    return f' class="{names}"' if names else ""


def _mark(mark: marks.Mark) -> str:
    shapes = "".join(_shape(shape, mark.tone) for shape in mark.shapes)
    if not mark.tip:
        return f"<g{_tone(mark.tone)}>{shapes}</g>" if shapes else ""
    tip = html.escape(mark.tip)
    return f'<g{_tone(mark.tone, "mark")} role="img" aria-label="{tip}"><title>{tip}</title>{shapes}</g>'


def _shape(shape: marks.Shape, tone: int | None) -> str:
    (x, y), (x2, y2) = shape.points[0], shape.points[-1]
    look = f'class="{shape.look}"'
    match shape:
        case marks.Text():
            return f'<text x="{x:g}" y="{y:g}" {look}>{html.escape(shape.text)}</text>'
        case marks.Dot(look="broken"):
            return f'<path d="{CROSS.format(x - 4, y - 4)}" {look}/>'
        case marks.Dot():
            return f'<circle cx="{x:g}" cy="{y:g}" r="{RADII[shape.look]}" {look}/>'
        case marks.Box():
            size = f'width="{abs(x2 - x):g}" height="{abs(y2 - y):g}"'
            return f'<rect x="{min(x, x2):g}" y="{min(y, y2):g}" {size} {look}/>'
        case marks.Line():
            points = " ".join(f"{x:g},{y:g}" for x, y in shape.points)
            pattern = " ".join(f"{part:g}" for part in marks.dashes(shape, tone))
            look += f' stroke-dasharray="{pattern}"' if pattern else ""
            return f'<polyline points="{points}" {look}/>'
    raise TypeError(shape)
