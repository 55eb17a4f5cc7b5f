"""The rules that read a run's curves. Each threshold is a named constant with its reason, and each text names it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence

from harness.report.diagnosis.records import Finding, Rule, Severity, Trace, finding
from harness.report.page.text import counted, decimal, percent, points

WINDOW = 5
"""Epochs over which a trend is judged: fewer tell no trend from scatter, more miss what happens at the end."""
RISE = 0.002
"""Rise of the score an epoch: at this pace a few more epochs bring what differences between variants are made of."""
RISE_T = 2.35
"""Slope in standard errors that scatter alone exceeds once in 20 times: Student's t, one-sided, with WINDOW - 2 = 3
degrees of freedom."""
PLATEAU_GAIN = 0.002
"""Gain below which the last third of training brought nothing: less than seeds usually differ by."""
PLATEAU_FEWEST = 10
SMOOTH = 3
"""Epochs whose losses are averaged before they are compared: single epochs jump."""
OVERFIT_RISE = 0.10
"""Relative rise of the validation loss above its lowest: smaller ones are seen in runs that only wander."""
JUMP = 1.5
"""Training loss relative to the epochs before: a mean over a whole epoch does not grow by half through luck."""
EXPLODING = 10.0
"""Gradient norm relative to the epochs before: an order of magnitude is no matter of noise."""
VANISHING = 1e-3
"""Gradient norm relative to the run's largest, below which nothing more is learned at an unchanged rate."""
UNLEARNED = 0.1
"""Training loss relative to the first epoch's, above which a vanished gradient is not merely that of a solved task."""
NOISY = 1.0
"""Standard deviation / mean of the gradient norm: above 1 a few steps do most of the moving."""
EARLY_PART = 0.5
"""Part of the planned epochs, before which a stop leaves most of the learning rate's schedule unused."""


def find_still_improving(trace: Trace) -> Iterator[Finding]:
    """Find a score that still rises over the last epochs, beyond its own scatter."""
    last = list(trace.series(f"val/{trace.score}").items())[-WINDOW:]
    slope, error = _slope(last)
    # Two thresholds: a steep line through scattered points is chance, and a certain one that hardly rises is no matter.
    if slope >= RISE and slope >= RISE_T * error:
        text = (
            f"val {trace.score} rose by {percent(slope, 2)} ± {percent(error, 2)} points an epoch (slope ± standard "
            f"error) over epochs {last[0][0]} to {last[-1][0]} (thresholds: {percent(RISE)} points and {RISE_T} "
            "standard errors). Longer training may score higher."
        )
        yield finding("still_improving", "warning", text, {"slope": slope, "standard_error": error})


def _slope(points_K: Sequence[tuple[int, float]]) -> tuple[float, float]:
    """Return the least-squares slope of value on epoch, and its standard error."""
    epochs, values = zip(*points_K, strict=True)
    slope, intercept = statistics.linear_regression(epochs, values)
    # What the line leaves over, per degree of freedom (two are spent on the line), over how far the epochs reach.
    squares = math.fsum((value - intercept - slope * epoch) ** 2 for epoch, value in points_K)
    spread = math.fsum((epoch - statistics.fmean(epochs)) ** 2 for epoch in epochs)
    return slope, math.sqrt(squares / (len(points_K) - 2) / spread)


