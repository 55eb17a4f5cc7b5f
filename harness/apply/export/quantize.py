"""An ONNX model in 8-bit integers, judged on the val split against the run's stored counts. Letters: B, C, H, W."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch

from harness.apply.choose import ChosenRun
from harness.apply.export.formats import Artifact, count_quantized, quantize, run_alone, wrap_onnx
from harness.apply.export.parity import open_judged
from harness.counts import make_counts
from harness.data.prepared import PreparedSplit
from harness.errors import InputError
from harness.records import Counts
from harness.stats.effects import Effect, Scope, compare, make_study
from harness.stats.margins import HEADLINE, sum_margins
from harness.stats.verdicts import FAMILY_ERROR, TOST_LEVEL
from harness.train.chunked_argmax import label_pixels
from harness.train.regions import count_confusion

Outcome = Literal["improved", "regressed", "equivalent", "undecided"]
TIMED = 11
"""Pictures that each of the two models is timed on, in turn."""


@dataclass(frozen=True)
class Quantized:
    """What 8-bit integers do to a model."""

    delta: float
    """miou_dataset on val, 8-bit minus stored (fraction)."""
    low: float
    """95 % interval of it; NaN where nothing can be said of other images."""
    high: float
    margin: float
    """Differences smaller than this do not matter to the study's author."""
    scope: Scope
    groups: int
    outcome: Outcome
    nodes: Mapping[str, str]
    """Operation with weights -> how many of its nodes compute in 8 bits."""
    bytes_before: int
    bytes_after: int
    ms_before: float
    """Median time of one picture at the run's size on this CPU, as ONNX in float32."""
    ms_after: float

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON; no NaN."""
        found = {"weights": "8-bit integers", **asdict(self)}
        return {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in found.items()}

    def describe(self) -> list[str]:
        """Return it in lines."""
        points = f"{100 * self.delta:+.2f} points of miou_dataset on val"
        if not math.isnan(self.low):
            points += f" (95 % interval {100 * self.low:+.2f} to {100 * self.high:+.2f})"
        verdict = {"improved": "better", "regressed": "worse"}.get(self.outcome, self.outcome)
        groups = f"new images like the {self.groups} groups of val"
        scope = f"This speaks for these weights, on {groups}; not for another seed."
        if self.scope == "these weights on these images":
            scope = "One group of images: of other images nothing can be said."
        done = [f"{name} {share}" for name, share in self.nodes.items()]
        return [
            f"{points}; {verdict}, with a margin of {100 * self.margin:g} points. {scope}",
            f"in 8 bits: {', '.join(done) or 'nothing'}; activations are quantised as they come, sums of maps are not",
            f"size {self.bytes_before / 1e6:.2f} -> {self.bytes_after / 1e6:.2f} MB; one picture "
            f"{self.ms_before:.1f} -> {self.ms_after:.1f} ms ({self.ms_before / self.ms_after:.2f} times as fast)",
        ]


def quantize_and_judge(
    chosen: ChosenRun, content: bytes, split: PreparedSplit, margin: float
) -> tuple[Artifact, Quantized]:
    """Return an ONNX file's model in 8 bits, and what that does to the score that is stored for the run."""
    threads, proto = chosen.config.train.threads, quantize(content)
    quantized = wrap_onnx(proto, threads)
    effect, outcome = judge_counts(chosen.counts["val"], _evaluate(chosen, quantized, split), margin)
    import onnx

    before = wrap_onnx(onnx.load_from_string(content), threads)
    ms_before, ms_after = _time(before, quantized, split)
    return quantized, Quantized(
        delta=effect.delta,
        low=effect.low,
        high=effect.high,
        margin=margin,
        scope=effect.scope,
        groups=effect.evaluated.groups,
        outcome=outcome,
        nodes=count_quantized(proto),
        bytes_before=len(content),
        bytes_after=len(quantized.pack({})),
        ms_before=ms_before,
        ms_after=ms_after,
    )


def open_val(chosen: ChosenRun) -> PreparedSplit:
    """Open the val split that a run was judged on.

    Raises:
        InputError: the data set is not at hand, or no counts of these weights are stored.
    """
    if not chosen.counts:
        raise InputError(f"{chosen.label}: --int8 is judged against stored counts, and this run has none of @last")
    config, source = chosen.config, open_judged(chosen)
    return PreparedSplit(source.splits["val"], source.taxonomy, config.data.size, config.evaluate.size)


def _evaluate(chosen: ChosenRun, artifact: Artifact, split: PreparedSplit) -> Counts:
    """Count as `harness.train.evaluate` does: logits are interpolated to the label's size."""
    confusions = []
    for index in range(len(split)):
        label_HW = split.judged_label(index)
        logits_CHW = torch.from_numpy(np.array(run_alone(artifact, split.pair(index)[0])))
        predicted_HW = label_pixels(logits_CHW, label_HW.shape).numpy()
        confusions.append(count_confusion(predicted_HW, label_HW, len(chosen.classes)))
    return make_counts(confusions, split.names, split.groups, chosen.classes)


def judge_counts(before: Counts, after: Counts, margin: float) -> tuple[Effect, Outcome]:
    """Return what a change of given weights does to miou_dataset, and what may be said of it.

    Judged as `harness.stats.verdicts` judges a family of one. That one calls nothing of a single seed, because a
    training method is more than one seed; here the weights are what is judged, and other seeds are not asked about.
    """
    effect = compare(make_study(sum_margins({("before", 0): before, ("after", 0): after})), "after", "before")[HEADLINE]
    if math.isnan(effect.p):
        return effect, "undecided"
    # Equivalence first: a significant difference within the margin does not matter (two one-sided tests).
    low, high = effect.interval(TOST_LEVEL)
    if -margin <= low and high <= margin:
        return effect, "equivalent"
    if effect.p > FAMILY_ERROR:
        return effect, "undecided"
    return effect, "improved" if effect.delta > 0 else "regressed"


def _time(first: Artifact, second: Artifact, split: PreparedSplit) -> tuple[float, float]:
    """Return both models' median time of one picture (ms), measured in turn so that a busy machine slows both."""
    images = [split.pair(index % len(split))[0] for index in range(TIMED + 1)]
    spent: tuple[list[float], list[float]] = ([], [])
    for image in images:
        for artifact, times in zip((first, second), spent, strict=True):
            began = time.perf_counter()
            run_alone(artifact, image)
            times.append(1000 * (time.perf_counter() - began))
    return statistics.median(spent[0][1:]), statistics.median(spent[1][1:])
