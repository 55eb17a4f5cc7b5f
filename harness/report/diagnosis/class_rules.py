"""The rules that look at single classes: what was predicted and shown of them, and what class weights gave them."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from harness.records import SHOWN_PREFIX, SHOWN_SHARE_PREFIX, WEIGHT_SHARE_PREFIX
from harness.report.diagnosis.records import Finding, Rule, Trace, finding
from harness.report.page.text import decimal, percent

SATURATED = 0.95
"""IoU beyond which labels of a border's width decide more than the model does."""
SATURATED_RANGE = 0.01
SATURATED_EPOCHS = 5
STARVED = 0.5
"""A class's shown / held pixels, relative to that of all classes together: at half, every second pixel is withheld."""
STARVED_FEWEST = 3
"""Epochs over which a random crop is averaged."""
WEIGHT_FACTOR = 20.0
"""Share of the loss' weight relative to the share of pixels: each wrong label of the class then counts for 20."""
WEIGHT_PART = 0.03
"""The larger of the two shares must be at least this: below, the class moves few weights whatever its factor."""


def find_never_predicted(trace: Trace) -> Iterator[Finding]:
    """Find classes that occur in the validation split and that no pixel was predicted to be."""
    if "val" not in trace.result.counts:
        return
    counts = trace.result.counts["val"]
    confusion_CC = counts.confusion_CC()
    rows = zip(counts.classes, confusion_CC.sum(axis=1).tolist(), confusion_CC.sum(axis=0).tolist(), strict=True)
    for name, true, predicted in rows:
        if true and not predicted:
            text = f"{name} has {true:,} pixels in val's ground truth and 0 in the predictions (threshold: more than 0)"
            yield finding("never_predicted", "warning", f"{text}.", {"true": true, "predicted": predicted}, name)


def find_saturated(trace: Trace) -> Iterator[Finding]:
    """Find classes whose IoU is as good as it gets, over the last epochs."""
    # High and steady: a class that is high and still climbs has something to gain, and so has one that is low.
    for name, series in trace.by_class("val/iou/").items():
        last = list(series.values())[-SATURATED_EPOCHS:]
        if len(last) < SATURATED_EPOCHS or min(last) < SATURATED or max(last) - min(last) > SATURATED_RANGE:
            continue
        text = (
            f"{name} had an IoU of {percent(min(last))} to {percent(max(last))} % in the last {SATURATED_EPOCHS} "
            f"epochs (thresholds: at least {percent(SATURATED, 0)} %, and no further apart than "
            f"{percent(SATURATED_RANGE)} points)."
        )
        yield finding("saturated", "note", text, {"lowest": min(last), "highest": max(last)}, name)


def find_starved(trace: Trace) -> Iterator[Finding]:
    """Find classes of which crop and augmentation showed far less than of all classes together."""
    # Relative to all classes: a crop that is smaller than the image withholds pixels of every class, which is no fault.
    everything = statistics.fmean(trace.series("train/shown").values())
    for name, series in trace.by_class(SHOWN_PREFIX).items():
        shown = statistics.fmean(series.values())
        if shown >= STARVED * everything:
            continue
        text = (
            f"{name}: an epoch showed {percent(shown)} % of the pixels that the training split holds, of all classes "
            f"together {percent(everything)} %: {decimal(shown / everything, 2)} times an even part (threshold: "
            f"{STARVED} times)."
        )
        yield finding("starved", "warning", text, {"shown": shown, "all_classes": everything}, name)


def find_weights_out_of_proportion(trace: Trace) -> Iterator[Finding]:
    """Find classes whose share of the loss' weight has little to do with their share of the pixels."""
    pixels = trace.by_class(SHOWN_SHARE_PREFIX)
    for name, series in trace.by_class(WEIGHT_SHARE_PREFIX).items():
        weight, share = statistics.fmean(series.values()), statistics.fmean(pixels[name].values())
        # A ratio alone would accuse classes of a few pixels, whose weight moves nothing.
        if max(weight, share) < WEIGHT_PART or share / WEIGHT_FACTOR <= weight <= share * WEIGHT_FACTOR:
            continue
        text = (
            f"{name} has {percent(share, 2)} % of the pixels shown and {percent(weight, 2)} % of the loss' weight, "
            f"{weight / share:.2g} times its part (thresholds: {WEIGHT_FACTOR:g} times, or one {WEIGHT_FACTOR:g}th, "
            f"and one of the two at least {percent(WEIGHT_PART, 0)} %)."
        )
        values = {"weight_share": weight, "pixel_share": share}
        yield finding("weights_out_of_proportion", "warning", text, values, name)


CLASS_RULES = (
    Rule(
        "never_predicted",
        "Class never predicted",
        "a class occurs in val's ground truth and the judged epoch's weights predict it nowhere",
        find_never_predicted,
        of_the_end=True,
    ),
    Rule(
        "saturated",
        "Class saturated",
        f"a class's IoU on val stays at {percent(SATURATED, 0)} % or above, within {percent(SATURATED_RANGE)} points, "
        f"over the last {SATURATED_EPOCHS} epochs: the labels' own borders leave little to gain, and differences there "
        "are small whatever is changed",
        find_saturated,
        fewest=SATURATED_EPOCHS,
        of_the_end=True,
    ),
    Rule(
        "starved",
        "Class starved",
        f"crop and augmentation showed less than {STARVED} times as much of a class (pixels shown in an epoch / pixels "
        "that the training split holds, mean over epochs) as of all classes together",
        find_starved,
        fewest=STARVED_FEWEST,
        needs=("train/shown",),
    ),
    Rule(
        "weights_out_of_proportion",
        "Class weights out of proportion",
        f"a class's share of the weighted pixels is more than {WEIGHT_FACTOR:g} times its share of the pixels, or less "
        f"than one {WEIGHT_FACTOR:g}th, and one of the two is at least {percent(WEIGHT_PART, 0)} %. The weighted share "
        "(class weight times pixels shown, mean over batches) is the class's part of the loss' gradient while all "
        "pixels are equally wrong; rare classes of such a factor make every wrong label of theirs count as much",
        find_weights_out_of_proportion,
        fewest=1,
        needs=("train/shown",),
    ),
)
