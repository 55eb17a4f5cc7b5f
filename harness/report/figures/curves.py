"""Learning curves: thin lines are seeds, thick ones their mean; each epoch tells the values of all variants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.report.figures.marks import Box, Chart, Dot, Key, Line, Mark, Shape, Sheet, make_axis, shorten
from harness.report.page.cells import SCORE, one_line
from harness.report.page.text import decimal
from harness.report.study.record import Report, SeedResult, VariantSummary

METRICS = (("train/loss", "Training loss", 1.0, 4), (f"val/{SCORE}", f"Validation {SCORE} (%)", 100.0, 2))
"""Metric, title, factor, decimals of exact values."""

Curve = Mapping[int, float]
"""Epoch -> value."""


def curve_sheet(report: Report) -> Sheet:
    """Return training loss and validation score by epoch; without a chart where no run has an epoch."""
    return Sheet(tuple(chart for metric in METRICS if (chart := _chart(report, *metric))), _keys(report))


def _chart(report: Report, metric: str, title: str, factor: float, places: int) -> Chart | None:
    curves = [
        {seed.seed: found for seed in variant.seeds if (found := _curve(seed, metric, factor))}
        for variant in report.variants
    ]
    every = [curve for of_variant in curves for curve in of_variant.values()]
    if not every:
        return None
    epochs = sorted({epoch for curve in every for epoch in curve})
    x = make_axis(epochs, whole=True, most=8, title="epoch")
    y = make_axis(value for curve in every for value in curve.values())
    marks = []
    for place, (variant, own) in enumerate(zip(report.variants, curves, strict=True)):
        marks.append(Mark(tuple(_lines(variant, own)), tone=place))
        marks.append(Mark(tuple(_ends(variant, own, with_best=metric != "train/loss")), tone=place))
    # A box for each epoch, unseen, tells the values of all variants: single points of many curves cannot be hit.
    for epoch in epochs:
        told = (_tell(variant.name, own, epoch, places) for variant, own in zip(report.variants, curves, strict=True))
        box = Box(((max(epoch - 0.5, x.low), y.low), (min(epoch + 0.5, x.high), y.high)), "epoch")
        marks.append(Mark((box,), "\n".join([f"{title}, epoch {epoch}", *filter(None, told)])))
    return Chart(title, x, y, tuple(marks))


def _curve(seed: SeedResult, metric: str, factor: float) -> Curve:
    values = {item.epoch: item.metrics.get(metric) for item in seed.epochs}
    return {epoch: value * factor for epoch, value in values.items() if value is not None}


def _lines(variant: VariantSummary, curves: Mapping[int, Curve]) -> list[Shape]:
    finished = [curves[seed.seed] for seed in variant.seeds if seed.status == "finished" and seed.seed in curves]
    mean = _mean(finished) if len(finished) > 1 else {}
    return [
        Line(tuple(curve.items()), look) if len(curve) > 1 else Dot(tuple(curve.items()), "point")
        for curve, look in [*((curve, "thin") for curve in curves.values()), (mean, "thick")]
        if curve
    ]


def _mean(curves: Sequence[Curve]) -> Curve:
    """Average over seeds at the epochs that all of them reached: a mean over fewer would jump where a seed stops."""
    shared = set(curves[0]).intersection(*curves)
    return {epoch: sum(curve[epoch] for curve in curves) / len(curves) for epoch in sorted(shared)}


def _ends(variant: VariantSummary, curves: Mapping[int, Curve], *, with_best: bool) -> list[Shape]:
    """Mark the best epoch of finished runs, and where the others broke off."""
    shapes: list[Shape] = []
    for seed in variant.seeds:
        curve, best = curves.get(seed.seed, {}), seed.best_epoch
        if seed.status == "finished" and with_best and best is not None and best in curve:
            shapes.append(Dot(((best, curve[best]),), "best"))
        if seed.status in ("failed", "interrupted") and curve:
            shapes.append(Dot(((max(curve), curve[max(curve)]),), "broken"))
    return shapes


def _tell(name: str, curves: Mapping[int, Curve], epoch: int, places: int) -> str:
    values = {seed: curve[epoch] for seed, curve in curves.items() if epoch in curve}
    if not values:
        return ""
    singles = ", ".join(f"seed {seed}: {decimal(value, places)}" for seed, value in values.items())
    return f"{one_line(name)} {decimal(sum(values.values()) / len(values), places)} ({singles})"


def _keys(report: Report) -> tuple[Key, ...]:
    across = ((0, 6), (28, 6))
    keys = [Key(shorten(item.name), Line(across, "thick"), place) for place, item in enumerate(report.variants)]
    keys.append(Key("one seed", Line(across, "thin")))
    if any(len(variant.seeds) > 1 for variant in report.variants):
        keys.append(Key("mean of the seeds", Line(across, "thick")))
    keys.append(Key("best epoch", Dot(((14, 6),), "best")))
    if any(seed.status in ("failed", "interrupted") for variant in report.variants for seed in variant.seeds):
        keys.append(Key("not finished", Dot(((14, 6),), "broken")))
    return tuple(keys)