def find_plateau(trace: Trace) -> Iterator[Finding]:
    """Find a last third of training that brought nothing."""
    scores = list(trace.series(f"val/{trace.score}").values())
    # The best of each part is compared, not the last: the best epoch's weights are what a run keeps.
    tail = max(WINDOW, len(scores) // 3)
    gain = max(scores[-tail:]) - max(scores[:-tail])
    if gain <= PLATEAU_GAIN:
        text = (
            f"the last {tail} of {len(scores)} epochs changed the best val {trace.score} by {points(gain)} points "
            f"(threshold: {points(PLATEAU_GAIN)}). They could be saved."
        )
        yield finding("plateau", "note", text, {"gain": gain, "epochs": tail})


def find_overfit(trace: Trace) -> Iterator[Finding]:
    """Find a validation loss that rises from its lowest while the training loss goes on falling."""
    train, val = trace.series("train/loss"), trace.series("val/loss")
    # Means over a few epochs, so that one lucky epoch is not the lowest point.
    epochs = [epoch for epoch in val if epoch in train]
    windows = [epochs[start : start + SMOOTH] for start in range(len(epochs) - SMOOTH + 1)]
    val_means = [statistics.fmean(val[epoch] for epoch in window) for window in windows]
    train_means = [statistics.fmean(train[epoch] for epoch in window) for window in windows]
    at = val_means.index(min(val_means))
    lowest, end, before, after = val_means[at], val_means[-1], train_means[at], train_means[-1]
    # A training loss that rises with it is another fault (divergence). No relative rise of a loss of 0 or less is told.
    if lowest <= 0 or end < (1 + OVERFIT_RISE) * lowest or after >= before:
        return
    text = (
        f"val loss rose from {lowest:.3g} (mean of epochs {windows[at][0]} to {windows[at][-1]}) to {end:.3g} (epochs "
        f"{windows[-1][0]} to {windows[-1][-1]}), by {percent(end / lowest - 1, 0)} % (threshold: "
        f"{percent(OVERFIT_RISE, 0)} %), while train loss fell from {before:.3g} to {after:.3g}: the gap between them "
        f"grew by {end - after - lowest + before:.3g}."
    )
    values = {"val_lowest": lowest, "val_end": end, "train_before": before, "train_end": after}
    yield finding("overfit", "warning", text, values)


def find_unstable_loss(trace: Trace) -> Iterator[Finding]:
    """Find epochs whose training loss jumps above that of the epochs before them."""
    losses = list(trace.series("train/loss").items())
    # Against a median, so that the epochs after a jump are not measured against that jump.
    ratios = {
        epoch: loss / before
        for place, (epoch, loss) in enumerate(losses)
        if place >= 2 and (before := _median(losses[max(0, place - 3) : place])) > 0
    }
    jumps = {epoch: ratio for epoch, ratio in ratios.items() if ratio > JUMP}
    if jumps:
        worst = max(jumps, key=lambda epoch: jumps[epoch])
        text = (
            f"train loss jumped at {counted(len(jumps), 'epoch')} of {len(losses)}, most at epoch {worst}, to "
            f"{jumps[worst]:.2g} times the median of the three epochs before it (threshold: {JUMP} times)."
        )
        yield finding("unstable_loss", "warning", text, {"jumps": len(jumps), "epoch": worst, "ratio": jumps[worst]})


def _median(series: Sequence[tuple[int, float]]) -> float:
    return statistics.median(value for _, value in series)


def find_exploding_gradient(trace: Trace) -> Iterator[Finding]:
    """Find a gradient that is far larger in one epoch than in those before."""
    norms = list(trace.series("train/grad_norm").items())
    # Against all epochs before it: norms fall as training goes on, so a sudden one stands out of the whole past.
    places = [place for place in range(SMOOTH, len(norms)) if norms[place][1] > EXPLODING * _median(norms[:place])]
    if places:
        (epoch, norm), before = norms[places[0]], _median(norms[: places[0]])
        text = (
            f"the gradient's norm was {norm:.3g} at epoch {epoch}, and {before:.3g} in the median of the epochs before "
            f"(threshold: {EXPLODING:g} times). train.clip_norm bounds it."
        )
        yield finding("exploding_gradient", "warning", text, {"epoch": epoch, "norm": norm, "before": before})


def find_vanishing_gradient(trace: Trace) -> Iterator[Finding]:
    """Find a gradient that has gone while the loss has not."""
    norms, losses = list(trace.series("train/grad_norm").values()), list(trace.series("train/loss").values())
    if norms[-1] < VANISHING * max(norms) and losses[-1] > UNLEARNED * losses[0]:
        text = (
            f"the gradient's norm fell from {max(norms):.3g} to {norms[-1]:.3g} (threshold: {VANISHING:g} of the "
            f"largest) while train loss only went from {losses[0]:.3g} to {losses[-1]:.3g} (threshold: {UNLEARNED:g} "
            "of the first)."
        )
        yield finding("vanishing_gradient", "warning", text, {"norm": norms[-1], "largest": max(norms)})


def find_noisy_gradient(trace: Trace) -> Iterator[Finding]:
    """Find a gradient norm that varies from step to step by more than its mean."""
    noise = statistics.median(trace.series("train/grad_norm_cv").values())
    if noise > NOISY:
        text = (
            f"the gradient's norm varied over an epoch's steps with a standard deviation of {noise:.2g} times its mean "
            f"(median over epochs; threshold: {NOISY:g}). Larger batches or train.accumulate make steps more alike."
        )
        yield finding("noisy_gradient", "warning", text, {"noise": noise})


def find_best_is_last(trace: Trace) -> Iterator[Finding]:
    """Find a best epoch after which nothing was tried."""
    last = trace.trained[-1].epoch
    if trace.result.best_epoch == last and last >= trace.run.config.train.epochs:
        text = (
            f"the best epoch is the last, {last}: no later one was tried (threshold: at least 1 epoch after the best), "
            "so the best may lie beyond it."
        )
        yield finding("best_is_last", "note", text, {"epoch": last})


def find_best_is_start(trace: Trace) -> Iterator[Finding]:
    """Find a run that training made no better than the weights it started from."""
    metric = f"val/{trace.score}"
    # Without an epoch 0 the run started from nobody's weights: NaN is not above any score.
    start = next((item.metrics[metric] for item in trace.result.history if item.epoch == 0), math.nan)
    best = max(trace.series(metric).values())
    if start >= best:
        text = (
            f"no epoch beat the weights that it started from, {percent(start)} % of val {trace.score}; the best of "
            f"{counted(len(trace.trained), 'trained epoch')} is {points(best - start)} points from them (threshold: "
            "above 0). It is judged by its own training all the same."
        )
        yield finding("best_is_start", "warning", text, {"start": start, "best_trained": best})


def find_stopped_early(trace: Trace) -> Iterator[Finding]:
    """Find a run that its early-stop rule ended."""
    last, train = trace.trained[-1].epoch, trace.run.config.train
    if train.early_stop is None or last >= train.epochs:
        return
    text = (
        f"stopped after epoch {last} of {train.epochs}: val {train.early_stop.score} had not risen by more than "
        f"{decimal(100 * train.early_stop.min_delta, 2)} points for {counted(train.early_stop.patience, 'epoch')} "
        f"(the spec's rule; a warning below {percent(EARLY_PART, 0)} % of the planned epochs)."
    )
    severity: Severity = "warning" if last < EARLY_PART * train.epochs else "note"
    yield finding("stopped_early", severity, text, {"epoch": last, "planned": train.epochs})


CURVE_RULES = (
    Rule(
        "still_improving",
        "Still improving at the end",
        f"the score that marks the best epoch rises over the last {WINDOW} epochs by at least "
        f"{percent(RISE)} points an epoch, and by {RISE_T} standard errors of the slope (scatter alone: once "
        "in 20 times)",
        find_still_improving,
        fewest=WINDOW,
        needs=("val/{score}",),
        of_the_end=True,
    ),
    Rule(
        "plateau",
        "Plateau",
        f"the last third of the epochs, at least {WINDOW}, raised the best score by no more than "
        f"{percent(PLATEAU_GAIN)} points: less than seeds usually differ by",
        find_plateau,
        fewest=PLATEAU_FEWEST,
        needs=("val/{score}",),
        of_the_end=True,
    ),
    Rule(
        "overfit",
        "Overfit",
        f"val loss, in means of {SMOOTH} epochs, ends {percent(OVERFIT_RISE, 0)} % or more above its lowest while "
        "train loss went on falling. Train loss is measured with the augmentation and the weights of the moment: "
        "its change counts, not its level",
        find_overfit,
        fewest=2 * SMOOTH,
        needs=("train/loss", "val/loss"),
    ),
    Rule(
        "unstable_loss",
        "Unstable loss",
        f"train loss of an epoch is more than {JUMP} times the median of the three before it (of two at the beginning)",
        find_unstable_loss,
        fewest=4,
        needs=("train/loss",),
    ),
    Rule(
        "exploding_gradient",
        "Exploding gradient",
        f"the gradient's L2 norm before clipping, mean over an epoch's steps, is more than {EXPLODING:g} times the "
        f"median of the epochs before it, of which there are at least {SMOOTH}",
        find_exploding_gradient,
        fewest=SMOOTH + 1,
        needs=("train/grad_norm",),
    ),
    Rule(
        "vanishing_gradient",
        "Vanishing gradient",
        f"the gradient's norm ends below {VANISHING:g} of the run's largest while train loss is above {UNLEARNED:g} of "
        "the first epoch's: a solved task has no gradient either",
        find_vanishing_gradient,
        fewest=SMOOTH + 1,
        needs=("train/grad_norm", "train/loss"),
    ),
    Rule(
        "noisy_gradient",
        "Noisy gradient",
        f"standard deviation / mean of the gradient's norm over an epoch's steps exceeds {NOISY:g} in the median over "
        "epochs: a few steps do most of the moving (told from 8 steps an epoch up)",
        find_noisy_gradient,
        fewest=3,
        needs=("train/grad_norm_cv",),
    ),
    Rule(
        "best_is_last",
        "Best epoch is the last",
        "no epoch was trained after the best one, and none was left out by an early stop",
        find_best_is_last,
        fewest=3,
        of_the_end=True,
    ),
    Rule(
        "best_is_start",
        "No epoch beat the parent's weights",
        "a run that starts from another's weights never scores higher than before its first step",
        find_best_is_start,
        fewest=1,
        needs=("val/{score}",),
        of_the_end=True,
    ),
    Rule(
        "stopped_early",
        "Stopped early",
        f"the spec's early-stop rule ended training; a warning where less than {percent(EARLY_PART, 0)} % of the "
        "planned epochs were trained, as most of the learning rate's schedule was then never used",
        find_stopped_early,
        fewest=1,
        of_the_end=True,
    ),
)
